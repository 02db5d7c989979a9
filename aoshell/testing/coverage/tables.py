"""Coverage as a table of text, and as values for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from aoshell.shell.view.text import clean
from aoshell.testing.coverage.totals import FileTotal, Unit, spans

_NAME = 40  # most columns of a name


def table_lines(files: Sequence[FileTotal], notes: Iterable[str]) -> Iterator[str]:
    """The table: a row for each file, then its handlers, each with the lines that did not run."""
    if not files:
        yield "no file whose lines can be counted was loaded, so nothing is covered"
    else:
        rows = [row for file in files for row in _file_rows(file)]
        total = _total_row(files) if len(files) > 1 else None
        width = max(len(row[0]) for row in [*rows, *([total] if total else [])])
        for name, figures, below in [*rows, *([total] if total else [])]:
            yield f"{name:<{width}}  {figures}".rstrip()
            yield from below
    for note in notes:
        yield clean(note, colour=False)


_Row = tuple[str, str, list[str]]


def _file_rows(file: FileTotal) -> Iterator[_Row]:
    yield clean(file.path, colour=False), _figures(file.whole), []
    inside: set[int] = set()
    for unit in file.units:
        inside.update(range(unit.first, unit.last + 1))
        if unit.handler or unit.share < 1:
            yield f"  {unit_name(unit)}", _figures(unit), _missing(unit)
    rest = [line for line in file.whole.missing if line not in inside]
    if rest:
        yield "  outside of functions", "", [f"    not run: {spans(rest)}"]


def unit_name(unit: Unit) -> str:
    """The name of a handler or a function, or its lines."""
    place = f"{unit.first}-{unit.last}" if unit.first < unit.last else f"{unit.first}"
    name = " ".join(clean(unit.name, colour=False).split())
    name = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
    if unit.handler:
        return f"{name} ({place})"
    return f"function {name} ({place})" if name else f"function ({place})"


def _figures(unit: Unit) -> str:
    return _columns(unit.ran, len(unit.lines), unit.taken, unit.ways)


def _columns(ran: int, lines: int, taken: int, ways: int) -> str:
    branches = f"{taken} of {ways} branches" if ways else ""
    return f"{f'{ran} of {lines} lines':>18} {_percent(ran, lines):>4}  {branches:>18}"


def _percent(part: int, whole: int) -> str:
    """A percentage, rounded down, so that only the whole is 100 %."""
    return f"{100 * part // whole}%" if whole else "-"


def _missing(unit: Unit) -> list[str]:
    lines = [f"    not run: {spans(unit.missing)}"] if unit.missing else []
    return [*lines, *(f"    {text}" for text in untaken(unit))]


def untaken(unit: Unit) -> Iterator[str]:
    """The branches that ran but did not take all their ways, one text each."""
    for branch in unit.branches:
        never = [to for to, times in branch.ways.items() if not times]
        if branch.taken and never:
            places = ", ".join(_place(branch.line, to, unit.last) for to in never)
            yield f"line {branch.line} never went on {places}"


def _place(line: int, to: int, last: int) -> str:
    if to == line:
        return "to itself again"
    return f"to the end ({to})" if to == last else f"to {to}"


def _total_row(files: Iterable[FileTotal]) -> _Row:
    wholes = [file.whole for file in files]
    ran, lines = sum(one.ran for one in wholes), sum(len(one.lines) for one in wholes)
    taken, ways = sum(one.taken for one in wholes), sum(one.ways for one in wholes)
    return "in all", _columns(ran, lines, taken, ways), []


def json_values(files: Iterable[FileTotal], notes: Iterable[str]) -> dict[str, Any]:
    """The same as values for JSON."""
    return {
        "coverage": [
            {"file": file.path, **_values(file.whole), "handlers": list(_handlers(file))}
            for file in files
        ],
        "notes": list(notes),
    }


def _handlers(file: FileTotal) -> Iterator[dict[str, Any]]:
    for unit in file.units:
        if unit.handler:
            place = {"first": unit.first, "last": unit.last}
            yield {"name": unit.name, **place, **_values(unit)}


def _values(unit: Unit) -> dict[str, Any]:
    return {
        "lines": len(unit.lines),
        "run": unit.ran,
        "missing": unit.missing,
        "branches": unit.ways,
        "taken": unit.taken,
    }
