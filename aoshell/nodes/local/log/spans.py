"""Reads parts of logs: between places and times, in both directions, and all logs by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aoshell.nodes.glances import Use
from aoshell.nodes.local.log.reading import LOGGED, PROCESS, Reader, pair, prefixed
from aoshell.nodes.local.log.rows import PARTIAL, Computed, Logged, ProcessRow, Upload
from aoshell.nodes.served import Span
from aoshell.nodes.values import Place
from aoshell.protocol.encoding import has_id_form

_LARGEST = (1 << 63) - 1  # the largest number that the database can hold
_LAST = Place(_LARGEST)


def computed_in(
    reader: Reader, process: int, span: Span, limit: int, *, failed: bool
) -> list[tuple[Logged, Computed | None]]:
    """Messages with results, cron included; one more than `limit` if there are more."""
    where, args = _bounds(reader, process, span)
    among = "" if failed else "AND outcome = 'ok'"
    rows = reader.select(
        f"SELECT {prefixed(LOGGED)}, r.* FROM log l JOIN results r USING (seq) "
        f"WHERE {where} {among} {_order(span)} LIMIT ?",
        *args,
        limit + 1,
    )
    return [pair(row) for row in rows]


def scheduled_in(reader: Reader, process: int, span: Span, limit: int) -> list[Logged]:
    """Messages, cron left out; one more than `limit` if there are more."""
    where, args = _bounds(reader, process, span)
    rows = reader.select(
        f"SELECT {LOGGED} FROM log WHERE {where} AND tick = 0 {_order(span)} LIMIT ?",
        *args,
        limit + 1,
    )
    return [Logged(*row) for row in rows]


def logged_in(
    reader: Reader, process: int, span: Span, limit: int
) -> Iterator[tuple[Logged, Computed | None]]:
    """Messages, computed or not, cron included; read one at a time."""
    where, args = _bounds(reader, process, span)
    rows = reader.stream(
        f"SELECT {prefixed(LOGGED)}, r.* FROM log l LEFT JOIN results r USING (seq) "
        f"WHERE {where} {_order(span)} LIMIT ?",
        *args,
        limit,
    )
    return (pair(row) for row in rows)


def used_in(reader: Reader, process: int, first: int, last: int, parts: int) -> list[Use]:
    """What computed messages used; slots first…last are grouped into at most `parts` parts."""
    width = max(1, -(-(last - first + 1) // parts))
    rows = reader.select(
        "SELECT min(slot), max(slot), max(milliseconds), max(memory), max(gas), "
        "sum(outcome != 'ok') FROM log l JOIN results r USING (seq) "
        "WHERE process = ? AND slot BETWEEN ? AND ? GROUP BY (slot - ?) / ? ORDER BY 1",
        *(process, first, last, first, width),
    )
    return [Use(*row) for row in rows]


def newest_processes(reader: Reader, limit: int) -> tuple[list[ProcessRow], int]:
    """The newest `limit` processes, newest first, and the number of all."""
    rows = reader.select(f"SELECT {PROCESS} FROM processes ORDER BY number DESC LIMIT ?", limit)
    return [ProcessRow(*row) for row in rows], reader.select_one("SELECT count(*) FROM processes")[
        0
    ]


def _order(span: Span) -> str:
    return "ORDER BY slot DESC, tick DESC" if span.newest_first else "ORDER BY slot, tick"


def _bounds(reader: Reader, process: int, span: Span) -> tuple[str, Sequence[Any]]:
    """A condition and its arguments. Times are first turned into slots, which have an index."""
    after, to = span.after or Place(-1), span.to or _LAST
    where = "process = ? AND (slot, tick) > (?, ?) AND (slot, tick) <= (?, ?)"
    args: list[Any] = [process, *after, *to]
    if span.since is not None:
        where += " AND slot >= ? AND timestamp > ?"
        args += (slot_at(reader, process, span.since), span.since)
    if span.until is not None:
        where += " AND slot <= ? AND timestamp <= ?"
        args += (slot_at(reader, process, span.until), span.until)
    return where, [_held(number) for number in args]


def _held(number: int) -> int:
    """The nearest number that the database can hold, as a client may ask for any number."""
    return max(-_LARGEST, min(number, _LARGEST))


def slot_at(reader: Reader, process: int, time: int) -> int:
    """The last slot scheduled up to a time, -1 for none. In a log, time never goes back."""
    low = -1
    high: int = reader.select_one("SELECT max(slot) FROM log WHERE process = ?", process)[0] or 0
    while low < high:
        middle = (low + high + 1) // 2
        found = reader.select_one(
            "SELECT timestamp FROM log WHERE process = ? AND slot = ? AND tick = 0", process, middle
        )
        if found is not None and found[0] <= time:
            low = middle
        else:
            high = middle - 1
    return low


def find_scheduled(
    reader: Reader, process: int, place: int | str
) -> tuple[Logged, Computed | None] | None:
    """A message by its slot, its id, or the id of its assignment."""
    columns = f"SELECT {prefixed(LOGGED)}, r.* FROM log l LEFT JOIN results r USING (seq) WHERE"
    if isinstance(place, int):
        keys, place = ["slot = ? AND tick = 0"], _held(place)
    elif has_id_form(place):
        keys = ["id = ?", "assignment = ? AND assignment != ''"]
    else:
        keys = []
    for key in keys:
        row = reader.select_one(
            f"{columns} {key} AND process = ? ORDER BY l.seq LIMIT 1", place, process
        )
        if row:
            return pair(row)
    return None


def find_message(reader: Reader, message_id: str) -> Logged | None:
    """A message of any log by its id; a signed one if there is any."""
    if not has_id_form(message_id):
        return None
    row = reader.select_one(
        f"SELECT {LOGGED} FROM log WHERE id = ? ORDER BY signed IS NULL, seq LIMIT 1", message_id
    )
    return Logged(*row) if row else None


def find_upload(reader: Reader, item_id: str) -> Upload | None:
    """An upload by its id."""
    if not has_id_form(item_id):
        return None
    row = reader.select_one("SELECT * FROM uploads WHERE id = ?", item_id)
    return Upload(*row) if row else None


def taken_behind(reader: Reader, seq: int, limit: int) -> list[Logged | Upload]:
    """What the node took after a number, in order, without processes that are `PARTIAL`."""
    first = reader.select_one(
        "SELECT min(seq) FROM log WHERE process = ?", reader.meta(PARTIAL) or 0
    )[0]
    last = first or 1 << 62
    logged = reader.select(
        f"SELECT {LOGGED} FROM log WHERE seq > ? AND seq < ? ORDER BY seq LIMIT ?",
        *(_held(seq), last, limit),
    )
    uploads = reader.select(
        "SELECT * FROM uploads WHERE seq > ? AND seq < ? ORDER BY seq LIMIT ?",
        *(_held(seq), last, limit),
    )
    found: list[Logged | Upload] = [Logged(*row) for row in logged]
    found += [Upload(*row) for row in uploads]
    return sorted(found, key=lambda row: row.seq)[:limit]
