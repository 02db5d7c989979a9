"""The local node at work: what enters is logged, computed, and what that sends is logged in turn.

One transaction holds a message's result and everything that it sends, so at any moment the database
says what is still to be done, and starting is the same as recovering: compute what has no result.
Transactions are made once per turn of the event loop, with whatever workers have answered by then.

Messages from outside are fsynced before they run. The rest is fsynced in groups: before anybody is
told that a line has settled, and a moment after things have become quiet.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.database_errors import UnusableDatabaseError
from aoshell.nodes.local import cron
from aoshell.nodes.local.events import Events
from aoshell.nodes.local.fetching import Fetch, Fetching
from aoshell.nodes.local.fixed import Fixed
from aoshell.nodes.local.history.adding import Adding
from aoshell.nodes.local.history.cutting import Cutting
from aoshell.nodes.local.history.longwork import LongWork
from aoshell.nodes.local.keeping import Keeping
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.checkpoint import Checkpoints
from aoshell.nodes.local.log.form import FlatResult, Wire
from aoshell.nodes.local.log.rows import (
    FETCHING,
    HELD,
    LOST,
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
from aoshell.nodes.local.push import FORGED, Pusher, add_to
from aoshell.nodes.local.roots import Roots
from aoshell.nodes.local.ticking import NodeClock, Ticking
from aoshell.nodes.local.workers.code import MachineCode
from aoshell.nodes.local.workers.jobs import Cost
from aoshell.nodes.local.workers.loader import Loader
from aoshell.nodes.local.workers.pool import Computer
from aoshell.nodes.local.workers.turns import Turns
from aoshell.nodes.values import Event, Limits
from aoshell.protocol.ans104 import DataItem
from aoshell.sandbox.supervisor import Supervisor

WALLETS = "wallets"  # in the table of facts: addresses of the shell's identities
QUIET = 0.05  # seconds behind the last commit before it is fsynced unasked
IDLE = 0.0005  # seconds between two looks whether nothing is left
MOMENT = 0.5  # seconds that closing waits for messages under way
RETRY = 2.0  # seconds before a disk that could not be written is tried again
TRIES = 4  # in a row, before those who wait are told; it is tried on none the less


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
        self.clock = NodeClock(self.store, fixed.begin if fixed else None)
        self.modules = Modules(self.store, self.clock)
        self.address = self.modules.node_address(fixed.key if fixed else None)
        self.scheduler = Scheduler(self.store, self.clock)
        self.checkpoints = Checkpoints(store.folder / "checkpoints")
        self.events = Events()
        machine_code = MachineCode(store.folder / "machine-code", supervisor, self.events.notice)
        self.loader = Loader(self, self.modules, machine_code)
        self.roots = Roots(self.store.id_of)
        self.computer = Computer(self, self.loader, supervisor, self.store, self.checkpoints)
        self._turns = Turns(self.computer.enqueue) if fixed else None
        self._enqueue = self._turns.add if self._turns else self.computer.enqueue
        self.fetching = Fetching(self, fetch)
        self.ticking = Ticking(self, self.clock)
        self.work = LongWork()
        self.marks = Marks(store)
        self.cutting = Cutting(self)
        self.adding = Adding(self)
        self._pusher = Pusher(self, self.store, self.scheduler, self.roots.counts)
        self.keeping = Keeping(self, self._pusher)
        self._rows: dict[int, ProcessRow] = {}
        self._numbers: dict[str, int] = {}
        self._wallets: set[str] = set(json.loads(self.store.meta(WALLETS) or "[]"))
        # What is written by the next `flush`, and what follows it.
        self._batch = Batch()
        self._ready: list[tuple[Logged, Wire]] = []
        self._after: list[Callable[[], None]] = []
        self._unsynced = False
        self._troubles = 0  # times in a row that the disk could not be written
        self._trouble: AoError | None = None  # the last of these
        self._timers: dict[str, asyncio.Handle] = {}
        self._waiting: dict[tuple[int, int], list[asyncio.Future[None]]] = {}

    def start(self) -> None:
        """Compute what was left, and let time pass for cron."""
        pending = self._recover()
        if pending:
            what = "message was" if pending == 1 else "messages were"
            self.events.notice(f"{pending} {what} left to compute when the node stopped")
        self.keeping.release_left()
        self.ticking.begin()

    def _recover(self) -> int:
        retry = self._timers.pop("retry", None)
        if retry is not None:
            retry.cancel()
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
                if not self._troubles:  # else it has been told
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
        for timer in self._timers.values():
            timer.cancel()
        if not self.loop.is_closed():  # else nobody waits any more
            closed = AoError("the node was closed", stage="node", hint="what was sent is kept")
            self.fail_waiting(None, closed)
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

    def process(self, process_id: str) -> ProcessRow | None:
        """A process by id."""
        number = self._numbers.get(process_id)
        if number is not None:
            return self._rows[number]
        row = self.store.process(process_id)
        return self.know(row) if row is not None else None

    def row(self, number: int) -> ProcessRow:
        """A process by number."""
        return self._rows.get(number) or self.know(self.store.process_numbered(number))

    def know(self, row: ProcessRow) -> ProcessRow:
        """Keep a process's row at hand."""
        self._rows[row.number] = row
        self._numbers[row.id] = row.number
        return row

    def create(
        self, process_id: str, module: str, *, owner: str, tags: list[str], name: str = ""
    ) -> ProcessRow:
        """A row for a new process, not yet written. Raises UsageError for a bad Cron-Interval."""
        now = self.clock()
        row = ProcessRow(
            number=self.scheduler.new_process(),
            id=process_id,
            name=form.printable(name or form.widen(form.tag(tags, "Name"))),
            owner=owner,
            module=module,
            environment=self.modules.environment,
            created=now,
            cron=cron.dump(cron.schedules(tags, now)),
            memory=self.limits.memory,
        )
        return self.know(row)

    def definition(self, process: ProcessRow) -> list[Any]:
        """Slot 0 in the order of `LuaRuntime.boot`."""
        return self.modules.definition(process)

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

    def can_fetch(self, module: str) -> bool:
        """Whether a module that is not here may be brought."""
        return self.fetching.can(module)

    def is_paused(self, process: ProcessRow) -> bool:
        """Whether what others send to a process waits in a queue."""
        return process.id in self.keeping.paused or self.is_cut(process)

    def is_cut(self, process: ProcessRow) -> bool:
        """Whether nothing may be scheduled on a process now."""
        return process.id == self.cutting.held

    def know_wallets(self, addresses: Iterable[str]) -> None:
        """Somebody here signs with these addresses, though nothing signed came yet."""
        known = set(json.loads(self.store.meta(WALLETS) or "[]"))
        if new := set(addresses) - known:
            self.store.set_meta(WALLETS, json.dumps(sorted(known | new)))
        self._wallets |= new

    def is_wallet(self, address: str) -> bool:
        """Whether somebody known here signs with that address."""
        return address in self._wallets or self.store.is_owner(address)

    # Messages in ------------------------------------------------------------------------------

    def spawn(self, item: DataItem, name: str) -> Logged:
        """Schedule a signed definition as slot 0 of a new process, durably."""
        owner = item.owner_address
        tags = _tag_list(item)
        module = self.modules.resolve(form.tag(tags, "Module") or "aos").id
        row = self.create(item.id, module, owner=owner, tags=tags, name=name)
        body = [item.id, owner, owner, item.id, *_rest(item), *tags]
        return self._accept(row, item, body, Batch(processes=[row]))

    def send(self, process: ProcessRow, item: DataItem) -> Logged:
        """Schedule a signed message, durably."""
        tags = _tag_list(item)
        owner = item.owner_address
        # Who forges From-Process gets what it asks for, and is therefore not trusted.
        sender = form.tag(tags, "From-Process") or owner
        target = form.narrow(item.target or process.id)
        body = [item.id, sender, owner, target, *_rest(item), *tags]
        return self._accept(process, item, body, Batch())

    def _accept(self, process: ProcessRow, item: DataItem, body: Wire, batch: Batch) -> Logged:
        self._wallets.add(item.owner_address)
        logged = self.scheduler.assign(process.number, item.id, form.dump(body), signed=item.raw)
        batch.log.append(logged)
        self._commit_now(batch)
        self._begin([(logged, body)])
        if batch.processes:
            self.ticking.begin()
        return logged

    def take_in(self, batch: Batch) -> None:
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
            self._later("retry", RETRY, self._recover)
            raise
        self._unsynced, self._troubles = False, 0

    def admit(self, batch: Batch, ready: list[tuple[Logged, Wire]]) -> None:
        """Write messages from outside, with fsync, and compute them."""
        self._commit_now(batch)
        self._begin(ready)

    def _begin(self, scheduled: list[tuple[Logged, Wire]]) -> None:
        """Compute messages from outside, behind what a full disk may have left undone."""
        if "retry" in self._timers:
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

    def computed(self, logged: Logged, outcome: str, cost: Cost, result: FlatResult) -> None:
        """A worker has answered: push what it sends, and write both at the end of this turn."""
        sender, root = self.row(logged.process), self.roots.id_of(logged.root)
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
        if "flush" not in self._timers:
            self._timers["flush"] = self.loop.call_soon(self.flush)
        if self._turns:
            self._turns.done(logged)

    def flush(self) -> None:
        """Write what workers have answered; then, and only then, go on with what follows."""
        timer = self._timers.pop("flush", None)
        if timer is not None:
            timer.cancel()
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
            self._failed(error, "retry", self._recover)
            return
        self._troubles = 0
        self._go_on(ready)
        for call in after:
            call()
        for root in settled:
            self.roots.settle(root)
        self._unsynced = not sync
        if self._unsynced:
            self._later("sync", QUIET, self._sync)
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
        for future in self._waiting.pop((logged.process, logged.slot), ()):
            if not future.done():
                future.set_result(None)
        if not self.events.wanted:
            return
        process = self.row(logged.process).id
        quiet = not (result.error or result.output or result.ended)
        entry = partial(form.to_entry, process, logged, computed, result)
        self.events.put(Event("result", process, root, quiet=quiet, load=entry))
        for row in spawned:
            self.events.put(Event("spawned", row.id, root))
        for item in kept:
            if item.held in (LOST, HELD):
                kind = "held" if item.held else "undelivered"
                self.events.put(Event(kind, process, root, _told(item)))

    async def wait_for(self, process: int, slot: int) -> None:
        """Wait until a slot has its result on disk."""
        found = self.store.at_slot(process, slot)
        if found is None or found[1] is None:
            if process in self.computer.given_up:
                raise _stuck(self.row(process), self.computer.given_up[process])
            future: asyncio.Future[None] = self.loop.create_future()
            self._waiting.setdefault((process, slot), []).append(future)
            await future

    async def settled(self, message_id: str) -> None:
        """Wait until nothing that a message caused is left, and all of it is on disk."""
        for logged in self.store.pending() if self.computer.given_up else ():
            why = self.computer.given_up.get(logged.process)
            if why and self.roots.id_of(logged.root) == message_id:
                raise _stuck(self.row(logged.process), why)
        await self.roots.wait(message_id)
        while await self._undone():
            await self.roots.wait(message_id)
        self._sync()

    async def idle(self) -> None:
        """Wait until nothing that was scheduled is left, and all of it is on disk."""
        self.flush()
        while await self._undone() or self.roots.anything_open:
            for number, why in self.computer.given_up.items():
                raise _stuck(self.row(number), why)
            await asyncio.sleep(IDLE)
        self._sync()

    async def _undone(self) -> bool:
        """Whether what could not be written was to be computed again, a moment ago.

        Raises:
            AoError: it has not helped so far.
        """
        if "retry" not in self._timers:
            return False
        if self._trouble and self._troubles >= TRIES:
            raise self._trouble
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
        self._rows.clear()
        self._numbers.clear()

    def notice(self, process: ProcessRow, text: str) -> None:
        """Tell the user about a process."""
        self.events.notice(f"{process.name or process.id[:8]}: {text}", process.id)

    def stuck(self, process: ProcessRow, text: str) -> None:
        """A process cannot be computed at all."""
        self.notice(process, text)
        error = _stuck(process, text)
        self.fail_waiting(process, error)
        pending = self.store.pending()
        mine = {logged.root for logged in pending if logged.process == process.number}
        self.roots.fail(error, mine)
        if self._turns:
            self._turns.drop(process.number)

    def trouble(self, error: AoError) -> float | None:
        """The database could not be used. Seconds until another try, None where none helps.

        Whoever waits is told once trying has not helped; else a notice tells it, once.
        """
        self._troubles, self._trouble = self._troubles + 1, error
        helps = not isinstance(error, UnusableDatabaseError)
        if not helps or (self._troubles == 1 and not self._waiting and not self.roots.awaited):
            self.events.notice(str(error))
        if not helps or self._troubles >= TRIES:
            self.fail_waiting(None, error)
            self.roots.fail(error)
        return RETRY if helps else None

    def _failed(self, error: AoError, name: str, call: Callable[[], Any]) -> None:
        """Call again later, if that can help."""
        seconds = self.trouble(error)
        if seconds is not None:
            self._later(name, seconds, call)

    def fail_waiting(self, process: ProcessRow | None, error: AoError) -> None:
        """Tell those who wait for results of a process (None: of any)."""
        for key in [key for key in self._waiting if not process or key[0] == process.number]:
            for future in self._waiting.pop(key):
                if not future.done():
                    future.set_exception(error)

    # Time ---------------------------------------------------------------------------------------

    def _later(self, name: str, seconds: float, call: Callable[[], Any]) -> None:
        """Call once after a while; asked again meanwhile, still once."""
        if name not in self._timers:
            self._timers[name] = self.loop.call_later(seconds, self._fire, name, call)

    def _fire(self, name: str, call: Callable[[], Any]) -> None:
        self._timers.pop(name, None)
        try:
            call()
        except AoError as error:
            self._failed(error, name, call)


def _stuck(process: ProcessRow, text: str) -> AoError:
    hint = "its messages are kept; the next one to it is another try"
    return AoError(f"process {process.name or process.id}: {text}", stage="compute", hint=hint)


def _tag_list(item: DataItem) -> list[str]:
    flat: list[str] = []
    for tag in item.tags:
        if tag.name not in FORGED:
            flat += (form.narrow(tag.name), form.narrow(tag.value))
    return flat


def _rest(item: DataItem) -> list[str]:
    """Data, anchor and Pushed-For of a signed message."""
    return [item.data.decode("latin-1"), item.anchor.decode("latin-1"), ""]


def _told(kept: Kept) -> str:
    """What was not delivered, to whom, and why, in a line."""
    message = form.to_message(form.load(kept.body), None)
    if message.tag("Type") == "Process":
        return f"a spawn failed: {kept.reason}"
    whom = message.target if len(message.target) <= 12 else f"{message.target[:8]}…"
    target = f"to {whom}" if whom else "without Target"
    state = "held" if kept.held else "not delivered"
    return f"{message.tag('Action') or 'a message'} {target}: {state}: {kept.reason}"
