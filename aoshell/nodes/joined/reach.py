"""Finds the carrier of the node, or becomes it, also after the carrier has left.

`Reach` has the node in this process (it is the carrier), or a wire to the carrier. When the wire is
lost, it tries to take the lock, or connects to the process that was faster. Then it repeats open
calls, and looks up what happened in between.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aoshell.errors import AoError
from aoshell.nodes.joined import faults, verbs
from aoshell.nodes.joined.carrying import Carrier, Home, ThreadCarrier
from aoshell.nodes.joined.door import SHELLS, Door
from aoshell.nodes.joined.faults import LostError, StoppedError
from aoshell.nodes.joined.liveness import is_stopped
from aoshell.nodes.joined.verbs import Verb
from aoshell.nodes.local.log.lock import HeldError, lock_folder
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.waiting.events import Events
from aoshell.nodes.values import Event, Limits, LogEntry, NodeInfo, Receipt, Stage
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Result

if TYPE_CHECKING:
    from aoshell.nodes.joined.wire import Wire

T = TypeVar("T")

ANSWER_WITHIN = 0.7  # seconds in which the holder of the lock normally opens its socket
WITHOUT_SOCKET = 2.0  # seconds after which a holder without a socket is an error
PATIENCE = 20.0  # seconds after which a holder that does not answer on its socket is an error
SHORTEST, LONGEST = 0.005, 0.1  # seconds between two tries
# How often a harmless call is tried: each other shell of a home may become the carrier, and leave.
# The bound is for a call that itself kills the carrier.
TRIES = SHELLS + 1
SENT = 256  # newest messages of this shell whose slots and processes are remembered
ROOTS = 32  # newest messages of this shell whose consequences are looked up after a loss
MISSED = 1000  # results of a process that are looked up after a loss
SEEN = 4096  # newest results that are remembered, so that none is reported twice
MEGABYTE = 1 << 20  # bytes: the unit of the limit `memory` for people
FINISHING = 1.0  # seconds that a message in transit gets when its caller is cancelled


class Reach:
    """Calls the node, in this process or another. Call `open` first.

    Args:
        limits: limits of the node, if this process carries it.
        client: name of this shell in the log.
        threaded: carry the node in a thread.
    """

    def __init__(self, home: Home, limits: Limits, client: str, threaded: bool) -> None:
        self._home = home
        self._limits = limits
        self._client = client
        self._threaded = threaded
        self._loop = asyncio.get_running_loop()
        self._carrier: Carrier | ThreadCarrier | None = None
        self._wire: Wire | None = None
        self._regaining: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._events = Events(client)
        self._hears = False
        self._tell_waiting: Callable[[str], None] = lambda _: None
        self._watched: dict[str, int] = {}  # processes, and the last slot that was reported
        self._roots: dict[str, None] = {}
        self._sent: dict[tuple[str, int | str], str] = {}
        self._seen: dict[tuple[str, int, int, str, int], None] = {}
        self._wallets: set[str] = set()
        # Processes that messages may be signed for, and whether such a one was taken since.
        self._signable: dict[str, bool] = {}
        self.address = ""

    # What is known without asking ---------------------------------------------------------------

    @property
    def node(self) -> LocalNode | None:
        """The node, if it is in this event loop; else None."""
        return self._carrier.node if isinstance(self._carrier, Carrier) else None

    @property
    def folder(self) -> str:
        """The folder of the node's state."""
        return str(self._home.folder)

    @property
    def limits(self) -> Limits:
        """The node's limits."""
        if self.node is not None:
            return self.node.limits
        return self._wire.limits if self._wire is not None else self._limits

    @property
    def newest(self) -> int:
        """The number of the newest message."""
        if self.node is not None:
            return self.node.newest
        return self._wire.newest if self._wire is not None else 0

    @property
    def stage(self) -> Stage | None:
        """What the node is doing, or why it cannot be reached now."""
        if self.node is not None:
            return self.node.stage
        if self._wire is None:
            return Stage("join", self.folder, "the node's carrier has left; another one takes over")
        if self._wire.stuck:
            return Stage("join", self.folder, f"pid {self._wire.pid} {self._wire.stuck}")
        return self._wire.stage

    # Beginning and end --------------------------------------------------------------------------

    async def open(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """Carry the node, or join its carrier. Raises AoError.

        Args:
            tell: shows for which carrier it waits.
        """
        wanted = self._limits
        self._tell_waiting = tell
        await self._reach(first=True)
        self._tell_waiting = lambda _: None
        if self._wire is not None and self._carrier is None:
            self._tell_limits(wanted, self._wire)

    def _tell_limits(self, wanted: Limits, wire: Wire) -> None:
        """Report which of the wanted limits differ on the node."""
        own, theirs = Limits(), wire.limits
        other = [
            f"{field.name} is {_shown(field.name, theirs)}, not {_shown(field.name, wanted)}"
            for field in fields(Limits)
            if getattr(wanted, field.name)
            not in (getattr(own, field.name), getattr(theirs, field.name))
        ]
        if other:
            self._events.notice(
                f"the limits of the node hold, which pid {wire.pid} carries: {', '.join(other)};"
                " .limits changes them for all"
            )

    async def close(self) -> None:
        """Leave. If this process carries the node, it closes it, and another shell takes over."""
        self._closed = True
        for task in (*self._tasks, *([self._regaining] if self._regaining else [])):
            task.cancel()
            await asyncio.wait({task})
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        try:
            if self._carrier is not None:
                await self._carrier.close()
        finally:
            self._events.close()

    def abandon(self) -> None:
        """Leave without waiting, from any thread."""
        self._closed = True
        if self._wire is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._wire.close)
        if self._carrier is not None:
            self._carrier.abandon()

    # Reaching it --------------------------------------------------------------------------------

    async def _reach(self, *, first: bool = False) -> None:
        """Carry the node, or connect to its carrier.

        Args:
            first: a stopped carrier is an error; otherwise wait for it.
        """
        since, pause = self._loop.time(), SHORTEST
        while (held := await self._carry()) is not None:
            silent = self._loop.time() - since
            try:
                if held.socket is not None:
                    await self._connect(held)
                    return
            except LostError:
                pass
            except StoppedError as error:
                if first:
                    raise
                self.stuck(error)
            else:
                if silent > ANSWER_WITHIN and is_stopped(held.pid):
                    raise StoppedError(self._home.folder, held.pid)
            if silent > ANSWER_WITHIN:
                self.waits_for(held.pid)
            if held.socket is None and silent > WITHOUT_SOCKET:
                raise faults.unjoinable(self._home.folder, held.pid)
            if silent > PATIENCE:
                if held.socket is not None and not held.socket.exists():
                    raise faults.without_file(self._home.folder, held.pid, held.socket)
                raise faults.silent(self._home.folder, held.pid, silent)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST)

    async def _carry(self) -> HeldError | None:
        """Carry the node. Returns None, or the error with the process that carries it already."""
        try:
            lock = lock_folder(self._home.folder)
        except HeldError as held:
            return held
        door = Door(lock)
        if self._threaded and door.bound:
            self._carrier = await ThreadCarrier.begin(self._home, self._limits, lock, door)
            # From here on this process joins like any other.
            return await self._carry()
        self._carrier = await Carrier.begin(self._home, self._limits, lock, door)
        self.address = self._carrier.node.address
        if self._hears:
            self._carrier.node.listen(self._events)
        return None

    async def _connect(self, held: HeldError) -> None:
        """Join the process that holds the lock. Raises LostError, AoError."""
        from aoshell.nodes.joined.server import Joining, build_of_this
        from aoshell.nodes.joined.wire import Wire

        if (supervisor := self._home.take_supervisor()) is not None:
            supervisor.close()  # a joined shell needs no zygote
        joining = Joining(
            self._client,
            build_of_this(),
            self._home.fixed is not None,
            tuple(self._watched),
            tuple(self._roots),
        )
        assert held.socket is not None
        wire = await Wire.connect(self, held.socket, self._home.folder, joining)
        self._wire, self.address = wire, wire.welcome.address

    def lost(self, wire: Wire) -> None:
        """The carrier is gone: become the carrier, or find the next one."""
        if wire is not self._wire or self._closed:
            return
        self._limits, self._wire = wire.limits, None
        self._signable.clear()
        self._regain()

    def _regain(self) -> None:
        self._regaining = self._loop.create_task(self._regained(dict(self._watched)))
        self._regaining.add_done_callback(_taken)

    async def _regained(self, last_slots: dict[str, int]) -> None:
        try:
            await self._reach()
        except AoError as error:
            self._events.notice(f"the node of this home is out of reach: {error}")
            raise
        self._begin(self._look_up(last_slots))

    async def _reached(self) -> None:
        """Wait until the node can be reached again. Raises AoError."""
        if self._closed:
            raise AoError("the node was closed", stage="node", hint="what was sent is kept")
        if self._regaining is None or self._regaining.done():
            self._regain()
        assert self._regaining is not None
        await asyncio.shield(self._regaining)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Asking -------------------------------------------------------------------------------------

    async def call(self, verb: Verb[T], *args: Any) -> T:
        """Call the node. If its carrier leaves, repeat the call if that does no harm.

        Raises:
            AoError: from the verb, or the node is out of reach.
        """
        for _ in range(TRIES if verb.again else 1):
            with suppress(LostError):
                return await self._ask(verb, *args)
        raise faults.lost_each_time(verb.name, TRIES) if verb.again else faults.not_known(verb.name)

    async def _ask(self, verb: Verb[T], *args: Any) -> T:
        if self.node is None and self._wire is None:
            await self._reached()
        if self.node is not None:
            return await verb.on(self.node, self._client, *args)
        if self._wire is None:
            raise LostError
        return await self._wire.call(verb, *args)

    async def deliver(self, verb: Verb[Receipt], *args: Any) -> Receipt:
        """Send a message.

        As on a node in this process, it is sent completely or not at all: if the caller is
        cancelled in transit, this still waits for the receipt, then cancels the caller.
        """
        if self.node is not None:
            return await verb.on(self.node, self._client, *args)
        item = next(arg for arg in args if isinstance(arg, DataItem | Message))
        _note(self._roots, item.id, None, ROOTS)
        sending = self._loop.create_task(self.call(verb, *args))
        try:
            receipt = await asyncio.shield(sending)
        except asyncio.CancelledError:
            try:
                await asyncio.wait({sending}, timeout=FINISHING)
            finally:
                sending.cancel()
            if not sending.done() or sending.cancelled():
                raise
            receipt = sending.result()
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            task.cancel()
        if receipt.slot is not None:
            _note(self._sent, (receipt.process, receipt.slot), receipt.id, SENT)
        return receipt

    async def takes_unsigned(self, process: str) -> bool:
        """Whether nothing may be signed for a process.

        Asked once of each carrier: where it has then taken a signed message, the process is one of
        this home. A fork with its id can come only when that one is deleted, and refuses what is
        signed.
        """
        if self._signable.get(process):
            return False
        unsigned = await self.call(verbs.TAKES_UNSIGNED, process)
        if not unsigned:
            _note(self._signable, process, False, SENT)
        return unsigned

    async def send_signed(self, process: str, item: DataItem) -> Receipt:
        """Hand in a signed message to a process."""
        asked = self._signable.pop(process, None) is not None
        receipt = await self.deliver(verbs.SEND, process, item)
        if asked:
            _note(self._signable, process, True, SENT)
        return receipt

    async def result(self, process: str, place: int | str) -> Result:
        """See `Node.result`. After a loss it asks for messages of this shell by their ids."""
        for _ in range(TRIES):
            try:
                return await self._ask(verbs.RESULT, process, place)
            except LostError:
                place = self._sent.get((process, place), place)
        raise faults.lost_each_time(verbs.RESULT.name, TRIES)

    async def settled(self, root: str) -> None:
        """See `Node.settled`."""
        await self.call(verbs.SETTLED, root)
        self._roots.pop(root, None)

    async def set_limits(self, limits: Limits) -> None:
        """See `LocalVerbs.set_limits`."""
        await self.call(verbs.SET_LIMITS, limits)
        if isinstance(self._carrier, Carrier):
            self._carrier.tell_state()

    async def info(self) -> NodeInfo:
        """See `Node.info`; adds the carrier."""
        info = await self.call(verbs.INFO)
        if self._carrier is not None:
            by = f"pid {os.getpid()} (this one)"
        elif self._wire is not None:
            by = f"pid {self._wire.pid}"
        else:  # the carrier left after its answer
            return info
        return replace(info, details={**info.details, "carried by": by})

    def knows(self, wallets: tuple[str, ...]) -> None:
        """See `Node.knows`."""
        self._wallets.update(wallets)
        if self.node is not None:
            self.node.knows(wallets)
        elif self._wire is not None:
            self._wire.post(verbs.KNOWS, wallets)

    # Events -------------------------------------------------------------------------------------

    def subscribe(self) -> AsyncIterator[Event]:
        """See `Node.subscribe`."""
        subscription = self._events.subscribe()
        if self.node is not None and not self._hears:
            self.node.listen(self._events)
        self._hears = True
        return subscription

    async def watch(self, process: str) -> None:
        """See `Node.watch`."""
        if self.node is None:
            self._watched[process] = await self.call(verbs.WATCH, process) - 1

    def happened(self, event: Event) -> None:
        """Pass on an event, unless that was done already."""
        entry = event.entry
        if entry is not None and (at := entry.message.assignment) is not None:
            key = (event.process, at.slot, at.tick, entry.message.id, at.timestamp)
            if key in self._seen:
                return
            _note(self._seen, key, None, SEEN)
            if event.process in self._watched:
                self._watched[event.process] = at.slot
        self._events.put(event)

    def missed(self, count: int) -> None:
        """Events were left out: look up those that matter to this shell."""
        del count
        self._begin(self._look_up(dict(self._watched)))

    def waits_for(self, pid: int) -> None:
        """Report, once, that it waits for a carrier that has not answered yet."""
        tell, self._tell_waiting = self._tell_waiting, lambda _: None
        tell(
            f"waiting for pid {pid or 'unknown'}: it carries the node of this home, and does not"
            f" answer ({PATIENCE:g} s at most, Ctrl-C leaves)"
        )

    def stuck(self, error: AoError) -> None:
        """The carrier is stopped while a call waits for it."""
        self._events.notice(str(error))

    async def _look_up(self, last_slots: dict[str, int]) -> None:
        """Report what happened while there was no carrier.

        Args:
            last_slots: watched processes, and the last slot that was reported before.
        """
        if self._wallets:
            self.knows(tuple(self._wallets))
        for process, last in last_slots.items():
            with suppress(AoError):  # the process is gone
                entries = await self.call(verbs.RESULTS, process, last, MISSED)
                self._tell(process, entries)
                if len(entries) >= MISSED:
                    self._events.notice("later results are not shown: .messages")
        for root in list(self._roots):
            with suppress(AoError):
                for hop in await self.call(verbs.TRACE, root, ""):
                    self._tell(hop.process, [hop.entry] if hop.entry else [])

    def _tell(self, process: str, entries: Iterable[LogEntry]) -> None:
        for entry in entries:
            result = entry.result
            if result is not None:
                root = entry.message.pushed_for or entry.message.id
                quiet = not (result.error or result.output or result.resumed)
                self.happened(Event("result", process, root, "", quiet, partial(_same, entry)))


def _same(entry: LogEntry) -> LogEntry:
    return entry


def _shown(name: str, limits: Limits) -> str:
    """A limit as `.limits` shows it."""
    value = getattr(limits, name)
    if isinstance(value, bool):
        return "on" if value else "off"
    if name == "memory":
        return f"{value / MEGABYTE:g} MB"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _taken(task: asyncio.Task[None]) -> None:
    """Take a task's error, so that asyncio does not log it: the next call raises it."""
    if not task.cancelled():
        task.exception()


def _note(known: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    """Keep a value; above `most` values the oldest is dropped."""
    known[key] = value
    if len(known) > most:
        del known[next(iter(known))]
