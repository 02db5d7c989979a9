"""Walks over the instructions of function bodies, without interpreting them.

A Python loop over the two million instructions of a large module would take seconds. Regular
expressions of possessive groups walk at the speed of C instead: one match takes the whole run of
instructions up to the next one that matters, and never goes back.

Source: WebAssembly core specification 3.0, "Instructions", without garbage collection; SIMD,
relaxed SIMD, threads, tail calls, memory64 and wide arithmetic included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aoshell.sandbox.wasm.reader import ModuleError, ModuleReader
from aoshell.sandbox.wasm.sections import WasmModule

ELSE, END, BR, BR_IF, BR_TABLE = 0x05, 0x0B, 0x0C, 0x0D, 0x0E
BLOCK, LOOP, IF, TRY_TABLE = 0x02, 0x03, 0x04, 0x1F
BR_ON_NULL, BR_ON_NON_NULL = 0xD5, 0xD6
TRY, CATCH, RETHROW, DELEGATE, CATCH_ALL = 0x06, 0x07, 0x09, 0x18, 0x19
LEGACY = frozenset({TRY, CATCH, RETHROW, DELEGATE, CATCH_ALL})
_SELECT = 0x1C  # with a list of types
MAX_STOPS = 1_000_000  # the largest known modules hold 600; this many take 2 s

_LEB = rb"[\x80-\xff]{0,9}+[\x00-\x7f]"
_HEAP = rb"(?:[\x63\x64]" + _LEB + rb"|" + _LEB + rb")"  # block type, or a reference's type
_MEMARG = (  # with bit 6 of the alignment set, a memory's index follows
    rb"(?:(?:[\x00-\x3f]|[\x80-\xbf]" + _LEB + rb")" + _LEB + rb"|"
    rb"(?:[\x40-\x7f]|[\xc0-\xff]" + _LEB + rb")" + _LEB + _LEB + rb")"
)
_TABLE_SET, _BULK = 0x26, 0xFC
# What changes a table: table.set, and of the bulk instructions init, copy, grow and fill.
_TABLES = (
    rb"\x26" + _LEB,
    rb"\xfc(?:[\x0f\x11]" + _LEB + rb"|[\x0c\x0e]" + _LEB + _LEB + rb")",
)
_KEEPING = (
    rb"[\x08\x10\x12\x14\x15\x20-\x25\x3f-\x42\xd2]" + _LEB,
    rb"[\x00\x01\x0a\x0f\x1a\x1b\x45-\xc4\xd1\xd3\xd4]",
    rb"[\x28-\x3e]" + _MEMARG,
    rb"[\x11\x13]" + _LEB + _LEB,
    rb"\x43.{4}",
    rb"\x44.{8}",
    rb"\xd0" + _HEAP,
    rb"\xfc(?:[\x00-\x07\x13-\x16]|[\x09\x0b\x0d\x10]" + _LEB + rb"|"
    rb"[\x08\x0a]" + _LEB + _LEB + rb")",
    rb"\xfd(?:[\x00-\x0b\x5c\x5d]" + _MEMARG + rb"|[\x0c\x0d].{16}|[\x15-\x22].|"
    rb"[\x54-\x5b]" + _MEMARG + rb".|[\x0e-\x14\x23-\x53\x5e-\x7f]|[\x80-\xff][\x01\x02])",
    rb"\xfe(?:\x03.|[\x00-\x02\x10-\x4e]" + _MEMARG + rb")",
)
_PLAIN = _KEEPING + _TABLES
_CONTROL = (
    rb"[\x0c\x0d\xd5\xd6]" + _LEB,
    rb"[\x02-\x04]" + _HEAP,
    rb"[\x05\x0b]",
)
_STRAIGHT = re.compile(rb"(?:" + rb"|".join(_PLAIN) + rb")*+", re.DOTALL)
_MODERN = re.compile(rb"(?:" + rb"|".join(_PLAIN + _CONTROL) + rb")*+", re.DOTALL)
_STILL = re.compile(rb"(?:" + rb"|".join(_KEEPING + _CONTROL) + rb")*+", re.DOTALL)


def after_locals(module: WasmModule, body: tuple[int, int]) -> tuple[int, int]:
    """Where a body's instructions begin, and how many locals it declares besides parameters."""
    reader, total = ModuleReader(module.data, *body), 0
    for _ in range(reader.count("locals", 50_000)):
        total += reader.number("locals")
        reader.value_type("locals")
    if total > 50_000:
        raise ModuleError(f"a function has {total} locals", body[0])
    return reader.at, total


