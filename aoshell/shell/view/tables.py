"""Tables, in columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from aoshell.shell.outcome import Table
from aoshell.shell.view.text import clean_line, columns_of, format_size, format_time, width_of

if TYPE_CHECKING:
    from aoshell.nodes.values import ProcessInfo

_GAP = 2  # columns between two cells of a table
_WIDEST = 16_384  # columns of a cell without a screen: rows are filled up to the widest cell


def table_lines(table: Table, columns: int = 0) -> list[str]:
    """A table as aligned text, its header first.

    Args:
        columns: of the screen; the widest columns are cut until the rest fits. 0 without a screen:
            then only cells wider than `_WIDEST` are cut.
    """
    rows = [table.columns, *(tuple(clean_line(value) for value in row) for row in table.rows)]
    most = columns or _WIDEST
    widths = [min(most, max(width_of(row[i]) for row in rows)) for i in range(len(table.columns))]
    excess = sum(widths) + _GAP * (len(widths) - 1) - columns if columns else 0
    for _ in range(max(0, excess)):
        widest = widths.index(max(widths))
        widths[widest] -= 1
    right = [name in table.right for name in table.columns]
    return [_aligned(row, widths, right) for row in rows]


def process_table(processes: Iterable[ProcessInfo]) -> Table:
    """`.ps` and `--list`. AUTHORITY owns what is pushed to a process that clients have spawned."""
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
        )
        for info in infos
    )
    right = frozenset({"SLOTS", "TAIL", "MEMORY", "DISK", "WAITING"})
    table = Table(columns, rows, right)
    return table if any(info.authority for info in infos) else table.without("AUTHORITY")


def remote_table(processes: Iterable[ProcessInfo]) -> Table:
    """`.ps` and `--list` of a remote node, which knows less."""
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
