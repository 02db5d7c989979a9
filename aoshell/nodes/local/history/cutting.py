"""`.undo` and `.delete`: cut a process's log, beginning at its end.

It is cut in slices, so that the rest of the node can go on. Meanwhile nothing is computed for that
process, and nothing is scheduled on it: lines and cron wait, and messages of other processes wait
in its queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path

from aoshell import durable
from aoshell.errors import AoError
from aoshell.nodes.local.delivery.keeping import Keeping
from aoshell.nodes.local.history.longwork import LongWork, Progress, run_in_thread
from aoshell.nodes.local.log.checkpoint import Checkpoints
from aoshell.nodes.local.log.rows import PARTIAL, ProcessRow
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.marks import Marks

SLICE = 500  # messages that one transaction deletes
UNDONE = "undone"  # folder of the copies from before an undo


class Cutting:
    """Cuts one log at a time.

    Args:
        turn: of who adds or deletes a process (`PARTIAL`).
        hold: stops computing a process.
        let_go: goes on with it; waits for its results end with the error.

    Attributes:
        held: id of the process whose log is being cut, "" for none.
    """

    def __init__(
        self,
        store: Store,
        checkpoints: Checkpoints,
        marks: Marks,
        keeping: Keeping,
        work: LongWork,
        turn: asyncio.Lock,
        hold: Callable[[ProcessRow], None],
        let_go: Callable[[ProcessRow, AoError], None],
    ) -> None:
        self._store = store
        self._checkpoints = checkpoints
        self._marks = marks
        self._keeping = keeping
        self._work = work
        self._deleting = turn
        self._hold = hold
        self._let_go = let_go
        self._turn = asyncio.Lock()
        self.held = ""

    def is_cut(self, process: ProcessRow) -> bool:
        """Whether nothing may be scheduled on a process now."""
        return process.id == self.held

    async def wait_until_free(self, process: ProcessRow) -> None:
        """Wait until messages may be scheduled on a process."""
        while self.held == process.id:
            async with self._turn:
                pass

    async def undo(self, row: ProcessRow, slot: int) -> Path:
        """Delete a slot and all later ones. Returns the path of a copy of the old process.

        A kill in the middle leaves the copy, and a log that ends somewhere in between.

        Raises:
            AoError: the file cannot be written; nothing was deleted.
        """
        async with self._alone(row, AoError("the message was taken back", stage="node")):
            path = await self._copy(row)  # first, as this will be the only complete copy
            # Before the log, as a kill must not leave marks or checkpoints of deleted slots.
            self._marks.cut(row.id, slot)
            self._checkpoints.back_to(row.id, slot)
            await self._cut("undo", row, slot)
            return path

    async def delete(self, row: ProcessRow) -> None:
        """Delete a process with its log, its marks and its queue.

        Behind a kill in the middle, the next start deletes the rest of it. Where an error ends it,
        the process stays, with the log that it has then.
        """
        alone = self._alone(row, AoError("the process was deleted", stage="node"))
        async with self._deleting, alone:
            self._marks.cut(row.id, 0)
            self._checkpoints.remove(row.id)
            if row.id in self._keeping.paused:
                self._keeping.pause(row, False)
            try:
                await self._cut("delete", row, 0)
            except BaseException:
                with suppress(AoError):  # it takes messages again, which the next start must keep
                    self._store.set_meta(PARTIAL, 0)
                raise

    @asynccontextmanager
    async def _alone(self, row: ProcessRow, error: AoError) -> AsyncIterator[None]:
        """While the block runs, nothing is scheduled on a process or computed for it.

        Args:
            error: ends the waits for its results.
        """
        async with self._turn:
            self.held = row.id
            try:
                self._hold(row)
                yield
            finally:
                self.held = ""
                self._let_go(row, error)

    async def _copy(self, row: ProcessRow) -> Path:
        """Write the present process to a new file, with fsync."""
        slots = self._store.slots(row.number)
        name = self._store.folder / UNDONE / f"{row.id}-{slots - 1}"
        with (
            self._store.unchanging() as now,
            self._work.seen("copy", row.name, slots) as seen,
        ):
            try:
                durable.make_folder(name.parent)
                return await run_in_thread(partial(_kept, now, row, name), seen)
            except OSError as error:
                raise AoError(
                    f"no copy can be written to {name.parent}: {error.strerror or error}",
                    stage="undo",
                    hint="nothing was taken back; free some room on the disk, then try again",
                ) from error

    async def _cut(self, name: str, row: ProcessRow, slot: int) -> None:
        slots = self._store.slots(row.number)
        with self._work.seen(name, row.name, slots - slot) as seen:
            done = gone = self._store.forget(row.number, slot, SLICE)
            while gone == SLICE:
                seen(done)
                await asyncio.sleep(0)
                gone = self._store.forget(row.number, slot, SLICE)
                done += gone


def _kept(store: Store, row: ProcessRow, name: Path, progress: Progress) -> Path:
    """Write a process to the first free path of that name."""
    from aoshell.nodes.local.history import transfer

    for number in count(1):
        path = name.with_name(name.name + (f"-{number}" if number > 1 else "") + ".process")
        with suppress(FileExistsError):
            durable.write(path, transfer.export_process(store, row, progress), new=True)
            return path
    raise AssertionError("numbers do not end")
