"""A whole node as a file: `aoshell dump`.

First come the header, modules with their names, processes, and facts about them. Then come all
messages, in the order in which the node took them: each with its result and the kept messages of
its outbox, with signed uploads in between. Uploads and signatures for a fork of a live process are
left out. Data is not changed; `withheld.warnings` says if it holds such items. The ids of deleted
forks are included. Numbers are those of the database; `loading` gives new ones, in the same order.
Keys and tokens are never read.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import closing
from heapq import merge
from typing import Any

from aoshell import __version__
from aoshell.errors import AoError
from aoshell.nodes.local.clock.ticking import NodeClock
from aoshell.nodes.local.delivery.intake import WALLETS
from aoshell.nodes.local.delivery.keeping import PAUSED
from aoshell.nodes.local.forked.memories import Memories
from aoshell.nodes.local.forked.withheld import Elsewhere
from aoshell.nodes.local.history import parts, records
from aoshell.nodes.local.history.longwork import Progress
from aoshell.nodes.local.log import elsewhere as ids
from aoshell.nodes.local.log.reading import LOGGED, pair, prefixed
from aoshell.nodes.local.log.rows import (
    PARTIAL,
    Computed,
    Kept,
    Logged,
    Origin,
    ProcessRow,
    Upload,
)
from aoshell.nodes.local.log.schema import VERSION
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.marks import Marks
from aoshell.nodes.local.processes.peek import fork_point
from aoshell.nodes.values import ForkPoint
from aoshell.protocol.wallet import address_of

_Entry = tuple[Logged, Computed | None]


def dump_node(
    store: Store, header: dict[str, Any], progress: Progress
) -> Generator[bytes, None, None]:
    """The bytes of a dump. The store must be a snapshot (`Store.unchanging`).

    Args:
        header: `read_header` of the same snapshot.
        progress: called with the number of messages written so far.

    Raises:
        AoError: stage "dump", a record is too large.
    """
    try:
        with closing(_records(store, header, progress)) as found:  # it holds a cursor
            yield from parts.write_parts(found)
    except parts.TooLargeError as error:
        raise AoError(
            f"a message or module takes {error} in a file, which is more than can be loaded",
            stage="dump",
            hint=".export the other processes, or copy the folder of the home",
        ) from error


def read_header(store: Store) -> dict[str, Any]:
    """The first record of a dump: facts about the node, and numbers of records.

    Raises:
        AoError: stage "dump", a newer program wrote the store.
    """
    version = store.select_one("PRAGMA user_version")[0]
    if version > VERSION:
        raise AoError(
            f"{store.path} has format {version}, this aoshell knows formats up to {VERSION}",
            stage="dump",
            hint="use the aoshell that wrote it",
        )
    clock, key = NodeClock(store), store.meta("node_public_key")
    ids = {row.id for row in _processes(store)}
    return {
        "aoshell": __version__,
        "node": address_of(key) if key else "",
        "time": clock(),
        "ahead": clock.ahead,
        "wallets": json.loads(store.meta(WALLETS) or "[]"),
        "paused": [one for one in json.loads(store.meta(PAUSED) or "[]") if one in ids],
        "processes": len(ids),
        "modules": store.select_one("SELECT count(*) FROM modules")[0],
        "messages": store.select_one(
            "SELECT count(*) FROM log WHERE process != ?", store.meta(PARTIAL) or 0
        )[0],
        "uploads": _count_uploads(store),
    }


def _processes(store: Store) -> list[ProcessRow]:
    """Those that are there as a whole, the newest first."""
    partial = store.meta(PARTIAL) or 0
    return [row for row in store.processes() if row.number != partial]


def count_left_out(store: Store, header: dict[str, Any]) -> int:
    """How many uploads a dump with that header leaves out, as they are signed for forks."""
    return int(store.select_one("SELECT count(*) FROM uploads")[0] - header["uploads"])


def read_forks(store: Store) -> list[tuple[str, ForkPoint]]:
    """The forks of live processes: (name or id, fork point)."""
    found = []
    for at in store.select("SELECT * FROM origins ORDER BY process"):
        row = store.process_numbered(at[0])
        found.append((row.name or row.id, fork_point(Origin(*at))))
    return found


def _count_uploads(store: Store) -> int:
    if Elsewhere.of(store):
        return sum(1 for _ in _uploads(store))
    return int(store.select_one("SELECT count(*) FROM uploads")[0])


def _records(
    store: Store, header: dict[str, Any], progress: Progress
) -> Generator[dict[str, Any], None, None]:
    yield {"state": header}
    for module_id, kind, data, created in store.stream("SELECT * FROM modules ORDER BY id"):
        yield {"module": [module_id, kind, records.text_of(data), created]}
    for name in store.module_names():
        yield {"name": list(name)}
    rows = _processes(store)[::-1]
    for row in rows:
        yield {"process": records.without_defaults(row)}
    origins = [origin for row in rows if (origin := store.origin(row.number))]
    yield from map(records.of_origin, origins)
    for digest in sorted({origin.memory for origin in origins if origin.memory}):
        yield records.of_memory(Memories(store.folder), digest)
    marks = Marks(store)
    for row in rows:
        if found := marks.of(row.id):
            yield {"marks": [row.id, found]}
    if gone := ids.gone(store):
        yield {"elsewhere": gone}
    yield from _messages(store, progress)


def _messages(store: Store, progress: Progress) -> Iterator[dict[str, Any]]:
    """Messages and uploads in the order of their numbers, kept messages after their cause."""
    kept = (Kept(*row) for row in store.stream("SELECT * FROM kept ORDER BY cause, idx"))
    left, done = next(kept, None), 0
    elsewhere, forks = Elsewhere.of(store), dict(store.select("SELECT process, slot FROM origins"))
    for found in merge(_log(store), _uploads(store), key=_number):
        if isinstance(found, Upload):
            yield {"upload": found._asdict() | {"signed": records.text_of(found.signed)}}
            continue
        logged, computed = found
        given = elsewhere.stripped(logged, forks.get(logged.process))
        yield records.of_entry(given, computed)
        done += 1
        progress(done)
        while left is not None and left.cause <= logged.seq:
            if left.cause == logged.seq:
                yield {"kept": left._asdict() | {"body": left.body.decode("latin-1")}}
            left = next(kept, None)


def _number(found: _Entry | Upload) -> int:
    return found.seq if isinstance(found, Upload) else found[0].seq


def _log(store: Store) -> Iterator[_Entry | Upload]:
    """All messages, except those of a process that is being added or deleted."""
    rows = store.stream(
        f"SELECT {prefixed(LOGGED)}, r.* FROM log l LEFT JOIN results r USING (seq) "
        "WHERE process != ? ORDER BY l.seq",
        store.meta(PARTIAL) or 0,
    )
    yield from map(pair, rows)


def _uploads(store: Store) -> Iterator[_Entry | Upload]:
    """All uploads, except those that are signed for forks."""
    elsewhere = Elsewhere.of(store)
    for row in store.stream("SELECT * FROM uploads ORDER BY seq"):
        if not elsewhere.holds_back(upload := Upload(*row)):
            yield upload
