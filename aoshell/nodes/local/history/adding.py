"""Adding a process that comes with its log: `.import` and `.fork`.

A long log is written a slice at a time, so that the rest of the node goes on. The process is there
with the last slice, or not at all: until then its number is marked, and what a node that has ended
in the middle finds under that mark it forgets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from aoshell.errors import AoError
from aoshell.nodes.local.history.longwork import LongWork
from aoshell.nodes.local.log.rows import Batch, Computed, Logged, ProcessRow
from aoshell.nodes.local.log.scheduler import Scheduler
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.roots import Roots

SLICE = 500  # messages that are written at once
ADDING = "adding"  # in the table of facts: number of the process, 0 for none

Entries = Sequence[tuple[Logged, Computed | None]]


class AddingPort(Protocol):
    """What adding needs of the node."""

    store: Store
    scheduler: Scheduler
    roots: Roots
    work: LongWork

    def process(self, process_id: str) -> ProcessRow | None: ...
    def flush(self) -> None: ...
    def take_in(self, batch: Batch) -> None: ...


class Adding:
    """Adds one process at a time."""

    def __init__(self, node: AddingPort) -> None:
        self._node = node
        self._turn = asyncio.Lock()
        self._forget()

    async def add(self, row: ProcessRow, entries: Entries) -> ProcessRow:
        """Write a process and its log, under numbers of this node, and compute what has no result.

        Raises:
            AoError: it is here already, or cannot be written; nothing is left of it.
        """
        async with self._turn:
            if self._node.process(row.id) is not None:
                raise AoError(
                    f"process {row.id} is on this node already",
                    stage="import",
                    hint=".delete it first to replace it",
                )
            try:
                return await self._add(row, entries)
            except BaseException:
                self._forget()
                raise

    async def _add(self, row: ProcessRow, entries: Entries) -> ProcessRow:
        node = self._node
        row = row._replace(number=node.scheduler.new_process())
        # What is to be computed is written with the process that computes it.
        known = sum(computed is not None for _, computed in entries)
        with node.work.seen("write", row.name, len(entries)) as seen:
            at = 0
            while known - at > SLICE:
                batch = self._batch(row, entries[at : at + SLICE])
                batch.facts[ADDING] = row.number
                node.flush()
                node.store.commit(batch, sync=False)
                at += SLICE
                seen(at)
                await asyncio.sleep(0)
            node.flush()
            batch = self._batch(row, entries[at:known])
            done = node.roots.computed_to(node.scheduler.last_seq)
            batch.log += self._batch(row, entries[known:]).log
            batch.processes.append(row)
            batch.computed_to = done
            if at:
                batch.facts[ADDING] = 0
            node.take_in(batch)
        return row

    def _batch(self, row: ProcessRow, entries: Entries) -> Batch:
        made = Batch()
        for logged, computed in entries:
            seq = self._node.scheduler.new_seq()
            made.log.append(
                logged._replace(seq=seq, process=row.number, cause=None, idx=None, root=seq)
            )
            if computed is not None:
                made.results.append(computed._replace(seq=seq))
        return made

    def _forget(self) -> None:
        """Forget what was begun and did not come to its end."""
        store = self._node.store
        number = store.meta(ADDING) or 0
        while number and store.forget(number, 0, SLICE):
            pass
        if number:
            store.set_meta(ADDING, 0)
