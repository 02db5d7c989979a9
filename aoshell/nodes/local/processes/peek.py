"""Facts about a node's processes, for `.ps`, `--list` and the first prompt.

Works on a database that another shell may be using, and never writes to it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from aoshell.errors import AoError
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.checkpoint import Checkpoints
from aoshell.nodes.local.log.rows import AS_NODE, NETWORK, Computed, Origin, ProcessRow
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.log.totals import Totals, totals_of
from aoshell.nodes.values import ForkPoint, ProcessInfo
from aoshell.protocol.tag_names import AS_SENT


def describe_process(
    store: Store,
    checkpoints: Checkpoints,
    row: ProcessRow,
    totals: Totals,
    *,
    is_live: bool,
    tags_as_sent: bool,
) -> ProcessInfo:
    """Facts about a process, as `.ps` shows them; `tags_as_sent` is the value of `keeps_names`."""
    last = store.result_of(totals.effective)
    checkpoint, size = checkpoints.facts(row.id)
    return ProcessInfo(
        id=row.id,
        name=row.name,
        owner=row.owner,
        module=row.module,
        slots=totals.slots,
        computed=totals.computed,
        live=is_live,
        checkpoint=checkpoint,
        disk=totals.size + size,
        memory=last.memory if last else 0,
        waiting=totals.waits,
        prompt=_prompt(last),
        created=row.created,
        alias=row.alias,
        authority=row.authority,
        monitored=bool(row.monitored),
        network=row.chain == NETWORK,
        origin=fork_point(origin) if (origin := store.origin(row.number)) else None,
        tags_as_sent=tags_as_sent,
    )


def keeps_names(store: Store, number: int) -> bool:
    """Whether a process, by its definition, also gets tags under the names as they were sent."""
    first = store.at_slot(number, 0)
    tags = form.load_wire(first[0].body)[form.TAGS :] if first else []
    return form.find_tag(tags, AS_SENT.name) == AS_SENT.value


def fork_point(origin: Origin) -> ForkPoint:
    """The fork point of a fork, from its origin."""
    return ForkPoint(
        source=origin.source,
        slot=origin.slot,
        timestamp=origin.timestamp,
        unsigned=origin.unsigned,
        vouched=origin.vouched,
        memory=origin.memory_slot,
        exact=origin.module not in ("", AS_NODE),
        as_node=origin.module == AS_NODE,
    )


def list_processes(database: Path) -> list[ProcessInfo]:
    """All processes, newest first; none if there is no database yet.

    Raises:
        AoError: it cannot be read.
    """
    if not database.exists():
        return []
    store = Store.reading(database)
    try:
        checkpoints = Checkpoints(database.parent / "checkpoints")
        return [
            describe_process(
                store,
                checkpoints,
                row,
                totals_of(store, row.number),
                is_live=False,
                tags_as_sent=keeps_names(store, row.number),
            )
            for row in store.processes()
        ]
    finally:
        store.close()


def read_last_prompt(database: Path, name: str) -> str:
    """The last prompt of a process, "" if there is none or it cannot be read."""
    if not database.exists():
        return ""
    with contextlib.suppress(AoError, sqlite3.Error, ValueError):
        store = Store.reading(database)
        try:
            rows = store.find_processes(name)
            if len(rows) != 1:
                return ""
            return _prompt(store.result_of(totals_of(store, rows[0].number).effective))
        finally:
            store.close()
    return ""


def _prompt(last: Computed | None) -> str:
    return form.widen(form.load_result(last.body).prompt) if last else ""
