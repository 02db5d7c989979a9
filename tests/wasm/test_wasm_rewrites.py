"""Rewritten modules: they mean what they meant, and the host reaches their state."""

from __future__ import annotations

import pytest
import wasmtime
from wasm_samples import DELEGATE, LEGACY, LEGACY_RESULTS, PARAMETERS, engine, wat, wide

from aoshell.sandbox.wasm.binary import (
    ModuleError,
    describe_module,
    expose,
    modernize,
    parse_module,
    unminify,
)

TARGET = engine()


def instance(data: bytes) -> tuple[wasmtime.Store, wasmtime.Instance]:
    store = wasmtime.Store(TARGET)
    module = wasmtime.Module(TARGET, data)
    fail = wasmtime.Func(store, wasmtime.FuncType([wasmtime.ValType.i32()], []), lambda _: None)
    return store, wasmtime.Instance(store, module, [fail] * len(module.imports))


@pytest.mark.parametrize("name", LEGACY_RESULTS)
def test_modern_functions_give_what_legacy_ones_gave(name: str) -> None:
    store, running = instance(modernize(LEGACY))
    function = running.exports(store)[name]
    assert isinstance(function, wasmtime.Func)
    assert [function(store, how) for how in range(4)] == LEGACY_RESULTS[name]


def test_modernizing_again_changes_nothing() -> None:
    assert modernize(modernize(LEGACY)) == modernize(LEGACY) != LEGACY
    assert not describe_module(modernize(LEGACY)).legacy
    assert modernize(wide()) == wide()


@pytest.mark.parametrize(("data", "named"), [(DELEGATE, "delegate"), (PARAMETERS, "parameters")])
def test_what_cannot_be_modernized_is_named(data: bytes, named: str) -> None:
    with pytest.raises(ModuleError, match=named) as failed:
        modernize(data)
    assert "emit-exnref" in failed.value.hint


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"\x07\0\x0b", "catch stands outside"),
        (b"\x06\x40\x19\x19\x0b\x0b", "catch stands outside"),
        (b"\x06\x40\x07\x05\x0b\x0b", "tag 5"),
        (b"\x06\x40\x09\0\x0b\x0b", "rethrow names no handler"),
        (b"\x06\x40\x0c\x07\x0b\x0b", "label 7"),
        (b"\x06\x40\x0b", "not closed"),
        (b"\x06\x40\x0b\x0b\x01\x0b", "follow a function's end|not closed"),
        (b"\x06\x40\xff\x0b\x0b", "instruction 0xff"),
        (b"\x06\x05\x0b\x0b", "index 5"),
        (b"\x06\x40\x1f\x40\0\x0b\x0b\x0b", "try_table"),
    ],
)
def test_malformed_legacy_bodies_are_named(body: bytes, named: str) -> None:
    code = b"\1" + bytes([len(body) + 1]) + b"\0" + body
    data = b"\0asm\1\0\0\0\1\4\1\x60\0\0\3\2\1\0\x0a" + bytes([len(code)]) + code
    with pytest.raises(ModuleError) as failed:
        modernize(data)
    assert any(part in str(failed.value) for part in named.split("|")), str(failed.value)


COUNTER = """(module
  (global $n (mut i64) (i64.const 5))
  (global $k i32 (i32.const 1))
  (global (mut f64) (f64.const 0.5))
  (memory 1)
  (func (export "next") (result i64)
    (global.set $n (i64.add (global.get $n) (i64.const 1)))
    (i32.store8 (i32.const 3) (i32.const 7))
    (global.get $n)))"""


def test_exposed_state_can_be_read_and_set() -> None:
    data, names = expose(wat(COUNTER))
    assert names == ("aoshell:global:0", "aoshell:global:2")
    store, running = instance(data)
    exports = running.exports(store)
    step, count, memory = exports["next"], exports[names[0]], exports["memory"]
    assert isinstance(step, wasmtime.Func)
    assert isinstance(count, wasmtime.Global)
    assert isinstance(memory, wasmtime.Memory)
    assert (step(store), count.value(store)) == (6, 6)
    assert memory.read(store, 3, 4) == b"\7"
    count.set_value(store, 40)
    assert step(store) == 41


def test_exposing_again_changes_nothing() -> None:
    for rewrite in (wat(COUNTER), wide(), modernize(LEGACY)):
        data, names = expose(rewrite)
        assert expose(data) == (data, names)
        wasmtime.Module.validate(TARGET, data)


def test_references_and_vectors_are_not_exposed() -> None:
    assert expose(wide())[1] == ("aoshell:global:1", "aoshell:global:3", "aoshell:global:7")
    assert describe_module(wide()).unsaved == (4, 5, 6)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('(memory 1) (func (export "memory"))', "aoshell:memory"),
        ('(memory (export "m") 1)', "memory"),
        ('(import "a" "b" (memory 1))', "memory"),
    ],
)
def test_the_memory_gets_a_name(text: str, name: str) -> None:
    exports = parse_module(expose(wat(f"(module {text})"))[0]).exports
    assert name in [e.name for e in exports if e.kind == "memory"]


def test_a_module_without_state_stays_as_it_is() -> None:
    data = wat('(module (global i32 (i32.const 1)) (func (export "f")))')
    assert expose(data) == (data, ())


def test_reserved_export_names_are_refused() -> None:
    text = '(module (global (mut i32) (i32.const 1)) (func (export "aoshell:global:0")))'
    with pytest.raises(ModuleError, match="'aoshell:global:0' is reserved"):
        expose(wat(text))


FIRST_FORMAT = """(module
  (import "a" "a" (func (result f64)))
  (import "a" "x" (func (param i32 i32 i32)))
  (import "metering" "usegas" (func (param i32)))
  (memory (export "E") 1)
  (table (export "I") 1 funcref)
  (func (export "G") (param i32 i32) (result i32) (i32.const 11))
  (func (export "J") (param i32) (result i32) (i32.const 12)))"""


def test_the_first_format_gets_full_names() -> None:
    data = wat(FIRST_FORMAT)
    module = parse_module(unminify(data))
    assert [(i.module, i.name) for i in module.imports] == [
        ("env", "_emscripten_date_now"),
        ("env", "invoke_vii"),
        ("metering", "usegas"),
    ]
    names = {e.name for e in module.exports}
    assert names == {"memory", "__indirect_function_table", "handle", "malloc"}
    wasmtime.Module.validate(TARGET, unminify(data))
    assert unminify(unminify(data)) == unminify(data)
    found = describe_module(data)
    assert (found.kind, found.format, found.size) == (
        "json",
        "wasm32-unknown-emscripten",
        len(data),
    )


@pytest.mark.parametrize(
    "text",
    [
        FIRST_FORMAT.replace("(result f64)", "(result f32)"),
        FIRST_FORMAT.replace('"a" "x"', '"b" "x"'),
        FIRST_FORMAT.replace('"a" "x"', '"a" "zz"'),
        FIRST_FORMAT.replace('(export "E")', '(export "Z")'),
        FIRST_FORMAT.replace('(export "I")', '(export "H")'),
    ],
)
def test_other_letters_are_left_alone(text: str) -> None:
    assert unminify(wat(text)) == wat(text)
