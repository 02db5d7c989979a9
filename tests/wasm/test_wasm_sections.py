"""Reading modules: what they declare, what is refused, and that nothing else goes wrong."""

from __future__ import annotations

import time

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st
from wasm_samples import LEGACY, wat, wide

from aoshell.sandbox.wasm import binary, code
from aoshell.sandbox.wasm.binary import ModuleError, describe_module
from aoshell.sandbox.wasm.reader import MAX_ITEMS, leb128
from aoshell.sandbox.wasm.sections import MAX_SIZE, parse_module

HEADER = b"\0asm\1\0\0\0"


def test_describes_every_section() -> None:
    found = describe_module(wide())
    assert [(i.module, i.name, i.kind, i.signature) for i in found.imports] == [
        ("env", "log", "function", "(i64, f32) -> (f64)"),
        ("env", "base", "global", "i32"),
    ]
    exports = {e.name: e.signature for e in found.exports}
    assert exports["memory"] == "2 to 9 pages, 32-bit"
    assert exports["table"] == "3 × funcref"
    assert exports["tail"] == "(i32) -> (i32)"
    assert (found.globals, found.unsaved, found.start) == (8, (4, 5, 6), 1)
    assert (found.size, found.legacy) == (len(wide()), False)
    assert found.sections == ("made-up", "name")
    module = parse_module(wide())
    assert (module.elements, module.segments, len(module.bodies)) == (2, 2, 7)


def test_rebuilding_without_a_change_gives_the_same_bytes() -> None:
    assert parse_module(wide()).rebuilt({}) == wide()


@pytest.mark.parametrize("sample", [wide(), LEGACY], ids=["wide", "legacy"])
def test_walks_every_instruction_to_the_end_of_its_body(sample: bytes) -> None:
    module = parse_module(sample)
    for body in module.bodies:
        steps = list(code.controls(module, code.after_locals(module, body)[0], body[1]))
        assert steps[-1] == (body[1] - 1, body[1], code.END)


def test_knows_legacy_bodies() -> None:
    assert code.legacy_bodies(parse_module(LEGACY)) == [1, 2, 3, 4, 5, 6, 7]
    assert describe_module(LEGACY).legacy


JSON_64 = """(module (memory (export "memory") i64 1)
  (func (export "malloc") (param i64) (result i64) (local.get 0))
  (func (export "handle") (param i64 i64) (result i64) (local.get 0)))"""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (JSON_64, "json"),
        (JSON_64.replace("i64", "i32").replace(" i32 1)", " 1)"), "json"),
        (JSON_64.replace(' i64 1)"', ""), "json"),
        (JSON_64.replace("(param i64 i64)", "(param i32 i64)").replace("get 0", "get 1"), "plain"),
        (JSON_64.replace('"malloc"', '"alloc"'), "plain"),
        ('(module (func (export "_start")))', "wasi"),
        (
            '(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))'
            '(func (export "_start")))',
            "wasi",
        ),
        ('(module (import "env" "x" (func)) (func (export "_start")))', ""),
        ('(module (func (export "fac")))', "plain"),
        ('(module (memory (export "memory") 1))', ""),
        ("(module)", ""),
    ],
)
def test_kinds(text: str, kind: str) -> None:
    found = describe_module(wat(text))
    assert (found.kind, bool(found.problem)) == (kind, not kind)


def test_a_problem_names_what_fits_and_what_is_there() -> None:
    text = '(module (import "env" "x" (func)) (memory (export "mem") 1) (func (export "_start")))'
    problem = describe_module(wat(text)).problem
    for part in ("`handle` (i32, i32) -> (i32)", "`_start`", "mem (memory)", "imports from env"):
        assert part in problem


