"""The built-in node: `nodes.base.Node` and `LocalVerbs`, over the engine."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from aoshell.errors import AoError, UnsupportedError, UsageError
from aoshell.nodes.local.clock.fixed import Fixed
from aoshell.nodes.local.delivery.fetching import Fetch
from aoshell.nodes.local.delivery.push import FORGED
from aoshell.nodes.local.engine import Engine
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.lock import HomeLock, lock_folder
from aoshell.nodes.local.log.rows import Batch, Computed, ProcessRow
from aoshell.nodes.local.log.scheduler import block_height
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.waiting.events import EventSubscription, Sink
from aoshell.nodes.local.workers.jobs import PutAwayError, make_message_frame, time_text
from aoshell.nodes.values import (
    EndpointFinding,
    Limits,
    LogEntry,
    Module,
    NameTakenError,
    NodeInfo,
    NotFoundError,
    ProcessInfo,
    Receipt,
    Sent,
    Stage,
    Undelivered,
    envelope,
)
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Message, Result, Tag, printable
from aoshell.protocol.wallet import Wallet
from aoshell.sandbox.supervising.supervisor import Supervisor

if TYPE_CHECKING:
    from aoshell.attest.evidence import Evidence
    from aoshell.nodes.local.network.states import States
    from aoshell.nodes.local.network.verbs import LocalNetwork
    from aoshell.nodes.local.replaying.rehearsal import Rehearsal
    from aoshell.nodes.local.workbench import LocalWorkbench


class LocalNode:
    """A node in this process, with its state in one folder. Made by `LocalNode.open`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._closed = False

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        if self._closed:
            return
        warn(
            f"the node in {self._engine.store.folder} was not closed", ResourceWarning, source=self
        )
        self.abandon()

    def abandon(self) -> None:
        """Close without waiting or writing, from any thread; the next start computes the rest."""
        self._closed = True
        if self._engine.loop.is_running():
            self._engine.loop.call_soon_threadsafe(self._engine.abandon)
        else:
            self._engine.abandon()

    @classmethod
    async def open(
        cls,
        folder: Path,
        limits: Limits | None = None,
        supervisor: Supervisor | None = None,
        fetch: Fetch | None = None,
        fixed: Fixed | None = None,
        lock: HomeLock | None = None,
    ) -> LocalNode:
        """Open or make the node in `folder`, and compute what has no result.

        Args:
            supervisor: one whose zygote was started already, to save time.
            fetch: returns the verified module of an Arweave transaction; None stays offline.
            fixed: fixed clock and key, for the same results in each run; None for real ones.
            lock: the folder's lock, if it is taken already; the node closes it.

        Raises:
            HeldError: another process holds the lock.
            AoError: the folder cannot be used.
        """
        with ExitStack() as undoing:
            lock = lock or lock_folder(folder)
            undoing.callback(lock.close)
            supervisor = supervisor or Supervisor()
            supervisor.start()
            undoing.callback(supervisor.close)
            store = Store(folder, lock)
            undoing.callback(store.close)
            engine = Engine(store, limits or Limits(), supervisor, fetch, fixed)
            undoing.callback(engine.abandon)
            engine.start()
            undoing.pop_all()
        return cls(engine)

    @property
    def local(self) -> LocalNode:
        return self

    @property
    def remote(self) -> None:
        return None

    @property
    def cron(self) -> None:
        return None

    @property
    def state(self) -> LocalNode:
        return self

    # Parts that no line needs are imported at first use, so that starts are fast.

    @cached_property
    def workbench(self) -> LocalWorkbench:
        from aoshell.nodes.local.workbench import LocalWorkbench

        return LocalWorkbench(self._engine)

    @cached_property
    def _states(self) -> States:
        from aoshell.nodes.local.network.states import States

        return States(self._engine, self.dryrun, self.workbench.at)

    @cached_property
    def network(self) -> LocalNetwork:
        from aoshell.nodes.local.network.verbs import LocalNetwork

        return LocalNetwork(self._engine, self._states)

    @property
    def stage(self) -> Stage | None:
        return self._engine.work.stage

    @property
    def limits(self) -> Limits:
        return self._engine.limits

    @property
    def address(self) -> str:
        """The node's address, 43 characters base64url."""
        return self._engine.address

    @property
    def time(self) -> int:
        """The node's time, milliseconds since the Unix epoch."""
        return self._engine.clock()

    async def clock(self) -> int:
        """As `time`, in the form of `HomeNode.clock`, which may ask another process."""
        return self.time

    @property
    def newest(self) -> int:
        return self._engine.scheduler.last_seq

    async def close(self) -> None:
        self._closed = True
        await self._engine.close()

    # Messages ---------------------------------------------------------------------------------

    async def sign(self, wallet: Wallet, target: str, tags: tuple[Tag, ...], data: bytes) -> Sent:
        if target and await self.takes_unsigned(target):
            return unsigned_for(wallet.address, target, tags, data)
        return signed_for(self._engine.address, wallet, target, tags, data)

    async def takes_unsigned(self, process: str) -> bool:
        """Whether messages to a process must not be signed: a live process has its id."""
        row = self._engine.processes.find(process)
        return row is not None and self._engine.origins.takes_unsigned(row)

    async def spawn(self, item: Sent, name: str = "", *, unique: bool = False) -> Receipt:
        if unique and name and self._engine.processes.find(item.id) is None:
            self._check_free(name)
        logged = self._engine.intake.spawn(item_of(item), name)
        return Receipt(item.id, item.id, logged.slot)

    def _check_free(self, name: str) -> None:
        """Raise NameTakenError if a process of the prompt has a name; clients may share names."""
        if any(not row.chain for row in self._engine.store.processes_named(name)):
            raise NameTakenError(
                f"a process called {name} is on this node already",
                stage="spawn",
                hint="choose another name; .ps lists those there are",
            )

    async def send(self, process: str, item: Sent) -> Receipt:
        row = self._engine.processes.look_up(process)
        await self._engine.cutting.wait_until_free(row)
        if isinstance(item, Message):
            logged = self._engine.intake.say(row, item)
        else:
            logged = self._engine.intake.send(row, item_of(item))
        return Receipt(item.id, process, logged.slot)

    async def result(self, process: str, place: int | str) -> Result:
        row = self._engine.processes.look_up(process)
        slot = self._slot(row, place)
        if not 0 <= slot <= self._engine.scheduler.head(row.number).slot:
            raise AoError(f"process {process} has no slot {slot} yet", stage="compute")
        await self._engine.settling.wait_for_result(row.number, slot)
        found = self._engine.store.at_slot(row.number, slot)
        assert found is not None and found[1] is not None
        flat, wire = form.load_result(found[1].body), form.load_wire(found[0].body)
        return form.to_result(process, found[0], found[1], flat, wire)

    async def results(self, process: str, after: int = -1, limit: int = 100) -> Sequence[LogEntry]:
        row = self._engine.processes.look_up(process)
        rows = self._engine.store.behind_slot(row.number, after, limit)
        if len(rows) == limit:  # the next page begins after a slot, so complete the last one
            last = rows[-1][0].slot
            rows = [found for found in rows if found[0].slot < last]
            rows += self._engine.store.behind_slot(row.number, last - 1, -1, last)
        return [form.load_entry(process, *found) for found in rows if found[1] is not None]

    async def schedule(self, process: str, first: int, last: int) -> Sequence[Message]:
        row = self._engine.processes.look_up(process)
        rows = self._engine.store.behind_slot(row.number, first - 1, -1, last)
        return [form.load_entry(process, *found).message for found in rows]

    async def dryrun(self, process: str, item: Message) -> Result:
        while True:
            with suppress(PutAwayError):  # then the log may be another one: all is looked up again
                return await self._dryrun(process, item)

    async def _dryrun(self, process: str, item: Message) -> Result:
        row = self._engine.processes.look_up(process)
        head = self._engine.scheduler.head(row.number)
        await self._engine.settling.wait_for_result(row.number, head.slot)
        last = self._engine.store.last_computed(row.number)
        assert last is not None
        at = max(last[0].timestamp, self.time)
        placed = last[0]._replace(tick=0, id="", signed=None, timestamp=at, height=block_height(at))
        body = form.from_message(item)
        body[form.TARGET] = body[form.TARGET] or process
        message = make_message_frame(placed, body, read_only=True)
        outcome, cost, result = await self._engine.computer.dry_run(row.number, message)
        if outcome == "time":
            result = result._replace(error=time_text(self.limits))
        elif result.error is None:
            result = result._replace(error="its worker died under it")
        computed = Computed(placed.seq, outcome, *cost, 0, b"")
        return form.to_result(process, placed, computed, result, body)

    async def rehearse(self, process: str, limits: Limits) -> Rehearsal:
        """A copy of a process on which sequences of messages are tried; the caller must close it.

        Raises:
            AoError: there is no such process, it is WASM, or its log cannot be computed again.
        """
        from aoshell.nodes.local.replaying.rehearsal import Rehearsal

        await self.idle()
        return await Rehearsal.begin(self._engine, process, limits)

    async def now(self, process: str, key: str) -> object:
        return await self._states.read(process, None, key)

    async def slots(self, process: str) -> int:
        self._engine.flush()
        return self._engine.scheduler.head(self._engine.processes.look_up(process).number).slot + 1

    async def settled(self, root: str) -> None:
        await self._engine.settling.wait_until_settled(root)

    async def idle(self) -> None:
        """Return once nothing is left to compute, cron messages included, and it is on disk."""
        await self._engine.settling.wait_until_idle()

    async def cancel(self, process: str, slot: int) -> bool:
        row = self._engine.processes.look_up(process)
        found = self._engine.store.at_slot(row.number, slot)
        return found is not None and self._engine.computer.cancel(row.number, found[0].seq)

    def subscribe(self) -> EventSubscription:
        return self._engine.events.subscribe()

    def listen(self, sink: Sink) -> Callable[[], None]:
        """Give each event to a sink when it happens. Returns a function that ends this."""
        self._engine.events.attach(sink)
        return lambda: self._engine.events.remove(sink)

    async def watch(self, process: str) -> None:
        del process  # the subscription has the events of all processes

    # Processes and modules ------------------------------------------------------------------------

    def _slot(self, row: ProcessRow, place: int | str) -> int:
        if isinstance(place, int):
            return place
        slot = self._engine.store.slot_of(row.number, place)
        if slot is None:
            raise AoError(f"no message {place} is in the log of {row.name or row.id}", stage="node")
        return slot

    async def processes(self) -> Sequence[ProcessInfo]:
        self._engine.flush()
        return [self._engine.describe(row) for row in self._engine.store.processes()]

    async def find(self, reference: str) -> ProcessInfo:
        self._engine.flush()
        rows = self._engine.store.find_processes(reference)
        if not rows:
            raise NotFoundError(
                f"no process {reference!r} is on this node",
                stage="node",
                hint="see .ps for those there are",
            )
        if len(rows) > 1:
            raise AoError(
                f"{len(rows)} processes answer to {reference!r}",
                stage="node",
                hint="say which by id: " + ", ".join(row.id for row in rows[:4]),
            )
        return self._engine.describe(rows[0])

    async def upload(self, data: bytes, name: str = "") -> Module:
        return await self._engine.loader.add_module(data, name)

    async def fetch(self, reference: str) -> Module:
        try:
            return self._engine.modules.resolve(reference)
        except AoError:
            if not self._engine.fetching.can_fetch(reference):
                raise
        return await self._engine.fetching.fetch_module(reference)

    async def info(self) -> NodeInfo:
        engine = self._engine
        return NodeInfo("local", engine.address, str(engine.store.folder))

    async def evidence(self, nonce: bytes, endpoint: str = "", kind: str = "") -> Evidence:
        return await evidence_elsewhere(nonce, endpoint, kind)

    # Under the user's own hands ------------------------------------------------------------------

    def knows(self, wallets: Iterable[str]) -> None:
        self._engine.signers.add(wallets)

    async def set_limits(self, limits: Limits) -> None:
        counted = min(limits.gas, limits.workers)
        if limits.seconds <= 0 or limits.memory < 1 << 20 or limits.pushes < 1 or counted < 0:
            raise UsageError(
                "these limits leave nothing to work with",
                hint="seconds above 0, memory of 1 MB or more, pushes of 1 or more, others from 0",
            )
        self._engine.set_limits(limits)

    async def undelivered(self, process: str | None = None) -> Sequence[Undelivered]:
        self._engine.flush()
        rows = self._engine.processes
        number = rows.look_up(process).number if process else None
        return [
            form.to_undelivered(rows.get(sender).id, slot, kept)
            for sender, slot, kept in self._engine.store.kept(number)
        ]

    async def examine(self) -> Sequence[EndpointFinding]:
        from aoshell.nodes.local import health

        return await asyncio.to_thread(health.examine, self._engine.store.folder)

    async def verify_log(self, process: str) -> Sequence[str]:
        from aoshell.nodes.local.replaying import verify

        row = self._engine.processes.look_up(process)
        self._engine.flush()
        return await verify.verify_log(self._engine, row)

    async def export(self, process: str) -> bytes:
        from aoshell.nodes.local.history import transfer
        from aoshell.nodes.local.history.longwork import run_in_thread

        row = self._engine.processes.look_up(process)
        self._engine.flush()
        whole = self._engine.scheduler.head(row.number).slot + 1
        with (
            self._engine.store.unchanging() as now,
            self._engine.work.seen("export", row.name, whole) as seen,
        ):
            return await run_in_thread(
                lambda progress: b"".join(transfer.export_process(now, row, progress)), seen
            )

    async def warnings(self, process: str) -> Sequence[str]:
        from aoshell.nodes.local.forked import withheld

        row = self._engine.processes.look_up(process)
        with self._engine.store.unchanging() as now:
            return await asyncio.to_thread(withheld.warnings, now, row.number)

    async def restore(self, data: bytes, name: str = "", *, unique: bool = False) -> ProcessInfo:
        from aoshell.nodes.local.history import transfer

        engine = self._engine
        await engine.others.wait("import")
        engine.flush()
        with engine.origins.coming() as memories:
            row = await transfer.import_process(
                *(engine.store, engine.adding, memories, engine.work, data, engine.address),
                printable(name),
                unique=unique,
            )
        return self._engine.describe(row)

    async def rename(self, process: str, name: str) -> ProcessInfo:
        row = self._engine.processes.look_up(process)
        name = printable(name)
        if not name:
            raise UsageError("a process cannot be called nothing", hint=".rename PROCESS as NAME")
        if name != row.name:
            self._check_free(name)
        renamed = row._replace(name=name)
        self._engine.admit(Batch(renamed=[(name, row.number)]), [])
        self._engine.processes.keep(renamed)
        self._engine.events.deed(row, f"named it {name} (.rename)")
        return self._engine.describe(renamed)

    async def delete(self, process: str) -> None:
        row = self._engine.processes.look_up(process)
        await self._engine.others.wait("delete", row)
        origin = self._engine.origins.of(row.number)
        await self._engine.cutting.delete(row)
        if origin is not None and origin.memory:
            self._engine.origins.remove_unused(origin.memory)
        self._engine.events.deed(row, "deleted it (.delete)")