def legacy_bodies(module: WasmModule) -> list[int]:
    """The bodies (indices into `module.bodies`) with instructions of legacy exception handling.

    A body that cannot be read is left out: the engine reports what is wrong with it.

    Raises:
        ModuleError: there are so many jump tables that the walk would take long.
    """
    found, stops = [], 0
    for place, body in enumerate(module.bodies):
        for opcode in _stops(module, body):
            stops += 1
            if opcode in LEGACY:
                found.append(place)
                break
            if stops > MAX_STOPS:
                raise ModuleError("the functions hold too many jump tables", body[0])
    return found


def changes_tables(module: WasmModule) -> bool:
    """Whether any function may change a table. True where that is unknown or takes too long."""
    stops = 0
    for body in module.bodies:
        try:
            for opcode in _stops(module, body, _STILL):
                stops += 1
                if opcode in (_TABLE_SET, _BULK) or stops > MAX_STOPS:
                    return True
        except ModuleError:
            return True
    return False


def _stops(
    module: WasmModule, body: tuple[int, int], pattern: re.Pattern[bytes] = _MODERN
) -> Iterator[int]:
    """Opcodes that a regular expression cannot walk over: those with a count, and legacy ones."""
    try:
        reader = ModuleReader(module.data, after_locals(module, body)[0], body[1])
        while True:
            reader.at = _end(pattern, reader)
            if reader.at >= reader.end:
                return
            yield reader.data[reader.at]
            skip(reader)
    except ModuleError:
        return


def controls(module: WasmModule, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Each instruction that opens, closes or names a block: where it begins and ends, its opcode.

    Raises:
        ModuleError: an instruction is unknown or cut short.
    """
    reader = ModuleReader(module.data, start, end)
    while True:
        reader.at = _end(_STRAIGHT, reader)
        if reader.at >= end:
            return
        at, opcode = reader.at, reader.data[reader.at]
        skip(reader)
        if opcode != _SELECT:
            yield at, reader.at, opcode


def skip(reader: ModuleReader) -> None:
    """Step over one control instruction (or `select` with types)."""
    start = reader.at
    opcode = reader.byte("an instruction")
    if opcode in {BLOCK, LOOP, IF, TRY}:
        block_type(reader)
    elif opcode in {BR, BR_IF, BR_ON_NULL, BR_ON_NON_NULL, CATCH, RETHROW, DELEGATE}:
        reader.number("a label")
    elif opcode == BR_TABLE:
        labels = reader.count("br_table") + 1
        if reader.data[reader.at : reader.at + labels].isascii():  # the common case, at once
            reader.skip(labels, "br_table")
            return
        for _ in range(labels):
            reader.number("br_table")
    elif opcode == _SELECT:
        for _ in range(reader.count("select")):
            block_type(reader)
    elif opcode == TRY_TABLE:
        block_type(reader)
        for _ in range(reader.count("try_table")):
            for _ in range(2 if reader.byte("try_table") < 2 else 1):
                reader.number("try_table")
    elif opcode not in {ELSE, END, CATCH_ALL}:
        raise ModuleError(f"instruction 0x{opcode:02x} is unknown or cut short", start)


def block_type(reader: ModuleReader) -> int:
    """Read a block's type. Returns its first byte, which decides the form of the type."""
    first = reader.data[reader.at] if reader.at < reader.end else 0
    if first in {0x63, 0x64}:
        reader.byte("a block's type")
    while reader.byte("a block's type") >= 0x80:
        pass
    return first


def _end(pattern: re.Pattern[bytes], reader: ModuleReader) -> int:
    found = pattern.match(reader.data, reader.at, reader.end)
    return found.end() if found else reader.at
