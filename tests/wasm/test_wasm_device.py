"""The device: what a module prints, its state, traps, limits, imports and compiling."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime
from wasm_device import Device, responding
from wasm_samples import wat

from aoshell.sandbox.wasm.binary import ModuleError
from aoshell.sandbox.wasm.engine import compile_module, new_engine

COUNTER = (Path(__file__).resolve().parents[2] / "examples/wasm/counter.wat").read_text()

# What is printed -----------------------------------------------------------------

PRINTING = """(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\10\\00\\00\\00\\08\\00\\00\\00") (data (i32.const 16) "gr\\c3\\bcezi\\0a")
  (func $say (export "say")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12))))
  (func (export "answer") (result i32) (call $say) (call $say) (i32.const 7))
  (func (export "flood") (loop (call $say) (br 0)))
  (func (export "fail") (call $say) unreachable))"""


def test_what_is_printed_stands_in_front_of_the_output() -> None:
    device = Device(PRINTING)
    printed = "grüezi".encode().decode("latin-1")
    assert device.call("say").good == printed
    answer = device.call("answer")
    assert answer.good == f"{printed}\n{printed}\n7"
    assert answer.messages[0][2] == "7"
    failed = device.call("fail")
    assert (failed.error, failed.output) == (
        "wasm `unreachable` instruction executed",
        f"{printed}\n",
    )
    assert device.printed == [f"{printed}\n"] * 4


def test_what_a_json_module_prints_is_shown_too() -> None:
    text = (
        responding({"Output": "answer"})
        .replace(
            "(module",
            """(module (import "wasi_snapshot_preview1" "fd_write"
          (func $write (param i32 i32 i32 i32) (result i32)))""",
            1,
        )
        .replace(
            "(result i32)\n        (i32.const 64)",
            """(result i32)
        (i32.store (i32.const 0) (i32.const 71)) (i32.store (i32.const 4) (i32.const 2))
        (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 12)))
        (i32.const 64)""",
        )
    )
    assert Device(text).send().good == "tr\nanswer"


# State -----------------------------------------------------------------

STATE = """(module (memory 1 20)
  (global $a (mut i32) (i32.const 0)) (global $b (mut i64) (i64.const 0))
  (global $c (mut f32) (f32.const 0)) (global $d (mut f64) (f64.const 0))
  (func (export "set") (param i32 i64 f32 i64)
    (global.set $a (local.get 0)) (global.set $b (local.get 1))
    (global.set $c (local.get 2)) (global.set $d (f64.reinterpret_i64 (local.get 3)))
    (drop (memory.grow (i32.const 2)))
    (i32.store8 (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 1)) (local.get 0)))
  (func (export "get") (result i32 i64 f32 i64 i32 i32)
    (global.get $a) (global.get $b) (global.get $c) (i64.reinterpret_f64 (global.get $d))
    (memory.size)
    (i32.load8_u (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 1)))))"""


@pytest.mark.parametrize("bits", [0, 0x7FF8_0000_0000_1234, -1, 0x7FF0_0000_0000_0000])
def test_an_image_is_the_whole_state(bits: int) -> None:
    device = Device(STATE)
    assert device.call("set", -5, -(1 << 62), 0.1, bits).good == ""
    image = device.runtime.image()
    other = Device(STATE)
    other.runtime.restore(image)
    assert other.runtime.image() == image
    assert other.call("get").good == device.call("get").good
    assert other.runtime.memory == 3 << 16


def test_the_same_messages_give_the_same_image() -> None:
    images = set()
    for _ in range(2):
        device = Device(COUNTER)
        for at in range(5):
            device.send(f"message {at}")
        images.add(device.runtime.image())
    assert len(images) == 1


def test_a_runtime_without_a_state_has_no_image() -> None:
    with pytest.raises(ValueError, match="not started"):
        Device(COUNTER).runtime.image()


@pytest.mark.parametrize(
    "image", [b"", b"{}", b"[]\n", b'{"globals": [], "pages": 9}\n' + b"x" * 9]
)
def test_images_that_are_none(image: bytes) -> None:
    with pytest.raises(ValueError):
        Device(COUNTER).runtime.restore(image)


def test_an_image_beyond_the_memory_limit() -> None:
    device = Device(STATE)
    device.call("set", 1, 1, 1, 1)
    with pytest.raises(ValueError, match="cannot grow"):
        Device(STATE, memory=2 << 16).runtime.restore(device.runtime.image())


# Traps, limits, imports -----------------------------------------------------------------

TRAPS = """(module (memory (export "memory") 1) (table $t 1 funcref)
  (tag $e)
  (func (export "fine") (result i32) (i32.const 7))
  (func (export "unreachable") unreachable)
  (func (export "divide") (result i32) (i32.div_u (i32.const 1) (i32.const 0)))
  (func (export "far") (result i32) (i32.load (i32.const 65536)))
  (func $deep (export "deep") (call $deep))
  (func (export "null") (call_indirect $t (i32.const 0)))
  (func (export "throw") (throw $e))
  (func (export "table") (result i32)
    (table.grow $t (ref.null func) (i32.const 100000000)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"""


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("unreachable", "unreachable"),
        ("divide", "divide by zero"),
        ("far", "out of bounds memory access"),
        ("deep", "call stack exhausted"),
        ("null", "uninitialized element"),
        ("throw", "thrown Wasm exception"),
    ],
)
def test_traps_are_told_in_a_line(function: str, error: str) -> None:
    device = Device(TRAPS)
    found = device.call(function).error
    assert error in found
    assert "\n" not in found
    assert device.call("fine").good == "7"


def test_growth_past_the_limit_is_the_guests_to_know() -> None:
    device = Device(TRAPS, memory=10 << 16)
    assert device.call("grow", 9).good == "1"
    assert device.call("grow", 1).good == "-1"
    assert device.call("grow", 0).good == "10"
    assert device.call("table").good == "-1"


SPIN = """(module (global $n (mut i32) (i32.const 0))
  (func (export "spin") (param i32) (result i32)
    (loop $again (global.set $n (i32.add (global.get $n) (i32.const 1)))
      (br_if $again (i32.lt_u (global.get $n) (local.get 0)))) (global.get $n)))"""


def test_gas_is_exact_and_the_same_each_time() -> None:
    used = []
    for _ in range(2):
        device = Device(SPIN, gas=10_000)
        assert device.call("spin", 100).good == "100"
        used.append(device.runtime.gas_used)
    assert used[0] == used[1] > 500
    exact = Device(SPIN, gas=used[0] + 1)
    assert exact.call("spin", 100).good == "100"
    short = Device(SPIN, gas=used[0] // 2)
    assert "out of gas" in short.call("spin", 100).error
    assert Device(SPIN).call("spin", 100).good == "100"


@pytest.mark.parametrize(
    ("start", "error"),
    [
        ("(func $s unreachable) (start $s)", "unreachable"),
        ("(func $s (call $s)) (start $s)", "call stack exhausted"),
        ('(memory 1) (data (i32.const 65535) "ab")', "out of bounds"),
        ("(memory 2000)", "exceeds memory limits"),
        ('(memory (import "env" "memory") 1)', "env.memory, which is no function"),
        ('(global (import "env" "g") i32)', "env.g, which is no function"),
    ],
)
def test_modules_that_do_not_start(start: str, error: str) -> None:
    device = Device(f'(module {start} (func (export "f")))')
    for _ in range(2):
        found = device.send().error
        assert found.startswith("the module does not start: ")
        assert error in found


def test_gas_counts_at_the_start_too() -> None:
    text = '(module (func $s (loop (br 0))) (start $s) (func (export "f")))'
    assert "does not start: out of gas" in Device(text, gas=1000).send().error


def imports(name: str, signature: str, call: str) -> str:
    return f"""(module (import "env" "{name}" (func $f {signature}))
      (memory (export "memory") 1) (func (export "go") (result i32) {call}))"""


@pytest.mark.parametrize(
    ("text", "output"),
    [
        (imports("unheard", "(param i32) (result i32)", "(call $f (i32.const 1))"), "0"),
        (imports("unheard", "(result f64)", "(call $f) i32.trunc_f64_s"), "0"),
        (imports("__syscall_openat", "(result i32)", "(call $f)"), "-52"),
        (imports("emscripten_resize_heap", "(param i32) (result i32)",
                 "(call $f (i32.const -1))"), "0"),
        (imports("emscripten_resize_heap", "(param i32) (result i32)",
                 "(call $f (i32.const 65537))"), "1"),
        (imports("emscripten_memcpy_js", "(param i32 i32 i32)",
                 "(call $f (i32.const -16) (i32.const 0) (i32.const 99)) (i32.const 1)"), "1"),
        (imports("emscripten_memcpy_js", "(param i32 i32 i32)",
                 "(call $f (i32.const 0) (i32.const 65530) (i32.const -1)) (i32.const 1)"), "1"),
        (imports("_mktime_js", "(param i32) (result i32)",
                 "(i32.store offset=20 (i32.const 0) (i32.const 2147483647))"
                 "(call $f (i32.const 0))"), "-1"),
        (imports("fd_write", "(param i32 i32 i32 i32) (result i32)",
                 "(i32.store offset=4 (i32.const 0) (i32.const -1))"
                 "(i32.store offset=12 (i32.const 0) (i32.const -1))"
                 "(call $f (i32.const 9) (i32.const 0) (i32.const 2) (i32.const 64))"), "0"),
    ],
)  # fmt: skip
def test_what_the_host_answers(text: str, output: str) -> None:
    assert Device(text).call("go").good == output


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (imports("abort", "", "(call $f) (i32.const 0)"), "abort()"),
        (imports("exit", "(result i32)", "(call $f)").replace('"env"', '"my_lib"'),
         "it calls my_lib.exit, which this node has not"),
        (imports("exit", "(param i32)", "(call $f (i32.const 3)) (i32.const 0)"), "exit(3)"),
        (imports("emscripten_memcpy_js", "", "(call $f) (i32.const 0)"), "the host cannot"),
        (imports("fd_write", "(param i32 i32 i32 i32) (result i32)",
                 "(call $f (i32.const 1) (i32.const -4) (i32.const 1) (i32.const 0))"),
         "a pointer is wild"),
        (imports("_gmtime_js", "(param i64 i32)",
                 "(call $f (i64.const 0) (i32.const -4)) (i32.const 0)"), "a pointer is wild"),
    ],
)  # fmt: skip
def test_what_the_host_refuses(text: str, error: str) -> None:
    assert error in Device(text).call("go").error


def test_a_start_function_may_call_the_host_before_there_is_a_memory() -> None:
    text = imports("fd_write", "(param i32 i32 i32 i32) (result i32)", "(i32.const 1)")
    text = (
        text.removesuffix(")")
        + """(func $s (drop
      (call $f (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0)))) (start $s))"""
    )
    assert "no memory yet" in Device(text).call("go").error


# Compiling -----------------------------------------------------------------

LONGJMP = '(module (import "env" "invoke_v" (func (param i32))) {} (func (export "f")))'


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (wat(COUNTER)[:-7], ""),
        (wat(COUNTER)[:40], ""),
        (b"\0asm\1\0\0\0", "This one exports nothing"),
        (wat('(module (memory (export "memory") 1))'), "This one exports memory (memory)"),
        (wat('(module (memory i64 0x10000000000) (func (export "f")))'), "pages"),
        (wat('(module (table 4000000000 funcref) (func (export "f")))'), "tables"),
        (wat('(module (memory 1) (memory 1) (func (export "f")))'), "2 memories"),
        (wat(LONGJMP.format("")), "need the exports"),
        (wat(LONGJMP.format('(func (export "memory")) (func (export "setThrew"))')), "need the"),
    ],
)
def test_modules_that_are_refused(data: bytes, error: str) -> None:
    with pytest.raises(ModuleError) as refused:
        compile_module(data, new_engine(fuel=False))
    assert error in refused.value.what


def test_an_import_name_is_no_text_of_the_adapter() -> None:
    name = r'invoke_") (memory 1) (func (export \22x'
    text = f'(module (import "env" "{name}" (func (param i32))) (func (export "f")))'.replace(
        'invoke_")', r"invoke_\22)"
    )
    module = wasmtime.Module(new_engine(fuel=False), wat(text))
    from aoshell.sandbox.wasm import emscripten

    assert not emscripten.needs_adapter(module)
