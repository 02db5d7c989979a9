"""Compares what ran with what can run, for files, handlers and other functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aoshell.lua.linetable import LuaFunction
from aoshell.protocol.message import printable, text
from aoshell.testing.coverage.recorder import Coverage, CoveredFile, FunctionPlace

_NAMED = re.compile(r"\bfunction\s+([\w.:]+)\s*\(|([\w.]+)\s*=\s*function\b")


@dataclass(frozen=True, slots=True)
class BranchTotal:
    """A line with more than one possible next line.

    Attributes:
        ways: possible next line → how often it was next.
    """

    line: int
    ways: dict[int, int]

    @property
    def taken(self) -> int:
        """The number of its ways that were taken."""
        return sum(times > 0 for times in self.ways.values())


@dataclass(frozen=True, slots=True)
class FunctionTotal:
    """What ran of a function, without the functions inside it.

    Attributes:
        name: of the handler, or from the text; "" for none.
        handler: whether it is a handler of a process.
        called: how often it was called.
        lines: each line that can run → how often it ran.
    """

    name: str
    handler: bool
    first: int
    last: int
    called: int
    lines: dict[int, int]
    branches: tuple[BranchTotal, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """A function with all functions inside it: a handler, or a function outside of handlers.

    Attributes:
        lines, branches: as in `FunctionTotal`.
    """

    name: str
    handler: bool
    first: int
    last: int
    lines: dict[int, int]
    branches: tuple[BranchTotal, ...]

    @property
    def ran(self) -> int:
        """The number of its lines that ran."""
        return sum(times > 0 for times in self.lines.values())

    @property
    def missing(self) -> list[int]:
        """Its lines that did not run."""
        return [line for line, times in sorted(self.lines.items()) if not times]

    @property
    def ways(self) -> int:
        """The number of ways of its branches."""
        return sum(len(branch.ways) for branch in self.branches)

    @property
    def taken(self) -> int:
        """The number of these ways that were taken."""
        return sum(branch.taken for branch in self.branches)

    @property
    def share(self) -> float:
        """The share of lines and ways together that ran: 0 to 1."""
        all_ = len(self.lines) + self.ways
        return (self.ran + self.taken) / all_ if all_ else 1.0


@dataclass(frozen=True, slots=True)
class FileTotal:
    """What ran of a file.

    Attributes:
        path: relative if it is below the current folder, with "/".
        source: its lines, for people.
        functions: all, the outer ones first, without the file itself.
        whole: the file as one unit.
        units: its handlers, and the functions outside of them, in the order of the text.
    """

    path: str
    source: tuple[str, ...]
    functions: tuple[FunctionTotal, ...]
    whole: Unit
    units: tuple[Unit, ...]


def file_totals(coverage: Coverage) -> list[FileTotal]:
    """The totals of all files that tests loaded, by path."""
    return [_total(coverage, file) for _path, file in sorted(coverage.files.items())]


def shown_path(path: Path) -> str:
    """A path, relative if it is below the current folder."""
    folder = Path.cwd().resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _total(coverage: Coverage, file: CoveredFile) -> FileTotal:
    source = tuple(printable(text(file.data)).split("\n"))
    begins = Counter(function.first for function in file.functions)
    functions = _apart(file.functions)
    found = [_function(coverage, file, one, source, begins) for one in functions]
    whole, *inner = found
    path = shown_path(file.path)
    return FileTotal(path, source, tuple(inner), _unit(whole, found), tuple(_units(inner)))


def _apart(functions: Iterable[LuaFunction]) -> Iterator[LuaFunction]:
    """The functions of a file; those with the same first and last line count as one."""
    places: dict[tuple[int, int], LuaFunction] = {}
    for one in functions:
        twin = places.get((one.first, one.last))
        if twin is not None:
            branches = {**one.branches, **twin.branches}
            one = LuaFunction(one.first, one.last, one.lines | twin.lines, branches)
        places[one.first, one.last] = one
    yield from places.values()


def _function(
    coverage: Coverage,
    file: CoveredFile,
    function: LuaFunction,
    source: tuple[str, ...],
    begins: Counter[int],
) -> FunctionTotal:
    place = FunctionPlace(file.name, file.digest, function.first, function.last)
    jumps = coverage.jumps.get(place, Counter[tuple[int, int]]())
    hits = Counter[int]()
    for (_from, to), times in jumps.items():
        hits[to] += times
    branches = tuple(
        BranchTotal(line, {to: jumps[line, to] for to in ways})
        for line, ways in function.branches.items()
    )
    lines = {line: hits[line] for line in sorted(function.lines)}
    called = sum(times for (start, _to), times in jumps.items() if start == 0)
    handlers = list(coverage.handlers.get(place, ()))
    name = ", ".join(map(printable, handlers))
    if not handlers and begins[function.first] == 1 and function.first:
        name = _name(source, function.first)
    first, last = function.first, function.last
    return FunctionTotal(name, bool(handlers), first, last, called, lines, branches)


def _name(source: tuple[str, ...], line: int) -> str:
    """The name that a line gives to the function that begins in it; "" for none."""
    found = _NAMED.search(source[line - 1]) if line <= len(source) else None
    return (found[1] or found[2]) if found else ""


def _units(functions: list[FunctionTotal]) -> Iterator[Unit]:
    """All handlers, and functions that are not inside another unit."""
    covered = 0  # the last line of the unit before
    for function in sorted(functions, key=lambda one: (one.first, -one.last)):
        if function.handler or function.first > covered:
            yield _unit(function, [one for one in functions if _is_in(one, function)])
            covered = max(covered, function.last)


def _is_in(one: FunctionTotal, other: FunctionTotal) -> bool:
    return other.first <= one.first and one.last <= other.last


def _unit(of: FunctionTotal, parts: Iterable[FunctionTotal]) -> Unit:
    lines = Counter[int]()
    branches: list[BranchTotal] = []
    for part in parts:
        lines.update(part.lines)
        branches += part.branches
    # `Counter` keeps zeros.
    ordered = tuple(sorted(branches, key=lambda branch: branch.line))
    return Unit(of.name, of.handler, of.first, of.last, dict(sorted(lines.items())), ordered)


def spans(lines: Iterable[int]) -> str:
    """Lines for people: "3-5, 8"."""
    parts: list[list[int]] = []
    for line in lines:
        if parts and line == parts[-1][-1] + 1:
            parts[-1][1:] = [line]
        else:
            parts.append([line])
    return ", ".join("-".join(map(str, part)) for part in parts)
