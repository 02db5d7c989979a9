"""Finds a page of transactions in the index.

Each clause of a query has a list of places. The search reads one list from the cursor on, and looks
each place up in the others, until the page is full. Which list is best is not known before. So it
reads each list a little, then each further, until one fills the page or ends. So a poll costs what
its page costs, however long the log is. Where all lists are long and have nothing in common, the
search ends at a bound.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from aoshell.nodes.database_errors import code_of
from aoshell.serve.graphql.entries import Entry, bounds, height_bounds, sound
from aoshell.serve.graphql.errors import GraphqlError
from aoshell.serve.graphql.filters import Clause, Filter
from aoshell.serve.graphql.index import COLUMNS, LONGEST_KEY, Index, read_row, to_key

MOST_STEPS = 30_000_000  # of SQLite's machine in one search: a few seconds
MOST_COUNTED = 100_000  # messages that `count` counts
MOST_VALUES = 50_000  # different values of one tag that are compared with a pattern
MOST_FITTING = 500  # of these values that may fit
LARGEST_PAGE = 32 << 20  # characters of tags

_FACTORS = (2, 20, 200, 2_000)  # places of each list that are read for one place of a page
_STEPS = 10_000  # of SQLite's machine after which the bound is checked


@dataclass(frozen=True, slots=True)
class _List:
    """The keys of a clause that the index has."""

    keys: tuple[int, ...]
    negated: bool


def find(index: Index, wanted: Filter, limit: int) -> list[Entry]:
    """The first `limit` transactions after the cursor that a query finds.

    Raises:
        GraphqlError: the search or the page is too large.
    """
    with _bounded(index):
        places = _Search(index.db, wanted).places(*bounds(wanted), limit)
        return list(_rows(index.db, places))


def count(index: Index, wanted: Filter) -> int:
    """How many transactions a query finds in all, `MOST_COUNTED` at most."""
    with _bounded(index):
        return len(_Search(index.db, wanted).places(*height_bounds(wanted), MOST_COUNTED))


@contextmanager
def _bounded(index: Index) -> Iterator[None]:
    """Ends a search that takes too many steps."""
    left = MOST_STEPS // _STEPS

    def step() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    index.db.set_progress_handler(step, _STEPS)
    try:
        with index.errors():
            try:
                yield
            except sqlite3.OperationalError as error:
                if code_of(error) != sqlite3.SQLITE_INTERRUPT:
                    raise
                raise GraphqlError(
                    "The query has to look at too many transactions: name a recipient, an owner, "
                    "or a tag that fewer have."
                ) from None
    finally:
        index.db.set_progress_handler(None, 0)


class _Search:
    """The search for one query."""

    def __init__(self, db: sqlite3.Connection, wanted: Filter) -> None:
        self._db = db
        self._newest_first = wanted.newest_first
        self._order = "DESC" if wanted.newest_first else "ASC"
        self._ids = None if wanted.ids is None else sorted(map(sound, wanted.ids))
        self._lists = [
            _List(tuple(self._keys(clause)), clause.negated) for clause in wanted.clauses
        ]

    def places(self, lowest: int, highest: int, limit: int) -> list[int]:
        """The first places between two bounds, in order."""
        lists = [one for one in self._lists if one.keys or not one.negated]
        if not all(one.keys for one in lists):
            return []
        if self._ids is not None:
            starts = [("messages m WHERE m.id = ? AND", id) for id in self._ids]
            return self._walk(starts, lists, lowest, highest, limit)
        walked = [one for one in lists if not one.negated]
        if not walked:
            return self._walk([("messages m WHERE ? AND", 1)], lists, lowest, highest, limit)
        for factor in _FACTORS if len(walked) > 1 else ():
            for one in walked:
                edge = self._edge(one, lowest, highest, factor * limit)
                if edge is None:
                    return self._along(one, lists, lowest, highest, limit)
                near = (edge, highest) if self._newest_first else (lowest, edge)
                if len(found := self._along(one, lists, *near, limit)) == limit:
                    return found
        return self._along(walked[0], lists, lowest, highest, limit)

    def _edge(self, one: _List, lowest: int, highest: int, count: int) -> int | None:
        """The place of entry number `count` of a list; None if the list has fewer."""
        sql = (
            "SELECT place FROM postings WHERE key = ? AND place BETWEEN ? AND ? "
            f"ORDER BY place {self._order} LIMIT 1 OFFSET ?"
        )
        rows = (self._db.execute(sql, (key, lowest, highest, count)).fetchone() for key in one.keys)
        edges = [int(row[0]) for row in rows if row]
        if not edges:
            return None
        return max(edges) if self._newest_first else min(edges)

    def _along(
        self, one: _List, lists: Sequence[_List], lowest: int, highest: int, limit: int
    ) -> list[int]:
        """The first places of one list that fulfil all others."""
        starts = [("postings m WHERE m.key = ? AND", key) for key in one.keys]
        others = [other for other in lists if other is not one]
        return self._walk(starts, others, lowest, highest, limit)

    def _walk(
        self,
        starts: Sequence[tuple[str, str | int]],
        others: Sequence[_List],
        lowest: int,
        highest: int,
        limit: int,
    ) -> list[int]:
        """The first places that any of several queries finds.

        Args:
            starts: the start of each SQL query, and the value of its parameter.
            others: lists that each place must be in, or not be in if `negated`.
        """
        tests = [
            f"AND {'NOT ' * one.negated}EXISTS (SELECT 1 FROM postings o "
            f"WHERE o.place = m.place AND o.key IN ({','.join('?' * len(one.keys))})) "
            for one in others
        ]
        given = [key for one in others for key in one.keys]
        end = f"m.place BETWEEN ? AND ? {''.join(tests)}ORDER BY m.place {self._order} LIMIT ?"
        found = set[int]()
        for start, value in starts:
            sql = f"SELECT m.place FROM {start} {end}"
            rows = self._db.execute(sql, (value, lowest, highest, *given, limit))
            found.update(place for (place,) in rows)
        return sorted(found, reverse=self._newest_first)[:limit]

    def _keys(self, clause: Clause) -> list[int]:
        """The keys that fit a clause."""
        name = to_key(sound(clause.name))
        if clause.match is None:
            values = {to_key(sound(value)) for value in clause.values}
        else:
            values = set(self._fitting(clause, name))
        sql = "SELECT key FROM keys WHERE kind = ? AND name = ? AND value = ?"
        rows = (self._db.execute(sql, (clause.kind, name, value)).fetchone() for value in values)
        return [row[0] for row in rows if row]

    def _fitting(self, clause: Clause, name: str) -> Iterator[str]:
        """The values of a tag that fit the pattern of a clause, except very long ones."""
        assert clause.match is not None
        rows = self._db.execute(
            "SELECT value FROM keys WHERE kind = ? AND name = ? AND length(value) <= ? LIMIT ?",
            (clause.kind, name, LONGEST_KEY, MOST_VALUES + 1),
        )
        fitting = 0
        for seen, (value,) in enumerate(rows):
            if seen == MOST_VALUES:
                raise GraphqlError(
                    f'Tag "{name}" has too many values to be compared with a pattern.'
                )
            if clause.match(value):
                fitting += 1
                if fitting > MOST_FITTING:
                    raise GraphqlError(f'More than {MOST_FITTING} values of tag "{name}" fit.')
                yield value


def _rows(db: sqlite3.Connection, places: Sequence[int]) -> Iterator[Entry]:
    size = 0
    for place in places:
        row = db.execute(f"SELECT {COLUMNS} FROM messages WHERE place = ?", (place,)).fetchone()
        if row is None:  # another process has emptied the index
            continue
        size += len(row[-1])
        if size > LARGEST_PAGE:
            raise GraphqlError('The page is too large: ask for fewer transactions with "first".')
        yield read_row(row)


def known_ids(index: Index, ids: Iterable[str]) -> set[str]:
    """Those of some ids that the index has."""
    sql = "SELECT 1 FROM messages WHERE id = ?"
    with index.errors():
        return {id for id in ids if index.db.execute(sql, (id,)).fetchone()}
