"""The joined shell's side of the socket: calls, their answers, and events in between."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from aoshell.errors import AoError
from aoshell.nodes.joined import faults
from aoshell.nodes.joined.codec import pack, unpack
from aoshell.nodes.joined.door import peer_of
from aoshell.nodes.joined.faults import JoinError, LostError
from aoshell.nodes.joined.frames import (
    LARGEST,
    Assembler,
    Code,
    Greeting,
    Hello,
    Payload,
    frames_of,
    own_hello,
)
from aoshell.nodes.joined.liveness import is_stopped
from aoshell.nodes.joined.server import Joining, NodeState, Welcome
from aoshell.nodes.joined.verbs import CLOCK, Verb
from aoshell.nodes.values import Event, Limits, Stage

T = TypeVar("T")

ANSWER_WITHIN = 0.7  # seconds of silence before the carrier is checked
SILENT = 3.0  # seconds of silence after such a check, before the user is told
PATIENCE = 20.0  # seconds for the first answer of the process that holds the lock
_CALLS = 1 << 32  # numbers that a frame can hold


class Owner(Protocol):
    """Takes what a wire receives without a call."""

    def happened(self, event: Event) -> None:
        """Something happened on the node."""

    def missed(self, count: int) -> None:
        """Events were left out, as this shell read too slowly."""

    def lost(self, wire: Wire) -> None:
        """The carrier is gone."""

    def waits_for(self, pid: int) -> None:
        """The carrier has not said hello yet."""

    def stuck(self, error: AoError) -> None:
        """The carrier is stopped while a call waits for it."""


@dataclass(slots=True)
class _Call:
    """A call that waits for its answer."""

    verb: Verb[Any]
    future: asyncio.Future[Any]
    items: list[Any] = field(default_factory=list)
    held: int = 0  # bytes of the parts received so far


class Wire(asyncio.Protocol):
    """A connection to the carrier. Made by `Wire.connect`.

    Attributes:
        pid: process id of the carrier.
        stuck: why the carrier does not answer a call; "" while it does.
        newest, limits, stage: facts about its node (`nodes.base.LocalVerbs`, `Node`).
    """

    def __init__(self, owner: Owner, folder: Path, joining: Joining) -> None:
        self._owner = owner
        self._folder = folder
        self._joining = joining
        self._loop = asyncio.get_running_loop()
        self._welcome: asyncio.Future[Welcome] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._greeting = Greeting(self._greeted)
        self._came = Assembler()
        self._calls: dict[int, _Call] = {}
        self._number = 0
        self._heard = self._loop.time()
        self._look: asyncio.TimerHandle | None = None
        self._asked = False  # whether a check is under way: does the carrier answer at all?
        self.stuck = ""
        self.pid = 0
        self.newest = 0
        self.limits = Limits()
        self.stage: Stage | None = None
        self.welcome = Welcome("", "", self.limits, 0)

    @classmethod
    async def connect(cls, owner: Owner, path: Path, folder: Path, joining: Joining) -> Wire:
        """Join the node of a home.

        Raises:
            LostError: nobody listens there, or the carrier left before its hello.
            AoError: the carrier is stopped, of another user or version, or refuses.
        """
        loop = asyncio.get_running_loop()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            await loop.sock_connect(connection, str(path))
            pid, uid = peer_of(connection)
            if uid != os.geteuid():
                raise faults.foreign(folder, uid)
            wire = cls(owner, folder, joining)
            wire.pid = pid
            await loop.create_unix_connection(lambda: wire, sock=connection)
        except OSError as error:
            connection.close()
            raise LostError from error
        except BaseException:
            connection.close()
            raise
        await wire._joined()
        return wire

    async def _joined(self) -> None:
        try:
            end = self._loop.time() + PATIENCE
            while not self._welcome.done():
                await asyncio.wait({self._welcome}, timeout=ANSWER_WITHIN)
                if not self._welcome.done() and is_stopped(self.pid):
                    raise faults.StoppedError(self._folder, self.pid)
                if not self._welcome.done() and self._loop.time() > end:
                    raise faults.silent(self._folder, self.pid, PATIENCE)
                if not self._welcome.done():
                    self._owner.waits_for(self.pid)
            self.welcome = self._welcome.result()
            self.newest, self.limits = self.welcome.newest, self.welcome.limits
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection, without calling the owner."""
        self._owner = _Nobody()
        if self._transport is not None:
            self._transport.close()
        self.connection_lost(None)

    # Asking ---------------------------------------------------------------------------------

    async def call(self, verb: Verb[T], *args: Any) -> T:
        """Call the carrier. Cancelling ends the call there, too.

        Raises:
            LostError: the carrier left before its answer.
            AoError: from the verb.
        """
        number, waiting = self._ask(verb, args)
        try:
            return cast(T, await waiting.future)
        except asyncio.CancelledError:
            self._write(Code.CANCEL, number, b"null")
            raise
        finally:
            self._calls.pop(number, None)

    def _ask(self, verb: Verb[Any], args: tuple[Any, ...]) -> tuple[int, _Call]:
        if self._transport is None:
            raise LostError
        try:
            text, blobs = pack(verb.takes, args)
            self._write(Code.CALL, number := self._next(), _named(verb, text), *blobs)
        except JoinError as error:
            raise AoError(f"{verb.name} cannot be asked for: {error}", stage="join") from None
        call = self._calls[number] = _Call(verb, self._loop.create_future())
        self._heed()
        return number, call

    def post(self, verb: Verb[Any], *args: Any) -> None:
        """Call without waiting for the answer."""
        text, blobs = pack(verb.takes, args)
        self._write(Code.CALL, self._next(), _named(verb, text), *blobs)

    def _next(self) -> int:
        self._number = self._number % (_CALLS - 1) + 1
        return self._number

    def _write(self, code: Code, number: int, text: bytes, *blobs: bytes) -> None:
        for frame in frames_of(code, number, text, list(blobs)):
            # If the carrier is gone, `connection_lost` will come; a write would make asyncio warn.
            if self._transport is not None and not self._transport.is_closing():
                self._transport.write(frame)

    def _heed(self) -> None:
        """Check the carrier while a call waits and nothing comes."""
        if self._look is None:
            self._heard = self._loop.time()
            self._look = self._loop.call_later(ANSWER_WITHIN, self._listen)

    def _listen(self) -> None:
        self._look = None
        if not self._calls:
            return
        silent = self._loop.time() - self._heard
        if silent >= ANSWER_WITHIN and not self.stuck:
            if is_stopped(self.pid):
                self.stuck = "is stopped: `fg` in its terminal"
                self._owner.stuck(faults.StoppedError(self._folder, self.pid))
            elif not self._asked:  # a running carrier answers this call at once
                self._asked = True
                self.post(CLOCK)
            elif silent >= SILENT:
                self.stuck = "does not answer"
                self._owner.stuck(faults.silent(self._folder, self.pid, silent))
        self._look = self._loop.call_later(ANSWER_WITHIN, self._listen)

    # The connection -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(own_hello().line())
        self._write(Code.JOIN, 0, *_flat(pack(Joining, self._joining)))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        if self._look is not None:
            self._look.cancel()
        waiting = [call.future for call in self._calls.values()]
        for future in (self._welcome, *waiting):
            if not future.done():
                future.set_exception(LostError())
                future.exception()  # taken, as perhaps nobody waits any more
        self._owner.lost(self)

    def data_received(self, data: bytes) -> None:
        self._heard, self._asked, self.stuck = self._loop.time(), False, ""
        try:
            rest = self._greeting.feed(data)
            for payload in self._came.feed(rest) if rest else ():
                self._take(payload)
        except (JoinError, AoError) as error:
            self._refuse(error)

    def _greeted(self, theirs: Hello) -> None:
        self.pid = theirs.pid
        mine = own_hello()
        if theirs[:2] != mine[:2]:
            raise faults.other_version(self._folder, theirs, mine)

    def _refuse(self, error: JoinError | AoError) -> None:
        """End the connection: the other side sent nonsense, or refuses this shell."""
        if isinstance(error, JoinError):
            error = AoError(
                f"the aoshell that carries the node in {self._folder} (pid {self.pid}) answers"
                f" what cannot be read: {error}",
                stage="join",
            )
        if not self._welcome.done():
            self._welcome.set_exception(error)
            self._welcome.exception()
        for call in self._calls.values():  # a repeated call would fail again
            if not call.future.done():
                call.future.set_exception(error)
                call.future.exception()
        self._fail()

    def _fail(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _take(self, payload: Payload) -> None:
        text, blobs = payload.text, payload.blobs
        match payload.code:
            case Code.ANSWER | Code.PART | Code.ERROR if payload.number:
                self._answered(payload)
            case Code.ERROR:
                raise faults.to_error(unpack(cast(Any, faults.ErrorForm), text, blobs))
            case Code.WELCOME if not self._welcome.done():
                self._welcome.set_result(unpack(Welcome, text, blobs))
            case Code.EVENT:
                self.newest, event = unpack(tuple[int, Event], text, blobs)
                self._owner.happened(event)
            case Code.MISSED:
                self._owner.missed(unpack(int, text, blobs))
            case Code.STATE:
                state = unpack(NodeState, text, blobs)
                self.limits, self.stage = state.limits, state.stage
            case _:
                raise JoinError(f"{payload.code.name} has no place here")

    def _answered(self, payload: Payload) -> None:
        call = self._calls.get(payload.number)
        if call is None or call.future.done():
            return  # nobody waits any more
        verb, text, blobs = call.verb, payload.text, payload.blobs
        if payload.code is Code.ERROR:
            call.future.set_exception(
                faults.to_error(unpack(cast(Any, faults.ErrorForm), text, blobs))
            )
            return
        if payload.code is Code.PART:
            call.held += len(text) + len(blobs)
            if not verb.many or call.held > LARGEST:
                raise JoinError("an answer has more parts than are taken")
            call.items += unpack(verb.rest, text, blobs)
            return
        self.newest, value = unpack(verb.answer, text, blobs)
        call.future.set_result([*call.items, *value] if verb.many else value)


class _Nobody:
    """The owner of a wire that was closed."""

    def happened(self, event: Event) -> None:
        del event

    def missed(self, count: int) -> None:
        del count

    def lost(self, wire: Wire) -> None:
        del wire

    def waits_for(self, pid: int) -> None:
        del pid

    def stuck(self, error: AoError) -> None:
        del error


def _named(verb: Verb[Any], text: bytes) -> bytes:
    return verb.name.encode() + b"\n" + text


def _flat(packed: tuple[bytes, Sequence[bytes]]) -> tuple[bytes, ...]:
    return packed[0], *packed[1]
