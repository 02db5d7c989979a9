"""The carrier's side of the socket: one `Guest` for each shell that has joined."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aoshell.errors import AoError
from aoshell.nodes.clients import LONGEST_CLIENT
from aoshell.nodes.joined import faults
from aoshell.nodes.joined.codec import Blobs, as_text, describe, form_of, pack, unpack
from aoshell.nodes.joined.door import SHELLS
from aoshell.nodes.joined.faults import JoinError
from aoshell.nodes.joined.frames import (
    Assembler,
    Code,
    Greeting,
    Hello,
    Payload,
    frames_of,
    own_hello,
)
from aoshell.nodes.joined.verbs import (
    SAY,
    SEND,
    SET_LIMITS,
    SPAWN,
    VERBS,
    WATCH,
    Verb,
    check_signature,
)
from aoshell.nodes.values import Event, Limits, Receipt, Stage
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message

if TYPE_CHECKING:
    from aoshell.nodes.local.node import LocalNode

CALLS = 256  # calls of one shell under way
UNREAD = 4 << 20  # bytes that a slow shell may leave unread before events are left out
PART = 1 << 20  # bytes of items that are sent together
WATCHED = 1024  # processes of one shell whose results are sent
ROOTS = 4096  # newest messages of one shell whose consequences are sent
RECEIPTS = 64  # newest receipts of one shell, which may cancel before they arrive
LOOK = 0.1  # seconds between two looks at the node's stage, while a shell waits


@dataclass(frozen=True, slots=True)
class Joining:
    """A shell that wants to join.

    Attributes:
        client: its name in the log (`nodes.clients`).
        build: digest of its verbs (`build_of_this`); two builds of one version may differ.
        fixed: whether it expects a node with a fixed clock and key.
        watched: processes whose results it wants.
        roots: messages that it sent to an earlier carrier.
    """

    client: str
    build: str
    fixed: bool
    watched: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Welcome:
    """Facts about the node for a shell that joins it."""

    address: str
    folder: str
    limits: Limits
    newest: int


@dataclass(frozen=True, slots=True)
class NodeState:
    """Facts about the node that change while a shell is joined."""

    limits: Limits
    stage: Stage | None


@functools.cache
def build_of_this() -> str:
    """SHA-256 over all verbs and the types of their arguments and answers."""
    lines = [
        f"{verb.name} {describe(verb.takes)} {describe(verb.answer)}" for verb in VERBS.values()
    ]
    lines += [describe(kind) for kind in (Welcome, NodeState, Event)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Host:
    """Serves a node to the shells that join."""

    def __init__(self, node: LocalNode, folder: Path, fixed: bool) -> None:
        self.node = node
        self.folder = folder
        self.fixed = fixed
        self._guests: set[Guest] = set()
        self._sent = NodeState(node.limits, node.stage)
        self._looking: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()

    def take(self, connection: socket.socket) -> None:
        """Serve a connection."""
        guest = Guest(self, full=len(self._guests) >= SHELLS)
        self._guests.add(guest)
        self.begin(self._loop.connect_accepted_socket(lambda: guest, connection))

    def begin(self, work: Any) -> asyncio.Task[Any]:
        """Run a coroutine."""
        task: asyncio.Task[Any] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def gone(self, guest: Guest) -> None:
        """Forget a shell."""
        self._guests.discard(guest)

    def tell_state(self) -> None:
        """Send changes of the state to all shells; look again while a shell waits."""
        if self._looking is not None:
            self._looking.cancel()
        self._looking = None
        now = NodeState(self.node.limits, self.node.stage)
        if now != self._sent:
            self._sent = now
            for guest in self._guests:
                guest.give(Code.STATE, 0, *pack(NodeState, now))
        if any(guest.waits for guest in self._guests):
            self._looking = self._loop.call_later(LOOK, self.tell_state)

    def waits(self) -> None:
        """A shell has begun to wait."""
        if self._looking is None:
            self._looking = self._loop.call_later(LOOK, self.tell_state)

    def close(self) -> None:
        """End all connections and their calls."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        for guest in list(self._guests):
            guest.close()
        for task in self._tasks:
            task.cancel()


