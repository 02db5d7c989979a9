"""The lines of a Lua file that can run, and where they can branch, from the compiler's own tables.

A bare runtime compiles the text and never calls the result. What it writes as compiled code
(Lua 5.3 lundump.c, lopcodes.h) holds each function with its instructions and the line of each.
From these follows what the interpreter's line hook can see: it is told of a line when another line
begins, or when an instruction jumps back.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

_DEEPEST = 250  # functions within functions; Lua itself allows 200 levels of C
_HEADER = 34  # bytes before the main function: signature, sizes, samples, number of upvalues
_SIZE = 4  # bytes of an int, and of an instruction

_LOADKX, _LOADBOOL, _JMP = 2, 3, 30
_CONDITIONS = frozenset((31, 32, 33, 34, 35))  # EQ LT LE TEST TESTSET
_TAILCALL, _RETURN, _FORLOOP, _FORPREP, _TFORCALL, _SETLIST = 37, 38, 39, 40, 41, 43
_OFFSET = 131071  # what is added to a jump in an instruction


@dataclass(frozen=True, slots=True)
class LuaFunction:
    """A function of a file.

    Attributes:
        first, last: the lines where its text begins and ends; 0 and 0 for the file itself.
        lines: those that can run in it, functions inside it not counted. An `end` that only
            returns is none.
        branches: lines that go on in more than one place: the lines where they may.
    """

    first: int
    last: int
    lines: frozenset[int]
    branches: dict[int, tuple[int, ...]]


def line_table(source: bytes) -> tuple[LuaFunction, ...]:
    """The functions of a file, the outer ones first.

    Raises:
        ValueError: it is not Lua; the text is the compiler's.
    """
    reader = _Reader(_compiled(source), _HEADER)
    found: list[LuaFunction] = []
    reader.function(found, 0)
    return tuple(found)


def _compiled(source: bytes) -> bytes:
    load, dump = _tools()
    answer = load(source, b"=file", b"t")
    if isinstance(answer, tuple):
        raise ValueError(answer[1].decode("utf-8", "replace"))
    code: bytes = dump(answer)
    return code


@cache
def _tools() -> tuple[Callable[..., object], Callable[[object], bytes]]:
    from lupa.lua53 import LuaRuntime

    runtime = LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
    globals_ = runtime.globals()
    return globals_[b"load"], globals_[b"string"][b"dump"]


class _Reader:
    """Reads compiled code of this machine: 4 bytes an int, 8 a size, little-endian."""

    def __init__(self, code: bytes, at: int) -> None:
        self._code = code
        self._at = at

    def function(self, found: list[LuaFunction], depth: int) -> None:
        """Add a function and those inside it."""
        if depth > _DEEPEST:
            raise ValueError("functions are nested too deep")
        self._skip_string()
        first, last = self._int(), self._int()
        self._at += 3  # parameters, vararg, registers
        code = self._ints("I")
        for _ in range(self._int()):
            self._skip_constant()
        upvalues = self._int()
        self._at += 2 * upvalues
        place = len(found)
        for _ in range(self._int()):
            self.function(found, depth + 1)
        lines = self._ints("i")
        for _ in range(self._int()):  # local variables
            self._skip_string()
            self._at += 2 * _SIZE
        for _ in range(self._int()):  # names of upvalues
            self._skip_string()
        found.insert(place, _Flow(code, lines).function(first, last))

    def _int(self) -> int:
        (value,) = struct.unpack_from("<i", self._code, self._at)
        self._at += _SIZE
        return int(value)

    def _ints(self, kind: str) -> tuple[int, ...]:
        count = self._int()
        values = struct.unpack_from(f"<{count}{kind}", self._code, self._at)
        self._at += count * _SIZE
        return values

    def _skip_string(self) -> None:
        size = self._code[self._at]
        self._at += 1
        if size == 0xFF:
            (size,) = struct.unpack_from("<Q", self._code, self._at)
            self._at += 8
        self._at += max(size - 1, 0)

    def _skip_constant(self) -> None:
        kind = self._code[self._at]
        self._at += 1
        if kind in (4, 20):
            self._skip_string()
        else:
            self._at += {0: 0, 1: 1}.get(kind, 8)  # nil, a boolean, a number


class _Flow:
    """The ways through the instructions of one function."""

    def __init__(self, code: tuple[int, ...], lines: tuple[int, ...]) -> None:
        self._code = code
        self._lines = lines

    def function(self, first: int, last: int) -> LuaFunction:
        reached = self._reached()
        end = len(self._code) - 1  # a RETURN that the compiler has added
        lines = {
            self._lines[at]
            for at in reached
            if at != end and not (self._op(at) == _RETURN and self._op(at - 1) == _TAILCALL)
        }
        branches: dict[int, set[int]] = {}
        for at in reached:
            if len(self._next(at)) > 1:
                branches.setdefault(self._lines[at], set()).update(self._lines_after(at))
        several = {line: tuple(sorted(to)) for line, to in sorted(branches.items()) if len(to) > 1}
        return LuaFunction(first, last, frozenset(lines), several)

    def _op(self, at: int) -> int:
        return self._code[at] & 63

    def _jump(self, at: int) -> int:
        """Where the jump of an instruction leads."""
        return at + 1 + (self._code[at] >> 14) - _OFFSET

    def _next(self, at: int) -> tuple[int, ...]:
        """What may be run after an instruction. A jump behind a condition is part of it."""
        op = self._op(at)
        if op in _CONDITIONS:
            return at + 2, self._jump(at + 1)
        if op == _FORLOOP:
            return at + 1, self._jump(at)
        if op == _TFORCALL:
            return at + 2, self._jump(at + 1)
        if op in (_JMP, _FORPREP):
            return (self._jump(at),)
        if op == _RETURN:
            return ()
        skips = op == _LOADKX or (op in (_LOADBOOL, _SETLIST) and self._skips(at))
        return (at + 2 if skips else at + 1,)

    def _skips(self, at: int) -> bool:
        c = self._code[at] >> 14 & 511
        return bool(c) if self._op(at) == _LOADBOOL else not c

    def _reached(self) -> set[int]:
        reached, left = {0}, [0]
        while left:
            for at in self._next(left.pop()):
                if at not in reached:
                    reached.add(at)
                    left.append(at)
        return reached

    def _lines_after(self, start: int) -> Iterator[int]:
        """The lines that a hook is told of next."""
        seen, left = {start}, [start]
        while left:
            at = left.pop()
            for then in self._next(at):
                if then <= at or self._lines[then] != self._lines[at]:
                    yield self._lines[then]
                elif then not in seen:
                    seen.add(then)
                    left.append(then)
