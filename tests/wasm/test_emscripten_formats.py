"""What the formats of aos modules ask of their host, in small modules of their shape."""

from __future__ import annotations

import pytest
import wasmtime
from wasm_device import Device

from aoshell.sandbox.wasm import answers
from aoshell.sandbox.wasm.describe import describe_module

ANSWER = r"{\"ok\":true,\"response\":{\"Output\":\"__\"}}"
AT = 1024 + len('{"ok":true,"response":{"Output":"')


def module(imports: str, rest: str, handle: str) -> str:
    """A json module whose answer is two characters, which `handle` stores at $at and beyond."""
    return f"""(module {imports}
      (memory (export "memory") 1) (global $at i32 (i32.const {AT}))
      (data (i32.const 1024) "{ANSWER}")
      (func (export "malloc") (param i32) (result i32) (i32.const 4096))
      {rest}
      (func (export "handle") (param i32 i32) (result i32) {handle} (i32.const 1024)))"""


def output(text: str) -> str:
    result = Device(text).runtime.deliver(MESSAGE)
    assert result[0] is False, result
    return str(result[1])


MESSAGE = ["i" * 43, "o" * 43, "o" * 43, "p" * 43, "", "", 1000, 1, 1, "h" * 43, False, False]


def test_an_initialiser_that_ends_with_exit_0_has_started_the_module():
    text = module(
        '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))',
        """(func (export "_start")
          (i32.store8 (global.get $at) (i32.const 65)) (call $exit (i32.const 0)) unreachable)""",
        "(i32.store8 offset=1 (global.get $at) (i32.const 66))",
    )
    assert output(text) == "AB"


def test_an_initialiser_that_fails_is_told():
    text = module(
        '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))',
        '(func (export "_start") (call $exit (i32.const 3)) unreachable)',
        "",
    )
    assert "does not start: it called exit(3)" in Device(text).runtime.deliver(MESSAGE)[0]


def test_gas_and_the_second_word_of_an_answer_need_no_python(monkeypatch):
    monkeypatch.setattr(answers, "provide_imports", lambda _guest: pytest.fail)
    text = module(
        """(import "metering" "usegas" (func $gas (param i32)))
        (import "env" "setTempRet0" (func $set (param i32)))
        (import "env" "getTempRet0" (func $get (result i32)))""",
        "",
        """(call $gas (i32.const 7)) (call $set (i32.const 67))
        (i32.store8 (global.get $at) (call $get))
        (i32.store8 offset=1 (global.get $at) (call $get))""",
    )
    assert output(text) == "CC"


@pytest.mark.parametrize(("size", "copied"), [("1", "x_"), ("2", "xy"), ("0", "__"), ("-1", "__")])
def test_copies_are_done_in_wasm(monkeypatch, size, copied):
    monkeypatch.setattr(answers, "provide_imports", lambda _guest: pytest.fail)
    assert output(throwing(f"(global.get $at) (i32.const 8) (i32.const {size})")) == copied


@pytest.mark.parametrize("source", [65534, 65535, 65536, 70000, -1])
def test_copies_end_where_memory_ends(source):
    copied = {65534: "zz", 65535: "z_"}.get(source, "__")
    assert output(throwing(f"(global.get $at) (i32.const {source}) (i32.const 9)")) == copied


def throwing(copy: str) -> str:
    """A module that imports what throws, and copies memory."""
    return module(
        """(import "env" "_emscripten_throw_longjmp" (func $throw))
        (import "env" "emscripten_memcpy_js" (func $copy (param i32 i32 i32)))""",
        """(table (export "__indirect_function_table") 1 funcref)
        (data (i32.const 8) "xy") (data (i32.const 65534) "zz")
        (func (export "stackSave") (result i32) (i32.const 0))
        (func (export "stackRestore") (param i32)) (func (export "setThrew") (param i32 i32))""",
        f"(call $copy {copy})",
    )


def test_names_that_are_minified_otherwise_are_refused():
    text = """(module (import "a" "a" (func (result f64))) (memory (export "E") 1)
      (func (export "G") (param i32 i32 i32) (result i32) (i32.const 0)))"""
    described = describe_module(bytes(wasmtime.wat2wasm(text)))
    assert (described.kind, "minified" in described.problem) == ("", True)