@pytest.mark.parametrize(
    ("imports", "memory", "expected"),
    [
        (["env.emscripten_memcpy_big"], "1", "wasm32-unknown-emscripten2"),
        (["env.emscripten_memcpy_js"], "1", "wasm32-unknown-emscripten3"),
        (["env._emscripten_memcpy_js"], "1", "wasm32-unknown-emscripten4"),
        (["env._abort_js", "metering.usegas"], "1", "wasm32-unknown-emscripten-metering"),
        (["env._abort_js"], "i64 1", "wasm64-unknown-emscripten-draft_2024_02_15"),
        (
            ["env._abort_js", "metering.usegas"],
            "i64 1",
            "wasm64-unknown-emscripten-draft_2024_10_16-metering",
        ),
        (["wasi_snapshot_preview1.fd_write"], "1", "wasm32-unknown-wasi"),
        (["host.x"], "1", "wasm32-unknown-unknown"),
        ([], "i64 1", "wasm64-unknown-unknown"),
    ],
)
def test_formats(imports: list[str], memory: str, expected: str) -> None:
    lines = ['(import "{}" "{}" (func))'.format(*name.split(".")) for name in imports]
    assert describe_module(wat(f"(module {' '.join(lines)} (memory {memory}))")).format == expected


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("(memory 1) (memory 1)", "2 memories"),
        ('(import "a" "m" (memory 1)) (memory 1)', "2 memories"),
        ("(memory 1 2 shared)", "shared"),
        ("(memory 101)", "101 pages, and 100 are allowed"),
        ("(memory i64 1099511627)", "1099511627 pages"),
        ("(table 10000001 funcref)", "10000001 entries"),
        ("(table 6000000 funcref) (table 6000000 funcref)", "12000000 entries"),
    ],
)
def test_refuses_by_name(text: str, named: str) -> None:
    for judge in (describe_module, binary.prepare_module):
        with pytest.raises(ModuleError, match=named) as failed:
            judge(wat(f"(module {text})"), max_pages=100)
        assert failed.value.stage == "module"
        assert failed.value.hint


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "magic"),
        (b"#!/bin/sh", "magic"),
        (b"\0asm\x0d\0\1\0", "component"),
        (b"\0asm\2\0\0\0", "version"),
        (HEADER + b"\x0e\0", "section 14 is unknown"),
        (HEADER + b"\1\x05\0", "section 1 ends early"),
        (HEADER + b"\1\1\0\1\1\0", "out of order"),
        (HEADER + b"\1\2\0\0", "longer than what it holds"),
        (HEADER + b"\1\5\xff\xff\xff\xff\x0f", "types: 4294967295 items"),
        (HEADER + b"\1\5\xff\xff\xff\xff\x1f", "more than 32 bits"),
        (HEADER + b"\1\2\x90\x4e", "types: 10000 items"),
        (HEADER + b"\x0d\3\1\1\0", "the attribute is not 0"),
        (HEADER + b"\1\2\1\x5f", "form 0x5f"),
        (HEADER + b"\1\4\1\x60\1\x64", "value type 0x64|items are declared"),
        (HEADER + b"\3\2\1\0", "functions: index 0 where there are 0"),
        (HEADER + b"\5\3\1\x08\1", "flags 0x08"),
        (HEADER + b"\4\4\1\x7f\0\1", "i32 cannot be an element"),
        (HEADER + b"\6\4\1\x7f\2\x0b", "mutability"),
        (HEADER + b"\6\5\1\x7f\0\x20\x0b", "not a constant expression"),
        (HEADER + b"\7\6\1\1\xff\0\0\0", "UTF-8"),
        (HEADER + b"\5\3\1\0\1\7\x09\2\1a\2\0\1a\2\0", "'a' is exported twice"),
        (HEADER + b"\1\4\1\x60\0\0\3\2\1\0", "functions and bodies"),
        (HEADER + b"\0\0", "custom section ends early"),
        (bytes(MAX_SIZE + 1), "64 MiB"),
    ],
)
def test_malformed_modules_name_the_part(data: bytes, named: str) -> None:
    with pytest.raises(ModuleError) as failed:
        describe_module(data)
    told = str(failed.value)
    assert any(part in told for part in named.split("|")), told


@pytest.mark.parametrize(
    ("number", "count", "what"),
    [
        (0, 100_000, "custom section"),  # bytes of a name
        (2, 100_000, "imports"),
        (4, 100, "tables"),
        (5, 100, "memories"),
        (7, 100_000, "exports"),
        (3, 1_000_000, "functions"),
        (10, 1_000_000, "code"),
    ],
)
def test_vectors_are_bounded_before_they_are_read(number: int, count: int, what: str) -> None:
    for items, bounded in ((count, False), (count + 1, True)):
        payload = leb128(items) + b"\xff" * items  # no name, kind, type or index
        data = HEADER + bytes([number]) + leb128(len(payload)) + payload
        with pytest.raises(ModuleError) as failed:
            describe_module(data)
        assert (f"{what}: {items} items are declared" in str(failed.value)) is bounded


