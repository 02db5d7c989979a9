"""The lines of a Lua file that can run, and where they can branch, from the compiler's own tables.

A bare runtime compiles the text and never calls the result. The compiled code has each function's
instructions with their lines. From these follows what the interpreter's line hook can see: it is
called when another line begins, or when an instruction jumps back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from aoshell.lua.compiled import RETURN, TAILCALL, CompiledFunction, Flow, read_dump


@dataclass(frozen=True, slots=True)
class LuaFunction:
    """A function of a file.

    Attributes:
        first, last: the lines where its text begins and ends; 0 and 0 for the file itself.
        lines: those that can run in it, without functions inside it. An `end` that only returns
            does not count.
        branches: lines with more than one next line → these next lines.
    """

    first: int
    last: int
    lines: frozenset[int]
    branches: dict[int, tuple[int, ...]]


def line_table(dump: bytes) -> tuple[LuaFunction, ...]:
    """The functions in the result of `compiled`, the outer ones first."""
    return tuple(_tables(read_dump(dump)))


def _tables(function: CompiledFunction) -> Iterator[LuaFunction]:
    yield _Lines(function).table()
    for inner in function.inner:
        yield from _tables(inner)


def compiled(source: bytes, name: bytes = b"=file") -> bytes:
    """A text as compiled code. Raises ValueError with the compiler's message if it is not Lua."""
    load, dump = _tools()
    answer = load(source, name, b"t")
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


class _Lines:
    """The lines of one function."""

    def __init__(self, function: CompiledFunction) -> None:
        self._function = function
        self._lines = function.lines
        self._flow = Flow(function.code)

    def table(self) -> LuaFunction:
        flow, reached = self._flow, self._flow.reached()
        end = len(self._lines) - 1  # a RETURN that the compiler adds
        lines = {
            self._lines[at]
            for at in reached
            if at != end and not (flow.op(at) == RETURN and flow.op(at - 1) == TAILCALL)
        }
        branches: dict[int, set[int]] = {}
        for at in reached:
            if len(flow.next(at)) > 1:
                branches.setdefault(self._lines[at], set()).update(self._lines_after(at))
        several = {line: tuple(sorted(to)) for line, to in sorted(branches.items()) if len(to) > 1}
        return LuaFunction(self._function.first, self._function.last, frozenset(lines), several)

    def _lines_after(self, start: int) -> Iterator[int]:
        """The lines for which the hook may be called next."""
        seen, left = {start}, [start]
        while left:
            at = left.pop()
            for then in self._flow.next(at):
                if then <= at or self._lines[then] != self._lines[at]:
                    yield self._lines[then]
                elif then not in seen:
                    seen.add(then)
                    left.append(then)
