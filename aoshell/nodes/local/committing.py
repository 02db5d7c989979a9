"""When what workers have answered is written, what runs before that, and who hears of it then.

At the end of each turn of the event loop, what workers have sent goes on to the workers of its
targets. It is written a moment later, with all that has come by then: one transaction for many
messages. Nobody outside of workers knows of a message or a result before that. Where it cannot be
written, all workers end, and what they have computed ahead of the log with them.
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

GROUP = 0.02  # seconds that results wait for others, where nobody waits for them
MOST_ROWS = 1000  # messages and results that wait at most
QUIET = 0.25  # seconds after a commit without fsync before `sync`, so that a burst gets few fsyncs


class Committing:
    """The rows of the next transaction.

    Args:
        enqueue: has a message computed.
        written: called behind each transaction that was written, with what it had.
        failed: takes the error of one that was not, and calls `forget`.
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
        self._awaited = False  # somebody waits for a result in the batch
        self.unsynced = False

    def add(
        self,
        logged: Logged,
        computed: Computed,
        pushed: Pushed,
        after: Sequence[Callable[[], None]],
    ) -> None:
        """Take a result with what it sends, and calls to make once both are written."""
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
            # Behind what was just dispatched, which is sent first: workers compute meanwhile.
            self._cancel_timer()
            self._timer = self._loop.call_soon(self.flush)
        elif self._awaited or self._roots.is_one_settled_for:
            self.flush()
        elif self._timer is None and rows:
            self._timer = self._loop.call_later(GROUP, self.flush)

    def dispatch(self) -> None:
        """Have computed what workers have sent."""
        # One at a time: a worker that starts has all written first, and where that fails, nothing
        # is left to be computed.
        while self._ready:
            self._enqueue(*self._ready.popleft())

    def flush(self, *, sync: bool = False) -> AoError | None:
        """Commit what workers have answered, with fsync if need be, then announce it.

        Returns:
            Why it could not be written: none of it is there any more, and it is computed again.
        """
        self._cancel_timer()
        if not self._batch.results:
            return None
        # Taken out before the commit: what follows it may bring new answers, for the next one.
        batch, after = self._batch, self._after
        self._batch, self._after, self._awaited = Batch(), [], False
        settled = self._roots.take_settled()
        # Who waits for a line to settle may rely on all of it being on disk: fsync at once, in the
        # same transaction. Any other result can be computed again, so its fsync may wait.
        sync = sync or any(self._roots.is_awaited(root) for root in settled)
        if sync:  # a mark that saves the next start some reading: no more often than an fsync
            batch.computed_to = self._roots.computed_to(self._scheduler.last_seq)
        try:
            batch.facts |= self._tallies.take_due()
            self._store.commit(batch, sync=sync)
        except AoError as error:
            self._failed(error)
            return error
        for call in after:
            call()
        # Behind `after`: the events of all results are put before whoever waits for a root goes on.
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

        An fsync covers all commits before it, so its transaction may hold as little as the mark up
        to which all is computed.
        """
        self.flush(sync=True)
        if self.unsynced:
            computed_to = self._roots.computed_to(self._scheduler.last_seq)
            self._store.commit(Batch(computed_to=computed_to), sync=True)
            self.unsynced = False

    def forget(self) -> None:
        """Forget what is not written."""
        for handle in (self._turn, self._timer):
            if handle is not None:
                handle.cancel()
        self._turn = self._timer = None
        self._batch, self._after, self._awaited = Batch(), [], False
        self._ready.clear()
