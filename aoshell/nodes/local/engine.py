"""Controls the order in the local node: when it commits, fsyncs, computes and announces.

One transaction holds a message's result and everything that it sends, so at any moment the database
shows what is still to be computed. Starting is the same as recovering: compute what has no result.

Messages from outside are fsynced before they run. What they cause may run before it is written, but
no client hears of it before that (`committing`). Results are fsynced in groups: before a client
hears that a line has settled, and otherwise when no more results come.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache, partial

from aoshell.errors import AoError
from aoshell.nodes.local.clock.fixed import Fixed
from aoshell.nodes.local.clock.ticking import NodeClock, Ticking
from aoshell.nodes.local.committing import Committing
from aoshell.nodes.local.delivery.fetching import Fetch, Fetching
from aoshell.nodes.local.delivery.intake import Intake, Signers
from aoshell.nodes.local.delivery.keeping import Keeping
from aoshell.nodes.local.delivery.push import Pusher
from aoshell.nodes.local.forked.origins import Origins, sweep_memories
from aoshell.nodes.local.history.adding import Adding
from aoshell.nodes.local.history.cutting import Cutting
from aoshell.nodes.local.history.longwork import LongWork
from aoshell.nodes.local.history.others import Others
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.assigning import Assigner
from aoshell.nodes.local.log.checkpoint import Checkpoints
from aoshell.nodes.local.log.form import FlatResult, Wire
from aoshell.nodes.local.log.rows import FETCHING, Batch, Computed, Logged, ProcessRow
from aoshell.nodes.local.log.scheduler import Scheduler
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.marks import Marks
from aoshell.nodes.local.processes.modules import Modules
from aoshell.nodes.local.processes.peek import describe_process, keeps_names
from aoshell.nodes.local.processes.process_rows import ProcessRows
from aoshell.nodes.local.processes.tallies import Tallies
from aoshell.nodes.local.waiting.events import Events, put_result
from aoshell.nodes.local.waiting.retries import Retries
from aoshell.nodes.local.waiting.roots import Roots
from aoshell.nodes.local.waiting.settling import Settling, Waiters, stuck_error
from aoshell.nodes.local.waiting.waits import Waits
from aoshell.nodes.local.workers.code import MachineCode
from aoshell.nodes.local.workers.context import ComputeContext
from aoshell.nodes.local.workers.jobs import Cost
from aoshell.nodes.local.workers.loader import Loader
from aoshell.nodes.local.workers.pool import Computer
from aoshell.nodes.local.workers.turns import Turns
from aoshell.nodes.values import Limits, ProcessInfo
from aoshell.sandbox.supervising.supervisor import Supervisor

NAMED = 4096  # processes for which it is remembered whether they get tags as they were sent
MOMENT = 0.5  # seconds that closing waits for messages that are being computed


class Engine:
    """Owns the store and the workers, and makes the node's parts. Runs on one event loop."""

    def __init__(
        self,
        store: Store,
        limits: Limits,
        supervisor: Supervisor,
        fetch: Fetch | None = None,
        fixed: Fixed | None = None,
    ) -> None:
        self.limits = limits
        self.fixed = fixed
        self.loop = asyncio.get_running_loop()
        self.supervisor = supervisor
        self.store = store
        self.clock = NodeClock(store, fixed.begin if fixed else None)
        self.modules = Modules(store, self.clock)
        self.address = self.modules.node_address(fixed.key if fixed else None)
        self.assigner = Assigner(self.modules.read_key)
        self.origins = Origins(store)
        self.scheduler = Scheduler(store, self.clock, self.assigner, self.origins.form_of)
        self.checkpoints = Checkpoints(store.folder / "checkpoints")
        self.events = Events()
        self.changes: Waits[None] = Waits()  # for changes of the log on disk
        self.roots = Roots(store.id_of)
        self.signers = Signers(store)
        self.marks = Marks(store)
        self.tallies = Tallies(store)
        # Cached, as a definition never changes and may be large. The id is part of the key, as a
        # number may be used again.
        self._keeps_names = lru_cache(NAMED)(
            lambda number, _id, _created: keeps_names(store, number)
        )
        self.work = LongWork()
        turn = asyncio.Lock()  # of who adds or deletes a process
        self.processes = ProcessRows(
            store, self.scheduler, self.modules, self.clock, self._get_limits
        )
        self.others = Others(store, self.roots, self.processes, self.work, self.flush)
        self._waiters = Waiters()
        self.retries = Retries(self.events.notice, self._is_awaited, self._fail_all)
        machine_code = MachineCode(store.folder / "machine-code", supervisor, self.events.notice)
        self.loader = Loader(self.modules, machine_code, self._get_limits)
        context = ComputeContext(
            store,
            self.checkpoints,
            self.processes,
            self.modules,
            self.events,
            self._get_limits,
            self.flush,
            self._dispatch,
            self.add_result,
            self._report_stuck,
            self.origins.base_of,
        )
        self.computer = Computer(context, self.loader, supervisor)
        self._turns = Turns(self.computer.enqueue) if fixed else None
        self._enqueue = self._turns.add if self._turns else self.computer.enqueue
        self._committing = Committing(
            store,
            self.scheduler,
            self.roots,
            self._waiters,
            self.tallies,
            self.retries,
            self._enqueue,
            self._written,
            self._not_written,
        )
        self._pusher = Pusher(
            self.address,
            store,
            self.scheduler,
            self.modules,
            self.processes,
            self.roots.counts,
            get_limits=self._get_limits,
            is_wallet=self.signers.has,
            can_fetch=self._can_fetch,
            is_paused=self._is_paused,
            is_foreign=self.origins.is_foreign,
        )
        self.keeping = Keeping(
            store, self.roots, self.processes, self._pusher, self.flush, self.admit
        )
        self.fetching = Fetching(
            fetch, store, self.modules, self.roots, self.events, self.keeping.release
        )
        self.cutting = Cutting(
            store,
            self.checkpoints,
            self.marks,
            self.keeping,
            self.work,
            turn,
            self._hold,
            self._let_go,
        )
        self.ticking = Ticking(
            self.clock,
            store,
            self.scheduler,
            self.processes,
            self.events,
            self.admit,
            self.cutting.is_cut,
            self.retries.count_failure,
        )
        self.intake = Intake(
            store,
            self.scheduler,
            self.modules,
            self.processes,
            self.signers,
            self.origins,
            self.admit,
        )
        self.adding = Adding(
            store,
            self.scheduler,
            self.roots,
            self.processes,
            self.work,
            self.flush,
            self.add_with_log,
            turn,
        )
        self.settling = Settling(
            store,
            self.roots,
            self.processes,
            self._waiters,
            self.retries,
            self.computer.given_up,
            self.flush,
            self.sync,
        )

    def start(self) -> None:
        """Compute what has no result, and send the cron messages that are due."""
        sweep_memories(self.store)
        pending = self._recover()
        if pending:
            what = "message was" if pending == 1 else "messages were"
            self.events.notice(f"{pending} {what} left to compute when the node stopped")
        self.keeping.release_left()
        self.ticking.begin()

    def _recover(self) -> int:
        """Compute what is on disk without a result. Returns the number of these messages."""
        self.retries.cancel("retry")
        pending = self.store.pending()
        # Waits for a root go on: the counts are made again from the log, and only then does
        # `settle_empty` end the waits for roots of which nothing is left.
        self.roots.forget_all()
        self._go_on([(logged, form.load_wire(logged.body)) for logged in pending])
        self.fetching.resume()
        self.roots.settle_empty()
        return len(pending)

    async def close(self) -> None:
        """Write and fsync everything, and close. Raises AoError if it cannot be written.

        The order matters. First cron stops, so that nothing new begins. Then the workers end, so
        that none answers after the last write. Then their answers are written, and the store closes
        last.
        """
        self.ticking.stop()
        try:
            await self._finish()
            await self.computer.close()
            try:
                self.sync()
            except AoError:
                if not self.retries.failures:  # else it was reported already
                    raise
            await self.fetching.close()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close without waiting or writing. The next start computes what has no result."""
        self.ticking.stop()
        self.computer.stop()
        self.fetching.stop()
        self.loader.stop()
        self.retries.stop()
        self._committing.forget()
        if not self.loop.is_closed():  # on a closed loop nothing can wait
            closed = AoError("the node was closed", stage="node", hint="what was sent is kept")
            self._fail_all(closed)
            self.events.close()
        self.supervisor.close()
        self.store.close()

    async def _finish(self) -> None:
        """Wait for messages that are being computed, `MOMENT` at most."""
        end = self.loop.time() + MOMENT
        while self.roots.anything_open and self.loop.time() < end:
            await asyncio.sleep(0.005)

    # What parts ask and change ---------------------------------------------------------------

    def set_limits(self, limits: Limits) -> None:
        """Change the limits of every message from now on."""
        now = self.limits
        # Counting gas needs other machine code, and a worker keeps the memory limit of its boot: so
        # all workers start again.
        anew = limits.gas != now.gas or limits.memory != now.memory
        raised = limits.pushes > now.pushes
        self.limits = limits
        if anew:
            self.start_over()
        if raised:
            self.keeping.release_held()

    def _is_awaited(self) -> bool:
        return bool(self._waiters) or self.roots.awaited

    def _fail_all(self, error: AoError) -> None:
        self._waiters.fail(error)
        self.roots.fail(error)

    def _get_limits(self) -> Limits:
        return self.limits

    def _can_fetch(self, module: str) -> bool:
        return self.fetching.can_fetch(module)

    def _is_paused(self, process: ProcessRow) -> bool:
        """Whether messages of others to a process wait in a queue."""
        return process.id in self.keeping.paused or self.cutting.is_cut(process)

    def _hold(self, process: ProcessRow) -> None:
        """Compute nothing for a process until `_let_go`."""
        self.flush()  # the copy and the cut must include what its worker has answered
        self.computer.hold(process.number)

    def _let_go(self, process: ProcessRow, error: AoError) -> None:
        """Go on with a process whose log was cut; waits for its results end with `error`."""
        # Workers and counts may include messages that are gone, so all start again from the log.
        # Messages sent meanwhile come after those of the log that have no result.
        self.computer.let_go(process.number)
        self._waiters.fail(error, process.number)
        self.start_over()
        if process.id not in self.keeping.paused:
            self.keeping.release(self.keeping.queued(process.id))
        self.ticking.begin()
        self.changes.release(None)

    # Messages from outside --------------------------------------------------------------------

    def admit(self, batch: Batch, ready: list[tuple[Logged, Wire]]) -> None:
        """Write messages from outside, with fsync, and compute them.

        Raises:
            AoError: they cannot be written; none of them was.
        """
        self._commit_now(batch)
        self._begin(ready)
        if batch.processes:
            self.ticking.begin()

    def add_with_log(self, batch: Batch) -> None:
        """Write a process with the end of its log, and compute the rest of it. Raises AoError."""
        self._commit_now(batch)
        self.start_over()
        self.ticking.begin()

    def _commit_now(self, batch: Batch) -> None:
        """Write messages from outside, with fsync."""
        # Results first: their messages have lower numbers, and the log on disk must always be a
        # prefix of what the node took. This fsync covers them, too. If they cannot be written, the
        # higher numbers cannot be used.
        if error := self.flush():
            raise error
        try:
            self.store.commit(batch, sync=True)
        except AoError:
            # The scheduler has given out numbers and slots that are not on disk, so go back to the
            # log. That ends every worker. Without a retry, messages under way would not be computed
            # until the next message comes.
            self._undo()
            self.retries.call_later("retry", self._recover)
            raise
        self._committing.unsynced = False
        self.retries.forget_failures()
        self.changes.release(None)

    def _begin(self, scheduled: list[tuple[Logged, Wire]]) -> None:
        """Compute messages from outside that are on disk now."""
        # After a full disk, older messages of these processes may have no results. They come first;
        # `_recover` finds the new ones after them in the log.
        if self.retries.waits("retry"):
            self._recover()
        else:
            self._dispatch()  # messages with earlier places first
            self._go_on(scheduled)

    def _go_on(self, scheduled: list[tuple[Logged, Wire]]) -> None:
        """Compute messages that are on disk, in their order."""
        for logged, body in scheduled:
            self.roots.begin(logged)
            self._enqueue(logged, body)

    # Results ------------------------------------------------------------------------------------

    def add_result(self, logged: Logged, outcome: str, cost: Cost, result: FlatResult) -> None:
        """Take a worker's answer and schedule what it sends; `flush` writes both."""
        outbox = form.Outbox(result)
        if outbox.assignments and self.flush():
            return  # the message was dropped with everything that was not written
        sender, root = self.processes.get(logged.process), self.roots.id_of(logged.root)
        pushed = self._pusher.push(sender, logged, root, outbox)
        # A failed message is undone, so it has neither suspended nor ended a handling.
        waits = result.suspended - len(outbox.resumed) if outcome == "ok" else 0
        body = form.dump_result(result)
        computed = Computed(logged.seq, outcome, *cost, waits, body)
        self.tallies.note(logged, computed)
        # Here, not when they run, or `flush` would regard the root as settled.
        for entry, _body in pushed.scheduled:
            self.roots.begin(entry)
        spawned, kept = pushed.spawned, pushed.kept
        fetched = [item for item in kept if item.held == FETCHING]
        if not fetched:  # else the root stays open until the fetch has ended
            self.roots.done(logged)
        release = partial(self._waiters.release, logged.process, logged.slot)
        event = sender.id, root, logged, computed, result, spawned, kept
        after = [release, partial(put_result, self.events, *event)]
        after += [partial(self.fetching.begin, item) for item in fetched]
        self._committing.add(logged, computed, pushed, after)
        if self._turns:
            self._turns.done(logged)

    def describe(self, process: ProcessRow) -> ProcessInfo:
        """Facts about a process, as `.ps` shows them."""
        return describe_process(
            self.store,
            self.checkpoints,
            process,
            self.tallies.totals(process.number),
            is_live=self.computer.is_live(process.number),
            tags_as_sent=self._keeps_names(process.number, process.id, process.created),
        )

    def flush(self) -> AoError | None:
        """Commit the results of workers, and announce them. Returns the error, None for success."""
        return self._committing.flush()

    def _dispatch(self) -> None:
        self._committing.dispatch()

    def sync(self) -> None:
        """Commit, and fsync everything. Raises AoError."""
        self._committing.sync()

    def _written(self, batch: Batch) -> None:
        self.retries.forget_failures()
        self.changes.release(None)
        if batch.processes:  # a new process may have the next due cron message
            self.ticking.begin()

    def _not_written(self, error: AoError) -> None:
        # None of the batch is on disk, so the states of workers are ahead of the log.
        self._undo()
        self.retries.call_again(error, "retry", self._recover)

    # Back to what is on disk ----------------------------------------------------------------------

    def start_over(self) -> None:
        """Go on from the log after a change that was not a result."""
        self.flush()
        self._undo()
        self._recover()

    def _undo(self) -> None:
        """Drop everything that is not on disk, and the workers, whose states are ahead of it."""
        self.scheduler.forget()
        self.computer.drop_all()
        if self._turns:
            self._turns.clear()
        self._committing.forget()
        self.processes.forget_all()
        self.tallies.forget_all()
        self.origins.forget_all()

    def _report_stuck(self, process: ProcessRow, text: str) -> None:
        """End all waits for a process that cannot be computed with an error."""
        self.flush()
        self.events.notice_about(process, text)
        error = stuck_error(process, text)
        self._waiters.fail(error, process.number)
        pending = self.store.pending()
        mine = {logged.root for logged in pending if logged.process == process.number}
        self.roots.fail(error, mine)
        if self._turns:
            self._turns.drop(process.number)