def signed_for(
    address: str, wallet: Wallet, target: str, tags: tuple[Tag, ...], data: bytes
) -> DataItem:
    """A signed message for the built-in node with that address, as `Node.sign`."""
    if target:
        return DataItem.sign(wallet, target, (*envelope("Message"), *tags), data)
    named = {tag.name for tag in tags}
    own = [Tag(name, address) for name in ("Scheduler", "Authority")]
    missing = (tag for tag in own if tag.name not in named)
    return DataItem.sign(wallet, "", (*envelope("Process"), *missing, *tags), data)


async def evidence_elsewhere(nonce: bytes, endpoint: str, kind: str) -> Evidence:
    """`Node.evidence` for the built-in node, which has no evidence of its own."""
    if endpoint:
        from aoshell.nodes.remote.hyperbeam.evidence import ask

        return await ask(endpoint, nonce, kind=kind)
    raise UnsupportedError(
        "the local node has no attestation evidence: it is this computer",
        hint=".attest URL asks a remote node, .attest FILE checks what was kept of one",
    )


def unsigned_for(owner: str, target: str, tags: tuple[Tag, ...], data: bytes) -> Message:
    """An unsigned message that states its owner, as `Node.sign`."""
    whole = (*envelope("Message"), *(tag for tag in tags if tag.name not in FORGED))
    sender = next((tag.value for tag in tags if tag.name == "From-Process"), owner)
    return Message(b64url(os.urandom(32)), owner, sender, target, whole, data)


def item_of(item: Sent) -> DataItem:
    """An ANS-104 item, unchanged. Raises UnsupportedError for another form of message."""
    if isinstance(item, DataItem):
        return item
    raise UnsupportedError("the built-in node takes ANS-104 items only", hint="sign it as one")