class Guest(asyncio.Protocol):
    """A shell that has joined. It also takes events of the node.

    Args:
        full: there are too many shells, so this one only gets that error.
    """

    def __init__(self, host: Host, *, full: bool = False) -> None:
        self._host = host
        self._full = full
        self._node = host.node
        self._transport: asyncio.Transport | None = None
        self._greeting = Greeting(self._greeted)
        self._came = Assembler()
        self._client = ""
        self._unlisten: Callable[[], None] = _nothing
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._receipts: dict[int, Receipt] = {}
        self._watched: dict[str, None] = {}
        self._roots: dict[str, None] = {}
        self._missed = 0
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def waits(self) -> bool:
        """Whether a call is under way."""
        return bool(self._calls)

    # The connection -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(own_hello().line())
        if self._full:
            what = f"{SHELLS} shells share the node in {self._host.folder} already"
            self._give_error(0, AoError(what, stage="join", hint="leave one of them first"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._writable.set()
        self._unlisten()
        self._unlisten = _nothing
        for task in self._calls.values():
            task.cancel()
        self._host.gone(self)

    def close(self) -> None:
        """End the connection; what was written is still sent, if the shell reads it."""
        if self._transport is not None:
            self._transport.close()
            self.connection_lost(None)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()
        if self._missed:
            missed, self._missed = self._missed, 0
            self.give(Code.MISSED, 0, *pack(int, missed))

    def data_received(self, data: bytes) -> None:
        try:
            rest = self._greeting.feed(data)
            for payload in self._came.feed(rest) if rest else ():
                self._take(payload)
        except (JoinError, AoError) as error:
            refusal = error if isinstance(error, AoError) else _refused(error)
            self._give_error(0, refusal)
            self.close()

    def _greeted(self, theirs: Hello) -> None:
        mine = own_hello()
        if theirs[:2] != mine[:2]:
            raise faults.other_version(self._host.folder, mine, theirs)

    # What is asked --------------------------------------------------------------------------

    def _take(self, payload: Payload) -> None:
        match payload.code:
            case Code.JOIN if not self._client:
                self._join(unpack(Joining, payload.text, payload.blobs))
            case Code.CALL if self._client:
                self._call(payload)
            case Code.CANCEL if self._client:
                self._cancel(payload.number)
            case _:
                raise JoinError(f"{payload.code.name} has no place here")

    def _join(self, joining: Joining) -> None:
        if not 0 < len(joining.client) <= LONGEST_CLIENT or not joining.client.isprintable():
            raise JoinError("it has no name")
        if joining.build != build_of_this():
            raise faults.other_build(self._host.folder, os.getpid())
        if joining.fixed != self._host.fixed:
            raise AoError(
                f"a test's node has a clock of its own, and the one in {self._host.folder} is open"
                f" with{'' if self._host.fixed else 'out'} such a clock",
                stage="join",
                hint="close the other one first, or take another folder",
            )
        self._client = joining.client
        self._watched = dict.fromkeys(joining.watched[-WATCHED:])
        self._roots = dict.fromkeys(joining.roots[-ROOTS:])
        node = self._node
        welcome = Welcome(node.address, str(self._host.folder), node.limits, node.newest)
        self.give(Code.WELCOME, 0, *pack(Welcome, welcome))
        self._unlisten = node.listen(self)

    def _call(self, payload: Payload) -> None:
        name, _, text = payload.text.partition(b"\n")
        verb = VERBS.get(name.decode("latin-1"))
        if verb is None:
            raise JoinError("there is no such verb")
        if payload.number in self._calls or not payload.number:
            raise JoinError("two calls have one number")
        args = unpack(verb.takes, text, payload.blobs)
        if len(self._calls) >= CALLS:
            busy = AoError(f"{CALLS} calls of one shell are under way", stage="join")
            self._give_error(payload.number, busy)
            return
        work = self._answer(payload.number, verb, args)
        self._calls[payload.number] = self._host.begin(work)
        self._host.waits()

    def _cancel(self, number: int) -> None:
        """Cancel a call. If it has sent a message, that is not computed either."""
        if (task := self._calls.get(number)) is not None:
            task.cancel()
        # The call may have ended, with its receipt in transit.
        if (receipt := self._receipts.pop(number, None)) and receipt.slot is not None:
            self._host.begin(self._node.cancel(receipt.process, receipt.slot))

    async def _answer(self, number: int, verb: Verb[Any], args: tuple[Any, ...]) -> None:
        try:
            for item in args if verb in (SEND, SPAWN, SAY) else ():
                if isinstance(item, DataItem):
                    check_signature(item)
                if isinstance(item, DataItem | Message):
                    _keep(self._roots, item.id, ROOTS)
            if verb is WATCH:
                _keep(self._watched, args[0], WATCHED)
            value = await verb.on(self._node, self._client, *args)
            if isinstance(value, Receipt):
                self._receipts[number] = value
                if len(self._receipts) > RECEIPTS:
                    del self._receipts[next(iter(self._receipts))]
            if verb is SET_LIMITS:
                self._host.tell_state()
            await self._give_value(number, verb, value)
        except AoError as error:
            self._give_error(number, error)
        except Exception as error:
            self._give_error(number, _defect(error))
        finally:
            self._calls.pop(number, None)

    # What is given --------------------------------------------------------------------------

    async def _give_value(self, number: int, verb: Verb[Any], value: Any) -> None:
        if verb.many:
            await self._give_parts(number, verb, value)
            value = []
        text, blobs = pack(verb.answer, (self._node.newest, value))
        for frame in frames_of(Code.ANSWER, number, text, blobs):
            await self._writable.wait()
            self._write(frame)

    async def _give_parts(self, number: int, verb: Verb[Any], items: Sequence[Any]) -> None:
        """Send all items."""
        form = form_of(verb.gives)
        texts: list[bytes] = []
        blobs: Blobs = []
        size = 0
        for left, item in zip(range(len(items) - 1, -1, -1), items, strict=True):
            known = len(blobs)
            texts.append(as_text(form.write(item, blobs)))
            size += len(texts[-1]) + sum(map(len, blobs[known:]))
            if size >= PART or not left:
                await self._writable.wait()
                self.give(Code.PART, number, b"[" + b",".join(texts) + b"]", blobs)
                texts, blobs, size = [], [], 0

    def _give_error(self, number: int, error: AoError) -> None:
        self.give(Code.ERROR, number, *pack(faults.ErrorForm, faults.error_form(error)))

    def give(self, code: Code, number: int, text: bytes, blobs: Blobs) -> None:
        """Send a payload."""
        for frame in frames_of(code, number, text, blobs):
            self._write(frame)

    def _write(self, frame: bytes) -> None:
        # If the other side is gone, `connection_lost` will come; a write would only make asyncio
        # warn.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame)

    # Events ---------------------------------------------------------------------------------

    def put(self, event: Event | None) -> None:
        """Send an event that concerns this shell. A slow shell gets the number of missed ones."""
        if event is None or self._transport is None:
            return
        mine = event.process in self._watched or event.root in self._roots
        if event.kind in ("result", "spawned") and not mine:
            return
        full = self._transport.get_write_buffer_size() > UNREAD and not self._writable.is_set()
        if self._missed or full:  # until `resume_writing`
            self._missed += 1
            return
        self.give(Code.EVENT, 0, *pack(tuple[int, Event], (self._node.newest, event)))


def _nothing() -> None:
    return None


def _keep(known: dict[str, None], name: str, most: int) -> None:
    """Keep a name; above `most` names the oldest is dropped."""
    known.pop(name, None)
    known[name] = None
    if len(known) > most:
        del known[next(iter(known))]


def _refused(error: JoinError) -> AoError:
    return AoError(f"the connection was refused: {error}", stage="join")


def _defect(error: Exception) -> AoError:
    return AoError(
        f"a defect of the node itself: {type(error).__name__}: {error}",
        stage="node",
        hint="what was acknowledged is on disk; please report this",
    )
