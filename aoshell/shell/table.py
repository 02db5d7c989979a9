"""Tables, as values; `shell.view.tables` shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for a person; cells are text.

    Attributes:
        right: names of the columns set to the right: numbers, which are never cut.
        wraps: whether the last column is sentences, which continue on the next line if they do not
            fit.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[str] = frozenset()
    wraps: bool = False

    def marked(self, marks: Sequence[bool]) -> Table:
        """The table with a first column in which `>` marks some rows."""
        rows = zip(marks, self.rows, strict=True)
        return Table(
            ("", *self.columns), tuple((">" * mark, *row) for mark, row in rows), self.right
        )

    def without(self, column: str) -> Table:
        """The table without one of its columns."""
        at = self.columns.index(column)
        rows = tuple(row[:at] + row[at + 1 :] for row in self.rows)
        columns = self.columns[:at] + self.columns[at + 1 :]
        return Table(columns, rows, self.right, self.wraps)