def test_a_signature_has_a_thousand_types_at_the_most() -> None:
    for takes, gives, fits in ((1000, 1000, True), (1001, 0, False), (0, 1001, False)):
        types = b"\1\x60" + b"".join(leb128(n) + b"\x7f" * n for n in (takes, gives))
        data = HEADER + b"\1" + leb128(len(types)) + types
        if fits:
            assert len(parse_module(data).types[0].takes) == 1000
        else:
            with pytest.raises(ModuleError, match="1001 items are declared"):
                parse_module(data)


def test_sections_are_bounded() -> None:
    custom = b"\0\1\0"  # without a name
    assert len(parse_module(HEADER + custom * MAX_ITEMS).sections) == MAX_ITEMS
    with pytest.raises(ModuleError, match="too many sections"):
        parse_module(HEADER + custom * (MAX_ITEMS + 1))


def everything(data: bytes) -> None:
    for judge in (
        describe_module,
        binary.unminify,
        binary.modernize,
        binary.expose,
        binary.prepare_module,
    ):
        try:
            judge(data)
        except ModuleError as failed:
            assert 0 <= failed.position <= max(len(data), MAX_SIZE)


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([wide(), LEGACY]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=6)), max_size=4),
    st.floats(0, 1),
)
def test_damaged_modules_raise_one_error(
    data: bytes, changes: list[tuple[float, bytes]], cut: float
) -> None:
    damaged = bytearray(data)
    for place, replacement in changes:
        at = 8 + int(place * (len(data) - 8))
        damaged[at : at + len(replacement)] = replacement
    everything(bytes(damaged))
    everything(bytes(damaged[: int(cut * len(damaged))]))


def test_every_truncation_raises_one_error() -> None:
    for length in range(len(LEGACY)):
        everything(LEGACY[:length])


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_raise_one_error(data: bytes) -> None:
    everything(HEADER + data)


def module_of(body: bytes, count: int) -> bytes:
    """A module with the same body `count` times."""
    types = b"\1\x60\1\x7f\0"
    functions = leb128(count) + bytes(count)
    bodies = leb128(count) + (leb128(len(body)) + body) * count
    parts = ((1, types), (3, functions), (10, bodies))
    return HEADER + b"".join(bytes([k]) + leb128(len(p)) + p for k, p in parts)


def test_a_large_module_is_read_in_time() -> None:
    data = module_of(b"\0" + b"\x20\0\x41\x06\x6a\x21\0" * 100 + b"\x0b", 6000)
    assert len(data) > 4_000_000
    before = time.process_time()
    assert not describe_module(data).legacy
    assert time.process_time() - before < 2  # 0.1 s on a quiet machine


def test_endless_jump_tables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "MAX_STOPS", 100)
    assert not describe_module(module_of(b"\0" + b"\x41\0\x0e\0\0" * 10 + b"\x0b", 10)).legacy
    with pytest.raises(ModuleError, match="too many jump tables"):
        describe_module(module_of(b"\0" + b"\x41\0\x0e\0\0" * 10 + b"\x0b", 11))


@pytest.mark.parametrize(
    ("code", "moves"),
    [
        ("(table.set (i32.const 0) (ref.func $f))", True),
        ("(drop (table.grow (ref.func $f) (i32.const 1)))", True),
        ("(table.fill (i32.const 0) (ref.func $f) (i32.const 1))", True),
        ("(table.copy (i32.const 0) (i32.const 1) (i32.const 1))", True),
        ("(drop (table.get (i32.const 0)))", False),
        ("(drop (table.size))", False),
        ("(memory.fill (i32.const 0) (i32.const 0) (i32.const 0))", False),
    ],
)
def test_code_that_moves_tables_is_told(code: str, moves: bool) -> None:
    text = f"""(module (memory 1) (table 2 9 funcref) (elem declare func $f) (func $f)
      (func (export "go") (block (block (br_table 0 1 (i32.const 1)))) {code}))"""
    assert describe_module(bytes(wasmtime.wat2wasm(text))).moves_tables is moves
