"""Adds a process together with its log: `.import` and `.fork`.

A long log is written in slices, so that the rest of the node can go on. The process itself is
written with the last slice. Until then its number is marked, as is that of a process that is being
deleted. If the node ends before that, its next start deletes everything under that number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from aoshell.errors import AoError
from aoshell.nodes.local.history.longwork import LongWork
from aoshell.nodes.local.log.rows import PARTIAL, Batch, Computed, Logged, Origin, ProcessRow
from aoshell.nodes.local.log.scheduler import Scheduler
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.process_rows import ProcessRows
from aoshell.nodes.local.waiting.roots import Roots

SLICE = 500  # messages that one transaction writes

Entries = Sequence[tuple[Logged, Computed | None]]
Modules = Sequence[tuple[str, str, bytes, int]]
"""Rows of the database."""


class Adding:
    """Adds one process at a time.

    Args:
        flush: writes the results of workers.
        add_with_log: writes the last slice and the process, and has the rest of the log computed.
        turn: of who adds or deletes a process (`PARTIAL`).
    """

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        roots: Roots,
        processes: ProcessRows,
        work: LongWork,
        flush: Callable[[], object],
        add_with_log: Callable[[Batch], None],
        turn: asyncio.Lock,
    ) -> None:
        self._store = store
        self._scheduler = scheduler
        self._roots = roots
        self._processes = processes
        self._work = work
        self._flush = flush
        self._add_with_log = add_with_log
        self._turn = turn
        self._forget()

    def check_new(self, process_id: str) -> None:
        """Raise AoError if a process with that id is here already."""
        if self._processes.find(process_id) is not None:
            raise AoError(
                f"process {process_id} is on this node already",
                stage="import",
                hint="at the prompt, .delete it first to replace it",
            )

    async def add(
        self,
        row: ProcessRow,
        entries: Entries,
        origin: Origin | None = None,
        modules: Modules = (),
        facts: Mapping[str, int | str] = MappingProxyType({}),
    ) -> ProcessRow:
        """Write a process and its log, under numbers of this node, and compute what has no result.

        Args:
            origin: the live process that it is a fork of, None for no fork.
            modules: modules to store with it.
            facts: facts to store with it in the home.

        Raises:
            AoError: it is here already, or cannot be written; then nothing of it stays.
        """
        async with self._turn:
            self.check_new(row.id)
            try:
                return await self._add(row, entries, origin, modules, facts)
            except BaseException:
                self._forget()
                raise

    async def _add(
        self,
        row: ProcessRow,
        entries: Entries,
        origin: Origin | None,
        modules: Modules,
        facts: Mapping[str, int | str],
    ) -> ProcessRow:
        row = row._replace(number=self._scheduler.new_process())
        # Messages without a result are written with the process, or a start could compute them
        # without it.
        known = sum(computed is not None for _, computed in entries)
        with self._work.seen("write", row.name, len(entries)) as seen:
            at = 0
            while known - at > SLICE:
                batch = self._batch(row, entries[at : at + SLICE])
                batch.facts[PARTIAL] = row.number
                self._flush()
                self._store.commit(batch, sync=False)
                at += SLICE
                seen(at)
                await asyncio.sleep(0)
            self._flush()
            batch = self._batch(row, entries[at:known])
            done = self._roots.computed_to(self._scheduler.last_seq)
            batch.log += self._batch(row, entries[known:]).log
            batch.processes.append(row)
            batch.modules += modules
            batch.facts |= facts
            if origin is not None:  # in one transaction, or what it sent would be delivered
                batch.origins.append(origin._replace(process=row.number))
            batch.computed_to = done
            if at:
                batch.facts[PARTIAL] = 0
            self._add_with_log(batch)
        return row

    def _batch(self, row: ProcessRow, entries: Entries) -> Batch:
        made = Batch()
        for logged, computed in entries:
            seq = self._scheduler.new_seq()
            made.log.append(
                logged._replace(seq=seq, process=row.number, cause=None, idx=None, root=seq)
            )
            if computed is not None:
                made.results.append(computed._replace(seq=seq))
        return made

    def _forget(self) -> None:
        """Delete a process that was added or deleted only in part."""
        store = self._store
        number = store.meta(PARTIAL) or 0
        while number and store.forget(number, 0, SLICE):
            pass
        if number:
            store.set_meta(PARTIAL, 0)
