"""Reads and writes compiled Lua, and finds its control flow (Lua 5.3 lundump.c, lopcodes.h).

Dumps have the format of this machine: an int and an instruction have 4 bytes, a size 8,
little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

DEEPEST = 250  # functions within functions; Lua itself allows 200 levels of C
HEADER = 33  # bytes before the number of upvalues of the main function: signature, sizes, samples
JUMP_ZERO = 131071  # is added to the jump in an instruction
_SIZE = 4  # bytes of an int, and of an instruction

LOADKX, LOADBOOL, JMP = 2, 3, 30
CONDITIONS = frozenset((31, 32, 33, 34, 35))  # EQ LT LE TEST TESTSET
TAILCALL, RETURN, FORLOOP, FORPREP, TFORCALL, SETLIST = 37, 38, 39, 40, 41, 43


@dataclass(slots=True)
class CompiledFunction:
    """A function of a dump.

    Attributes:
        source: its file, as the dump has it.
        first, last: the lines where its text begins and ends; 0 and 0 for the main function.
        parameters, registers: how many. vararg: whether it takes more arguments.
        code: its instructions.
        code_at: their offset in the dump that was read, or written last.
        constants: the bytes of `constant_count` constants.
        upvalues: for each, whether it is a register of the enclosing function, and its number.
        inner: the functions inside it.
        lines: the line of each instruction.
        locals: for each local variable its name in bytes, and where it begins and ends.
        names: the bytes of `name_count` names of upvalues.
    """

    source: bytes
    first: int
    last: int
    parameters: int
    vararg: int
    registers: int
    code: list[int]
    constants: bytes
    constant_count: int
    upvalues: list[tuple[int, int]]
    lines: list[int]
    locals: list[tuple[bytes, int, int]]
    names: bytes
    name_count: int
    inner: list[CompiledFunction]
    code_at: int


def read_dump(dump: bytes) -> CompiledFunction:
    """The main function of a dump.

    Raises:
        ValueError: functions are nested too deep.
    """
    return _Reader(dump, HEADER + 1).function(0)


def write_dump(header: bytes, main: CompiledFunction) -> bytes:
    """The inverse; `header`: the dump that `main` was read from, or its first bytes."""
    out = bytearray(header[:HEADER])
    out.append(len(main.upvalues))
    _write(main, out)
    return bytes(out)


class _Reader:
    def __init__(self, dump: bytes, at: int) -> None:
        self._dump = dump
        self._at = at

    def function(self, depth: int) -> CompiledFunction:
        if depth > DEEPEST:
            raise ValueError("functions are nested too deep")
        source = self._string()
        first, last = self._int(), self._int()
        parameters, vararg, registers = self._dump[self._at : self._at + 3]
        self._at += 3
        code_at = self._at + _SIZE
        code = self._ints("I")
        constants, constant_count = self._constants()
        count = self._int()
        flat = self._dump[self._at : self._at + 2 * count]
        self._at += 2 * count
        inner = [self.function(depth + 1) for _ in range(self._int())]
        lines = self._ints("i")
        locals_ = [(self._string(), self._int(), self._int()) for _ in range(self._int())]
        name_count = self._int()
        names = b"".join([self._string() for _ in range(name_count)])
        upvalues = list(zip(flat[::2], flat[1::2], strict=True))
        return CompiledFunction(
            *(source, first, last, parameters, vararg, registers, code),
            *(constants, constant_count, upvalues, lines, locals_, names, name_count),
            *(inner, code_at),
        )

    def _int(self) -> int:
        (value,) = struct.unpack_from("<i", self._dump, self._at)
        self._at += _SIZE
        return int(value)

    def _ints(self, kind: str) -> list[int]:
        count = self._int()
        values = struct.unpack_from(f"<{count}{kind}", self._dump, self._at)
        self._at += count * _SIZE
        return list(values)

    def _string(self) -> bytes:
        """A string with its length in front."""
        start = self._at
        size = self._dump[start]
        self._at += 1
        if size == 0xFF:
            (size,) = struct.unpack_from("<Q", self._dump, self._at)
            self._at += 8
        self._at += max(size - 1, 0)
        return self._dump[start : self._at]

    def _constants(self) -> tuple[bytes, int]:
        count = self._int()
        start = self._at
        for _ in range(count):
            kind = self._dump[self._at]
            self._at += 1
            if kind in (4, 20):
                self._string()
            else:
                self._at += {0: 0, 1: 1}.get(kind, 8)  # nil, a boolean, a number
        return self._dump[start : self._at], count


def _write(function: CompiledFunction, out: bytearray) -> None:
    out += function.source
    out += struct.pack("<ii", function.first, function.last)
    out += bytes((function.parameters, function.vararg, function.registers))
    out += struct.pack("<i", len(function.code))
    function.code_at = len(out)
    out += struct.pack(f"<{len(function.code)}I", *function.code)
    out += struct.pack("<i", function.constant_count)
    out += function.constants
    out += struct.pack("<i", len(function.upvalues))
    out += bytes(value for upvalue in function.upvalues for value in upvalue)
    out += struct.pack("<i", len(function.inner))
    for inner in function.inner:
        _write(inner, out)
    out += struct.pack(f"<i{len(function.lines)}i", len(function.lines), *function.lines)
    out += struct.pack("<i", len(function.locals))
    for name, start, end in function.locals:
        out += name
        out += struct.pack("<ii", start, end)
    out += struct.pack("<i", function.name_count)
    out += function.names


class Flow:
    """The control flow of one function."""

    def __init__(self, code: Sequence[int]) -> None:
        self._code = code

    def op(self, at: int) -> int:
        """The opcode of an instruction."""
        return self._code[at] & 63

    def jump(self, at: int) -> int:
        """The target of an instruction's jump."""
        return at + 1 + (self._code[at] >> 14) - JUMP_ZERO

    def next(self, at: int) -> tuple[int, ...]:
        """The instructions that may run next. A jump after a condition is part of the condition.

        Of two, the first is the one without a jump.
        """
        op = self._code[at] & 63
        if op in CONDITIONS:
            return at + 2, self.jump(at + 1)
        if op == FORLOOP:
            return at + 1, self.jump(at)
        if op == TFORCALL:
            return at + 2, self.jump(at + 1)
        if op in (JMP, FORPREP):
            return (self.jump(at),)
        if op == RETURN:
            return ()
        skips = op == LOADKX or (op in (LOADBOOL, SETLIST) and self._skips(at))
        return (at + 2 if skips else at + 1,)

    def _skips(self, at: int) -> bool:
        c = self._code[at] >> 14 & 511
        return bool(c) if self.op(at) == LOADBOOL else not c

    def reached(self) -> set[int]:
        """The instructions that can be reached."""
        reached, left = {0}, [0]
        while left:
            for at in self.next(left.pop()):
                if at not in reached:
                    reached.add(at)
                    left.append(at)
        return reached
