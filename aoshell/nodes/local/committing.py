"""Writes the results of workers in groups, computes ahead of that, and announces them afterwards.

At the end of each turn of the event loop, messages that workers have sent go to the workers of
their targets. A moment later they are written, together with all others: one transaction for many
messages. Before that, no client hears of a message or a result. If the transaction fails, all
workers end, as their states are ahead of the log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from aoshell.errors import AoError
from aoshell.nodes.local.delivery.push import Pushed, add_pushed
from aoshell.nodes.local.log.form import Wire
from aoshell.nodes.local.log.rows import Batch, Computed, Logged
from aoshell.nodes.local.log.scheduler import Scheduler
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.tallies import Tallies
from aoshell.nodes.local.waiting.retries import Retries
from aoshell.nodes.local.waiting.roots import Roots
from aoshell.nodes.local.waiting.settling import Waiters

GROUP = 0.02  # seconds that results wait for more results, if no client waits for them
MOST_ROWS = 1000  # messages and results that wait at most
QUIET = 0.25  # seconds from a commit without fsync to its fsync, so that a burst gets few fsyncs


class Committing:
    """Collects the rows of the next transaction, and writes them.

    Args:
        enqueue: has a message computed.
        written: called after each transaction that was written, with its rows.
        failed: takes the error of a transaction that was not written, and calls `forget`.
    """

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        roots: Roots,
        waiters: Waiters,
        tallies: Tallies,
        retries: Retries,
        enqueue: Callable[[Logged, Wire], None],
        written: Callable[[Batch], None],
        failed: Callable[[AoError], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._store = store
        self._scheduler = scheduler
        self._roots = roots
        self._waiters = waiters
        self._tallies = tallies
        self._retries = retries
        self._enqueue = enqueue
        self._written = written
        self._failed = failed
        self._batch = Batch()
        self._ready: deque[tuple[Logged, Wire]] = deque()  # to be computed
        self._after: list[Callable[[], None]] = []  # calls to make once the batch is written
        self._turn: asyncio.Handle | None = None
        self._timer: asyncio.Handle | None = None
        self._awaited = False  # whether a client waits for a result in the batch
        self.unsynced = False

    def add(
        self,
        logged: Logged,
        computed: Computed,
        pushed: Pushed,
        after: Sequence[Callable[[], None]],
    ) -> None:
        """Take a result with what it sends, and functions to call once both are written."""
        self._batch.results.append(computed)
        add_pushed(self._batch, pushed)
        self._ready += pushed.scheduled
        self._after += after
        if self._waiters.is_awaited(logged.process, logged.slot):
            self._awaited = True
        if self._turn is None:
            self._turn = self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._turn = None
        self.dispatch()
        rows = len(self._batch.results) + len(self._batch.log)
        if rows >= MOST_ROWS:
            # After the dispatched messages, which are sent first: workers compute meanwhile.
            self._cancel_timer()
            self._timer = self._loop.call_soon(self.flush)
        elif self._awaited or self._roots.is_one_settled_for:
            self.flush()
        elif self._timer is None and rows:
            self._timer = self._loop.call_later(GROUP, self.flush)

    def dispatch(self) -> None:
        """Have the messages computed that workers have sent."""
        # One at a time: starting a worker first writes everything; if that fails, `_ready` is
        # emptied.
        while self._ready:
            self._enqueue(*self._ready.popleft())

    def flush(self, *, sync: bool = False) -> AoError | None:
        """Commit the results of workers, with fsync if necessary, then announce them.

        Returns:
            None, or the error if they were not written; they are then dropped, and computed again.
        """
        self._cancel_timer()
        if not self._batch.results:
            return None
        # Take the batch first: calls after the commit may add results for the next batch.
        batch, after = self._batch, self._after
        self._batch, self._after, self._awaited = Batch(), [], False
        settled = self._roots.take_settled()
        # A client that waits for a line to settle may rely on all of it being on disk: fsync at
        # once, in the same transaction. Other results can be computed again, so fsync may wait.
        sync = sync or any(self._roots.is_awaited(root) for root in settled)
        if sync:  # a mark that saves reading at the next start; no more often than an fsync
            batch.computed_to = self._roots.computed_to(self._scheduler.last_seq)
        try:
            batch.facts |= self._tallies.take_due()
            self._store.commit(batch, sync=sync)
        except AoError as error:
            self._failed(error)
            return error
        for call in after:
            call()
        # After `after`: the events of all results come before the end of a wait for a root.
        for root in settled:
            self._roots.settle(root)
        self.unsynced = not sync
        if self.unsynced:
            self._retries.call_later("sync", self.sync, QUIET)
        self._written(batch)
        return None

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def sync(self) -> None:
        """Write and fsync everything. Raises AoError.

        An fsync covers all commits before it, so its own transaction may hold only the mark up to
        which everything is computed.
        """
        self.flush(sync=True)
        if self.unsynced:
            computed_to = self._roots.computed_to(self._scheduler.last_seq)
            self._store.commit(Batch(computed_to=computed_to), sync=True)
            self.unsynced = False

    def forget(self) -> None:
        """Drop everything that is not written."""
        for handle in (self._turn, self._timer):
            if handle is not None:
                handle.cancel()
        self._turn = self._timer = None
        self._batch, self._after, self._awaited = Batch(), [], False
        self._ready.clear()
