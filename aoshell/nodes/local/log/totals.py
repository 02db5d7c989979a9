"""Sums over the log of a process, without reading the whole log each time.

The table of facts has the sums up to some message with a result; later messages are added on each
call. Stored sums are valid only if that message is still there: after a cut, another message may
have its place, and everything is summed again.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from aoshell.nodes.local.log.reading import START, Reader
from aoshell.nodes.local.log.rows import Computed, Logged, mark_of
from aoshell.nodes.values import Place

PER_MESSAGE = 150  # bytes on disk of a message and its result, besides their texts


class Totals(NamedTuple):
    """Sums over the log of a process.

    Attributes:
        slots: scheduled slots.
        computed: slots with a result.
        size: bytes of messages and results.
        waits: suspended handlings.
        effective: seq of the last message that did not fail, 0 without any.
        summed: messages that were added to the stored sums.
    """

    slots: int
    computed: int
    size: int
    waits: int
    effective: int
    summed: int


class Kept(NamedTuple):
    """Stored sums: over all messages up to a place, which all have results."""

    slot: int
    tick: int
    mark: str
    size: int
    waits: int
    effective: int


_NONE = Kept(*START, "", 0, 0, 0)

_SIZE = (
    "coalesce(sum(length(l.body) + coalesce(length(l.signed), 0) "
    f"+ coalesce(length(r.body), 0) + {PER_MESSAGE}), 0)"
)
_BEHIND = "FROM log l LEFT JOIN results r USING (seq) WHERE process = ? AND (slot, tick) > (?, ?)"
_SUMS = (
    f"SELECT count(*), max(slot), max(CASE WHEN r.seq THEN slot END), {_SIZE}, "
    "coalesce(sum(r.waits), 0), max(CASE WHEN r.outcome = 'ok' THEN r.seq END) " + _BEHIND
)


def totals_of(reader: Reader, process: int) -> Totals:
    """The present sums. Raises AoError."""
    kept = _read(reader, process)
    count, slot, computed, size, waits, effective = reader.select_one(
        _SUMS, process, kept.slot, kept.tick
    )
    return Totals(
        slots=1 + (kept.slot if slot is None else slot),
        computed=1 + (kept.slot if computed is None else computed),
        size=kept.size + size,
        waits=max(0, kept.waits + waits),
        effective=kept.effective if effective is None else effective,
        summed=count,
    )


class Running:
    """Sums over messages of a process, which are added as they get their results.

    Thousands of objects may exist, so they keep no messages.

    Args:
        process: number of the process.
        first: the first of these messages; all earlier ones are on disk.
    """

    __slots__ = (
        "_before",
        "_effective",
        "_first",
        "_mark",
        "_place",
        "_process",
        "_size",
        "_waits",
    )

    def __init__(self, process: int, first: Place) -> None:
        self._process = process
        self._first = self._place = first
        self._mark = ""
        self._before: Kept | None = None
        self._size = self._waits = self._effective = 0

    def add(self, logged: Logged, computed: Computed) -> None:
        """Add the next message."""
        self._place, self._mark = Place(logged.slot, logged.tick), mark_of(logged)
        self._size += len(logged.body) + len(logged.signed or b"") + len(computed.body)
        self._size += PER_MESSAGE
        self._waits += computed.waits
        if computed.outcome == "ok":
            self._effective = logged.seq

    def look_back(self, reader: Reader) -> Kept:
        """Sums over everything before the first message; stored sums must not reach beyond it."""
        if self._before is None:
            kept = _read(reader, self._process)
            self._before = _summed(reader, self._process, kept, self._first, "<")
        return self._before

    def to_keep(self, reader: Reader) -> dict[str, str]:
        """The fact to store: the sums up to the last added message. Raises AoError."""
        before = self.look_back(reader)
        sums = Kept(
            *self._place,
            self._mark,
            before.size + self._size,
            before.waits + self._waits,
            self._effective or before.effective,
        )
        return {key_of(self._process): json.dumps(sums)}


def sums_to_keep(reader: Reader, process: int) -> dict[str, str]:
    """The fact to store: the sums up to the last message with a result; {} without any."""
    kept = _read(reader, process)
    last = reader.last_computed(process)
    if last is None:
        return {}
    place = Place(last[0].slot, last[0].tick)
    sums = _summed(reader, process, kept, place, "<=")._replace(mark=mark_of(last[0]))
    return {key_of(process): json.dumps(sums)}


def _summed(reader: Reader, process: int, kept: Kept, place: Place, how: str) -> Kept:
    """Sums up to a message, without its mark; `how`: "<=" with it, "<" without it."""
    _count, _slot, _computed, size, waits, effective = reader.select_one(
        f"{_SUMS} AND (slot, tick) {how} (?, ?)",
        *(process, kept.slot, kept.tick, *place),
    )
    return Kept(
        *(*place, "", kept.size + size, kept.waits + waits),
        effective=kept.effective if effective is None else effective,
    )


def key_of(process: int) -> str:
    """The name under which the table of facts has the sums of a process."""
    return f"sums {process}"


def _read(reader: Reader, process: int) -> Kept:
    """The stored sums, if they are valid; else sums over no message."""
    fact = reader.meta(key_of(process))
    if fact is None:
        return _NONE
    kept = Kept(*json.loads(fact))
    found = reader.at_slot(process, kept.slot, kept.tick)
    return kept if found is not None and mark_of(found[0]) == kept.mark else _NONE
