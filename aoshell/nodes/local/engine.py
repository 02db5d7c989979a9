"""The local node at work: what enters is logged, computed, and what that sends is logged in turn.

One transaction holds a message's result and everything that it sends, so at any moment the database
says what is still to be done, and starting is the same as recovering: compute what has no result.
Transactions are made once per turn of the event loop, with whatever workers have answered by then.

Messages from outside are fsynced before they run. The rest is fsynced in groups: before anybody is
told that a line has settled, and a moment after things have become quiet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from aoshell.errors import AoError
from aoshell.nodes.local.events import Events, put_result
from aoshell.nodes.local.fetching import Fetch, Fetching
from aoshell.nodes.local.fixed import Fixed
from aoshell.nodes.local.history.adding import Adding
from aoshell.nodes.local.history.cutting import Cutting
from aoshell.nodes.local.history.longwork import LongWork
from aoshell.nodes.local.intake import Intake
from aoshell.nodes.local.keeping import Keeping
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.checkpoint import Checkpoints
from aoshell.nodes.local.log.form import FlatResult, Wire
from aoshell.nodes.local.log.rows import (
    FETCHING,
    Batch,
    Computed,
    Kept,
    Logged,
    ProcessRow,
)
from aoshell.nodes.local.log.scheduler import Scheduler
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.marks import Marks
from aoshell.nodes.local.modules import Modules
from aoshell.nodes.local.process_rows import ProcessRows
from aoshell.nodes.local.push import Pusher, add_to
from aoshell.nodes.local.retries import Retries
from aoshell.nodes.local.roots import Roots
from aoshell.nodes.local.signers import Signers
from aoshell.nodes.local.ticking import NodeClock, Ticking
from aoshell.nodes.local.waiters import Waiters
from aoshell.nodes.local.workers.code import MachineCode
from aoshell.nodes.local.workers.context import ComputeContext
from aoshell.nodes.local.workers.jobs import Cost
from aoshell.nodes.local.workers.loader import Loader
from aoshell.nodes.local.workers.pool import Computer
from aoshell.nodes.local.workers.turns import Turns
from aoshell.nodes.values import Limits
from aoshell.sandbox.supervisor import Supervisor

QUIET = 0.05  # seconds behind the last commit before it is fsynced unasked
IDLE = 0.0005  # seconds between two looks whether nothing is left
MOMENT = 0.5  # seconds that closing waits for messages under way


class Engine:
    """Owner of the store, the workers and the order of things. Runs on one event loop."""

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
        self.scheduler = Scheduler(store, self.clock)
        self.checkpoints = Checkpoints(store.folder / "checkpoints")
        self.events = Events()
        self.roots = Roots(store.id_of)
        self.signers = Signers(store)
        self.marks = Marks(store)
        self.work = LongWork()
        self.processes = ProcessRows(
            store, self.scheduler, self.modules, self.clock, self._get_limits
        )
        self._waiters = Waiters()
        self.retries = Retries(self.events, self.roots, self._waiters)
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
            self.add_result,
            self._report_stuck,
        )
        self.computer = Computer(context, self.loader, supervisor)
        self._turns = Turns(self.computer.enqueue) if fixed else None
        self._enqueue = self._turns.add if self._turns else self.computer.enqueue
        self._pusher = Pusher(
            self.address,
            store,
            self.scheduler,
            self.processes,
            self.roots.counts,
            get_limits=self._get_limits,
            is_wallet=self.signers.has,
            can_fetch=self._can_fetch,
            is_paused=self._is_paused,
        )
        self.keeping = Keeping(
            store, self.roots, self.processes, self._pusher, self.flush, self.admit
        )
        self.fetching = Fetching(
            fetch, store, self.modules, self.roots, self.events, self.keeping.release
        )
        self.cutting = Cutting(
            store, self.checkpoints, self.marks, self.keeping, self.work, self._hold, self._let_go
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
        self.intake = Intake(self.scheduler, self.modules, self.processes, self.signers, self.admit)
        self.adding = Adding(
            store,
            self.scheduler,
            self.roots,
            self.processes,
            self.work,
            self.flush,
            self.add_with_log,
        )
        # What is written by the next `flush`, and what follows it.
        self._batch = Batch()
        self._ready: list[tuple[Logged, Wire]] = []
        self._after: list[Callable[[], None]] = []
        self._flush_due: asyncio.Handle | None = None
        self._unsynced = False

    def start(self) -> None:
        """Compute what was left, and let time pass for cron."""
        pending = self._recover()
        if pending:
            what = "message was" if pending == 1 else "messages were"
            self.events.notice(f"{pending} {what} left to compute when the node stopped")
        self.keeping.release_left()
        self.ticking.begin()

    def _recover(self) -> int:
        self.retries.cancel("retry")
        pending = self.store.pending()
        self.roots.forget_all()
        self._go_on([(logged, form.load(logged.body)) for logged in pending], begin=True)
        self.fetching.resume()
        self.roots.settle_empty()
        return len(pending)

    async def close(self) -> None:
        """Leave everything on disk.

        The order matters: no more is taken; the workers end, and nothing calls back from then on;
        what they have answered is written; then the store closes.
        """
        self.ticking.stop()
        try:
            await self._finish()
            await self.computer.close()
            try:
                self._sync()
            except AoError:
                if not self.retries.failures:  # else it is known
                    raise
            await self.fetching.close()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of everything at once; what is in the log is computed at the next start."""
        self.ticking.stop()
        self.computer.stop()
        self.fetching.stop()
        self.loader.stop()
        self.retries.stop()
        if self._flush_due is not None:
            self._flush_due.cancel()
        if not self.loop.is_closed():  # else nobody waits any more
            closed = AoError("the node was closed", stage="node", hint="what was sent is kept")
            self._waiters.fail(closed)
            self.roots.fail(closed)
            self.events.close()
        self.supervisor.close()
        self.store.close()

    async def _finish(self) -> None:
        """Let what is being computed come to its end, if that is a matter of moments."""
        end = self.loop.time() + MOMENT
        while self.roots.anything_open and self.loop.time() < end:
            await asyncio.sleep(0.005)

    # Processes --------------------------------------------------------------------------------

    def set_limits(self, limits: Limits) -> None:
        """Change limits for every message from now on."""
        now = self.limits
        # Other machine code; a worker keeps the memory that it began with.
        anew = limits.gas != now.gas or limits.memory != now.memory
        raised = limits.pushes > now.pushes
        self.limits = limits
        if anew:
            self.flush()
            self.start_over()
        if raised:
            self.keeping.release_held()

    def _get_limits(self) -> Limits:
        return self.limits

    def _can_fetch(self, module: str) -> bool:
        return self.fetching.can(module)

    def _is_paused(self, process: ProcessRow) -> bool:
        """Whether what others send to a process waits in a queue."""
        return process.id in self.keeping.paused or self.cutting.is_cut(process)

    def _hold(self, process: ProcessRow) -> None:
        """Compute nothing for a process until `_let_go`."""
        self.flush()
        self.computer.hold(process.number)

    def _let_go(self, process: ProcessRow, error: AoError) -> None:
        """Go on with a process whose log was cut; `error` is for those who wait for results."""
        self.computer.let_go(process.number)
        self._waiters.fail(error, process.number)
        self.start_over()
        if process.id not in self.keeping.paused:
            self.keeping.release(self.keeping.queued(process.id))
        self.ticking.begin()

    # Messages in ------------------------------------------------------------------------------

    def admit(self, batch: Batch, ready: list[tuple[Logged, Wire]]) -> None:
        """Write messages from outside, with fsync, and compute them. Raises AoError."""
        self._commit_now(batch)
        self._begin(ready)
        if batch.processes:
            self.ticking.begin()

    def add_with_log(self, batch: Batch) -> None:
        """Write a process that comes with its log, and compute what it has no results for."""
        self._commit_now(batch)
        self.start_over()
        self.ticking.begin()

    def _commit_now(self, batch: Batch) -> None:
        """Write what came from outside, and everything before it, with fsync."""
        self.flush()
        try:
            self.store.commit(batch, sync=True)
        except AoError:
            self._undo()
            self.retries.call_later("retry", self._recover)
            raise
        self._unsynced = False
        self.retries.forget_failures()

    def _begin(self, scheduled: list[tuple[Logged, Wire]]) -> None:
        """Compute messages from outside, behind what a full disk may have left undone."""
        if self.retries.waits("retry"):
            self._recover()
        else:
            self._go_on(scheduled, begin=True)

    def _go_on(self, scheduled: list[tuple[Logged, Wire]], *, begin: bool = False) -> None:
        """Compute messages that are on disk."""
        for logged, body in scheduled:
            if begin:
                self.roots.begin(logged)
            self._enqueue(logged, body)

    # Results ------------------------------------------------------------------------------------

    def add_result(self, logged: Logged, outcome: str, cost: Cost, result: FlatResult) -> None:
        """A worker has answered: push what it sends, and write both at the end of this turn."""
        sender, root = self.processes.get(logged.process), self.roots.id_of(logged.root)
        outbox = form.Outbox(result)
        pushed = self._pusher.push(sender, logged, root, outbox)
        # A failed message is undone: what it suspended or ended is as it was.
        waits = result.suspended - len(outbox.resumed) if outcome == "ok" else 0
        body = form.dump_result(result)
        computed = Computed(logged.seq, outcome, *cost, waits, body)
        self._batch.results.append(computed)
        add_to(self._batch, pushed)
        self._ready += pushed.scheduled
        for entry, _body in pushed.scheduled:
            self.roots.begin(entry)
        spawned, kept = pushed.spawned, pushed.kept
        fetched = [item for item in kept if item.held == FETCHING]
        if not fetched:  # else its root stays open until that has come
            self.roots.done(logged)
        self._after.append(lambda: self._announce(root, logged, computed, result, spawned, kept))
        self._after += [partial(self.fetching.begin, item) for item in fetched]
        if self._flush_due is None:
            self._flush_due = self.loop.call_soon(self.flush)
        if self._turns:
            self._turns.done(logged)

    def flush(self) -> None:
        """Write what workers have answered; then, and only then, go on with what follows."""
        if self._flush_due is not None:
            self._flush_due.cancel()
            self._flush_due = None
        if not self._batch.results:
            return
        batch, ready, after = self._batch, self._ready, self._after
        self._batch, self._ready, self._after = Batch(), [], []
        settled = self.roots.take_settled()
        sync = any(self.roots.is_awaited(root) for root in settled)
        if sync:
            batch.computed_to = self.roots.computed_to(self.scheduler.last_seq)
        try:
            self.store.commit(batch, sync=sync)
        except AoError as error:
            self._undo()
            self.retries.call_again(error, "retry", self._recover)
            return
        self.retries.forget_failures()
        self._go_on(ready)
        for call in after:
            call()
        for root in settled:
            self.roots.settle(root)
        self._unsynced = not sync
        if self._unsynced:
            self.retries.call_later("sync", self._sync, QUIET)
        if batch.processes:
            self.ticking.begin()

    def _announce(
        self,
        root: str,
        logged: Logged,
        computed: Computed,
        result: FlatResult,
        spawned: list[ProcessRow],
        kept: list[Kept],
    ) -> None:
        self._waiters.release(logged.process, logged.slot)
        if not self.events.wanted:
            return
        process = self.processes.get(logged.process).id
        put_result(self.events, process, root, logged, computed, result, spawned, kept)

    async def wait_for(self, process: int, slot: int) -> None:
        """Wait until a slot has its result on disk."""
        found = self.store.at_slot(process, slot)
        if found is None or found[1] is None:
            if process in self.computer.given_up:
                raise _stuck(self.processes.get(process), self.computer.given_up[process])
            await self._waiters.wait(process, slot)

    async def settled(self, message_id: str) -> None:
        """Wait until nothing that a message caused is left, and all of it is on disk."""
        for logged in self.store.pending() if self.computer.given_up else ():
            why = self.computer.given_up.get(logged.process)
            if why and self.roots.id_of(logged.root) == message_id:
                raise _stuck(self.processes.get(logged.process), why)
        await self.roots.wait(message_id)
        while await self._undone():
            await self.roots.wait(message_id)
        self._sync()

    async def idle(self) -> None:
        """Wait until nothing that was scheduled is left, and all of it is on disk."""
        self.flush()
        while await self._undone() or self.roots.anything_open:
            for number, why in self.computer.given_up.items():
                raise _stuck(self.processes.get(number), why)
            await asyncio.sleep(IDLE)
        self._sync()

    async def _undone(self) -> bool:
        """Whether what could not be written was to be computed again, a moment ago.

        Raises:
            AoError: it has not helped so far.
        """
        if not self.retries.waits("retry"):
            return False
        if error := self.retries.lasting_error:
            raise error
        await asyncio.sleep(IDLE)
        return True

    def _sync(self) -> None:
        self.flush()
        if self._unsynced:
            computed_to = self.roots.computed_to(self.scheduler.last_seq)
            self.store.commit(Batch(computed_to=computed_to), sync=True)
            self._unsynced = False

    # When something is wrong ----------------------------------------------------------------------

    def start_over(self) -> None:
        """Go on from what is on disk, which something other than a result has changed."""
        self._undo()
        self._recover()

    def _undo(self) -> None:
        """Forget everything that is not on disk; workers may have run ahead of it."""
        self.scheduler.forget()
        self.computer.drop_all()
        if self._turns:
            self._turns.clear()
        self._batch, self._ready, self._after = Batch(), [], []
        self.processes.forget_all()

    def _report_stuck(self, process: ProcessRow, text: str) -> None:
        """A process cannot be computed at all."""
        self.events.notice_about(process, text)
        error = _stuck(process, text)
        self._waiters.fail(error, process.number)
        pending = self.store.pending()
        mine = {logged.root for logged in pending if logged.process == process.number}
        self.roots.fail(error, mine)
        if self._turns:
            self._turns.drop(process.number)


def _stuck(process: ProcessRow, text: str) -> AoError:
    hint = "its messages are kept; the next one to it is another try"
    return AoError(f"process {process.name or process.id}: {text}", stage="compute", hint=hint)
