"""Waits for a result, for everything that a message caused, or for the whole node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aoshell.errors import AoError
from aoshell.nodes.local.log.rows import ProcessRow
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.process_rows import ProcessRows
from aoshell.nodes.local.waiting.retries import Retries
from aoshell.nodes.local.waiting.roots import Roots
from aoshell.nodes.local.waiting.waits import Waits

IDLE = 0.0005  # seconds between two checks whether nothing is left


class Waiters:
    """Waits for results, by process number and slot."""

    def __init__(self) -> None:
        self._waiting: Waits[tuple[int, int]] = Waits()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def wait(self, process: int, slot: int) -> None:
        """Return once the slot's result is on disk. Raises the AoError given to `fail`."""
        await self._waiting.wait((process, slot))

    def is_awaited(self, process: int, slot: int) -> bool:
        """Whether any call waits for the result of a slot."""
        return (process, slot) in self._waiting

    def release(self, process: int, slot: int) -> None:
        """End the waits for a slot."""
        self._waiting.release((process, slot))

    def fail(self, error: Exception, process: int | None = None) -> None:
        """End the waits for results of a process, or of all (None), with an error."""
        for key in self._waiting:
            if process is None or key[0] == process:
                self._waiting.fail(key, error)


class Settling:
    """Waits that always end: with what was waited for, or with an AoError.

    Args:
        given_up: why processes cannot be computed, by number; the pool updates it.
        flush: writes the results of workers.
        sync: the same with fsync.
    """

    def __init__(
        self,
        store: Store,
        roots: Roots,
        processes: ProcessRows,
        waiters: Waiters,
        retries: Retries,
        given_up: Mapping[int, str],
        flush: Callable[[], AoError | None],
        sync: Callable[[], None],
    ) -> None:
        self._store = store
        self._roots = roots
        self._processes = processes
        self._waiters = waiters
        self._retries = retries
        self._given_up = given_up
        self._flush = flush
        self._sync = sync

    async def wait_for_result(self, process: int, slot: int) -> None:
        """Wait until a slot has its result on disk."""
        self._flush()
        found = self._store.at_slot(process, slot)
        if found is None or found[1] is None:
            if process in self._given_up:
                raise stuck_error(self._processes.get(process), self._given_up[process])
            await self._waiters.wait(process, slot)

    async def wait_until_settled(self, message_id: str) -> None:
        """Wait until everything that a message caused is computed and on disk."""
        for logged in self._store.pending() if self._given_up else ():
            why = self._given_up.get(logged.process)
            if why and self._roots.id_of(logged.root) == message_id:
                raise stuck_error(self._processes.get(logged.process), why)
        again = True
        while again:
            self._flush()  # as `Roots` also counts results that are not written yet
            await self._roots.wait(message_id)
            again = await self._is_computed_again()
        self._sync()

    async def wait_until_idle(self) -> None:
        """Wait until everything that was scheduled is computed and on disk."""
        while await self._is_computed_again() or self._roots.anything_open or self._flush():
            for number, why in self._given_up.items():
                raise stuck_error(self._processes.get(number), why)
            await asyncio.sleep(IDLE)
        self._sync()

    async def _is_computed_again(self) -> bool:
        """Whether results could not be written and a retry is still to come; waits a moment then.

        Until the retry, the counts of `Roots` are about messages that were undone.

        Raises:
            AoError: retries have not helped so far.
        """
        if not self._retries.waits("retry"):
            return False
        if error := self._retries.lasting_error:
            raise error
        await asyncio.sleep(IDLE)
        return True


def stuck_error(process: ProcessRow, why: str) -> AoError:
    """The error that ends waits for a process that cannot be computed."""
    hint = "its messages are kept; the next one to it is another try"
    return AoError(f"process {process.name or process.id}: {why}", stage="compute", hint=hint)
