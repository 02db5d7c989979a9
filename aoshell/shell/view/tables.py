"""Tables, in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from aoshell.protocol.encoding import has_id_form
from aoshell.shell.table import Table
from aoshell.shell.view.text import (
    clean_line,
    columns_of,
    format_size,
    format_time,
    width_of,
    wrapped_rows,
)

if TYPE_CHECKING:
    from aoshell.nodes.values import ProcessInfo

_GAP = 2  # columns between two cells of a table
_SHORT = 9  # least columns of a text that is cut: eight characters of an id and the mark
_WIDEST = 16_384  # columns of a cell without a screen: the widest cell widens all rows


def table_lines(table: Table, columns: int = 0) -> list[str]:
    """A table as aligned text, its header first.

    Args:
        columns: of the screen. Ids are cut first, then texts, the first column last; numbers are
            never cut. If the screen is too narrow for all columns, each cell gets a line. 0 without
            a screen: then only cells wider than `_WIDEST` are cut.
    """
    rows = [table.columns, *(tuple(clean_line(value) for value in row) for row in table.rows)]
    most = columns or _WIDEST
    widths = [min(most, max(width_of(row[i]) for row in rows)) for i in range(len(table.columns))]
    if columns:
        fitting = _fitted(table, rows, widths, columns - _GAP * (len(widths) - 1))
        if fitting is None:
            return _one_below_the_other(rows, columns, wraps=table.wraps)
        widths = fitting
    right = [name in table.right for name in table.columns]
    if table.wraps and columns:
        rows = [part for row in rows for part in _wrapped(row, widths[-1])]
    return [_aligned(row, widths, right) for row in rows]


def _wrapped(row: tuple[str, ...], width: int) -> Iterator[tuple[str, ...]]:
    """A row, and rows below it for the rest of its last cell."""
    first, *others = wrapped_rows(row[-1], width).split("\n")
    yield (*row[:-1], first)
    for part in others:
        yield (*("" for _ in row[:-1]), part)


def _fitted(
    table: Table, rows: list[tuple[str, ...]], widths: list[int], room: int
) -> list[int] | None:
    """Widths that fit; None if there is no room for the numbers and enough of the texts."""
    fitted = list(widths)
    texts = [i for i, name in enumerate(table.columns) if name not in table.right]
    ids = [i for i in texts if any(has_id_form(row[i]) for row in rows)]
    called = next((i for i in texts if table.columns[i]), None)
    # The beginning of an id identifies it, so ids are cut first. Then the widest texts are cut, the
    # first column last: it says what a row is about, and names may begin alike.
    for cut in (ids, [i for i in texts if i != called], texts):
        while sum(fitted) > room:
            widest = max(cut, key=lambda i: fitted[i], default=None)
            if widest is None or fitted[widest] <= min(widths[widest], _SHORT):
                break
            others = max((fitted[i] for i in cut if fitted[i] < fitted[widest]), default=0)
            excess = sum(fitted) - room
            fitted[widest] -= max(1, min(excess, fitted[widest] - max(others, _SHORT)))
    if sum(fitted) <= room:
        return fitted
    if len(widths) > 1 and len(rows) > 1:
        return None
    return [max(1, room // len(widths))] * len(widths)


def _one_below_the_other(rows: list[tuple[str, ...]], columns: int, *, wraps: bool) -> list[str]:
    """A table as a block of lines for each row."""
    header, *others = rows
    width = min(max(map(width_of, header)), max(1, columns // 2))
    room = max(1, columns - width - 1)
    lines: list[str] = []
    for row in others:
        lines += [""] if lines else []
        mark = ""
        for name, value in zip(header, row, strict=True):
            if not name:  # a mark, which goes before the next cell
                mark = f"{value} " if value else ""
                continue
            value, mark = mark + value, ""
            label = _cut(name, width)
            fill = " " * (width - width_of(label))
            last = wraps and name == header[-1]
            parts = wrapped_rows(value, room).split("\n") if last else [_cut(value, room)]
            lines.append(f"{label}{fill} {parts[0]}".rstrip())
            lines += [" " * (width + 1) + part for part in parts[1:]]
    return lines


def process_table(processes: Iterable[ProcessInfo]) -> Table:
    """The table of `.ps` and `--list`.

    AUTHORITY is the owner of what is pushed to a process that clients have spawned. TAGS: "as sent"
    if its handlers also get tags under their original names. FORKED: where a live process was
    forked, and whether it is called as compute units call it.
    """
    infos = list(processes)
    columns = ("NAME", "ID", "SLOTS", "TAIL", "STATE", "MEMORY", "DISK", "WAITING", "AUTHORITY")
    rows = tuple(
        (
            info.name or "-",
            info.id,
            str(info.slots),
            str(info.slots - 1 - (info.checkpoint if info.checkpoint is not None else -1)),
            "live" if info.live else "idle" if info.computed == info.slots else "behind",
            format_size(info.memory),
            format_size(info.disk),
            str(info.waiting or "-"),
            info.authority or "node",
            "as sent" if info.tags_as_sent else "-",
            _forked(info),
        )
        for info in infos
    )
    right = frozenset({"SLOTS", "TAIL", "MEMORY", "DISK", "WAITING"})
    table = Table((*columns, "TAGS", "FORKED"), rows, right)
    shown = {
        "AUTHORITY": any(info.authority for info in infos),
        "TAGS": any(info.tags_as_sent for info in infos),
        "FORKED": any(info.origin for info in infos),
    }
    for column in (name for name, on in shown.items() if not on):
        table = table.without(column)
    return table


def _forked(info: ProcessInfo) -> str:
    origin = info.origin
    if origin is None:
        return "-"
    memory = f", memory of slot {origin.memory} by {origin.vouched}" if origin.memory >= 0 else ""
    how = ", as a CU calls it" if origin.exact else ", as its node" if origin.as_node else ""
    return f"{origin.source} @{origin.slot}{memory}{how}"


def remote_table(processes: Iterable[ProcessInfo]) -> Table:
    """The table of `.ps` and `--list` for a remote node, which knows less."""
    rows = tuple(
        (info.name or "-", info.id, info.module or "-", format_time(info.created))
        for info in processes
    )
    return Table(("NAME", "ID", "MODULE", "MADE"), rows)


def _aligned(row: tuple[str, ...], widths: list[int], right: list[bool]) -> str:
    cells = []
    for value, width, to_right in zip(row, widths, right, strict=True):
        shown = _cut(value, width)
        fill = " " * (width - width_of(shown))
        cells.append(fill + shown if to_right else shown + fill)
    return (" " * _GAP).join(cells).rstrip()


def _cut(value: str, width: int) -> str:
    if width_of(value) <= width:
        return value
    used = 0
    for at, character in enumerate(value):
        used += columns_of(character)
        if used >= max(width, 1):
            return value[:at] + "…"
    return value + "…"
