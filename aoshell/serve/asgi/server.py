"""Listens on one port, in the loop that runs already: uvicorn's HTTP/1.1, with bounds of our own.

uvicorn is imported here and nowhere else, and this module only where something is served. Its
`Server` takes over signals and wakes up ten times a second, so only its protocols are used. They
bound neither the time nor the size of a head, nor the number of connections; that is done here.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.server import ServerState

from aoshell.errors import AoError
from aoshell.serve.asgi.app import LARGEST_HEAD

if TYPE_CHECKING:
    from aoshell.serve.asgi.app import Application

MOST_CONNECTIONS = 512  # of one port, and no more than a quarter of the open files that are allowed
MOST_PIPELINED = 64  # requests of a connection behind the one under way
HEAD_SECONDS = 15.0  # for a head to come, from its first byte or from the connection's begin
STALLED_SECONDS = 30.0  # in which a client takes nothing of an answer
HALF_CLOSED_SECONDS = 5.0  # that a client has for its answer which will send no more
IDLE_SECONDS = 75.0  # that a connection may be kept between two requests
ENDING_SECONDS = 5.0  # that requests under way have when the server ends
CUT_SECONDS = 1.0  # that those which are cut off then have to say so
_BACKLOG = 512
_PARSED = 16 << 10  # bytes that are parsed before it is looked how many requests they are


class HttpServer:
    """One open port. Make one with `HttpServer.open`.

    Attributes:
        port: the number; that which the system has chosen where 0 was asked for.
    """

    def __init__(self, listening: asyncio.Server, state: ServerState, port: int) -> None:
        self._listening = listening
        self._state = state
        self.port = port

    @classmethod
    async def open(
        cls, app: Application, host: str, port: int, connections: int | None = None
    ) -> HttpServer:
        """Listen on an address.

        Args:
            connections: how many it takes, None for `MOST_CONNECTIONS`.

        Raises:
            AoError: stage "serve", when the port is taken or the address is not this machine's.
        """
        _quieten()
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            date_header=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=round(IDLE_SECONDS),
            h11_max_incomplete_event_size=LARGEST_HEAD,
        )
        config.load()
        state, crowd = ServerState(), _Crowd(most_connections(connections))
        loop, connection = asyncio.get_running_loop(), _connection_class(AutoHTTPProtocol)
        try:
            listening = await loop.create_server(
                lambda: connection(crowd, config, state, {}), host, port, backlog=_BACKLOG
            )
        except (OSError, OverflowError) as error:
            raise _no_listening(host, port, error) from None
        return cls(listening, state, listening.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Take no more requests; those under way have `ENDING_SECONDS`, then they get 503."""
        self._listening.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        tasks = set(self._state.tasks)
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=ENDING_SECONDS)
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=CUT_SECONDS)
        for connection in list(self._state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # in which they are told


def most_connections(wanted: int | None = None) -> int:
    """How many connections a port takes. The node needs open files, too."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = wanted or MOST_CONNECTIONS
    return most if allowed < 0 else min(most, allowed // 4)


class _Crowd:
    """The connections of a port. One too many ends the one that has waited longest for a request.

    Args:
        most: how many there may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._all: dict[_Bounded, None] = {}  # those that were used last come last

    def add(self, connection: _Bounded) -> None:
        self._all[connection] = None
        if len(self._all) > self._most:
            waiting = (one for one in self._all if one.waits)
            oldest = next(waiting, connection)
            self._all.pop(oldest)
            oldest.transport.abort()

    def used(self, connection: _Bounded) -> None:
        if connection in self._all:
            del self._all[connection]
            self._all[connection] = None

    def remove(self, connection: _Bounded) -> None:
        self._all.pop(connection, None)


class _Together:
    """A transport that sends the head of an answer with the body: uvicorn writes them apart.

    What is written first waits for the next write, or for the next step of the loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._first = b""
        self._soon: asyncio.Handle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._soon is None:
            self._first, self._soon = data, self._loop.call_soon(self._send)
        else:
            self._first += data
            self._send()

    def _send(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
            data, self._first, self._soon = self._first, b"", None
            self._transport.write(data)

    def close(self) -> None:
        self._send()
        self._transport.close()


class _Bounded(asyncio.Protocol):
    """A connection whose heads are bounded in time and size; put before a protocol of uvicorn."""

    cycle: Any  # of uvicorn: the request under way, or the last one
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    def __init__(self, crowd: _Crowd, *args: Any) -> None:
        super().__init__(*args)
        self._crowd = crowd
        self._head = 0  # bytes of the head that is coming
        self._late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    @property
    def waits(self) -> bool:
        """No request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        together: Any = _Together(transport, self.loop)
        super().connection_made(together)
        self._expect_head()
        self._crowd.add(self)

    def data_received(self, data: bytes) -> None:
        self._crowd.used(self)
        self._head += len(data)
        behind = getattr(self, "pipeline", [])  # of httptools, which parses on; h11 does not
        for at in range(0, len(data), _PARSED):
            super().data_received(data[at : at + _PARSED])
            if len(behind) > MOST_PIPELINED:
                behind.clear()
                self.transport.abort()
            if self.transport.is_closing():
                break
        if not self.waits or self.transport.is_closing():
            self._head = 0
            self._stop_clock()
        elif self._head > LARGEST_HEAD:
            self._refuse(b"431 Request Header Fields Too Large")
        elif self._late is None:
            self._expect_head()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request."""
        del msg
        self._refuse(b"400 Bad Request")

    def _refuse(self, status: bytes) -> None:
        """Without a body, which an answer to HEAD must not have: the method may not be known."""
        self.transport.write(
            b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        self.transport.close()

    def eof_received(self) -> bool:
        """Whether the connection stays open: a client that has sent all may wait for its answer.

        It may have gone as well, which looks the same, so it does not wait for long.
        """
        if self.waits or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        self._stop_clock()
        self._late = self.loop.call_later(HALF_CLOSED_SECONDS, self.transport.abort)
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        self._flows()
        super().resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._flows()
        self._stop_clock()
        self._crowd.remove(self)
        super().connection_lost(error)

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection, whether the last answer was taken or not."""
        self.transport.abort()

    def _expect_head(self) -> None:
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _flows(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _stop_clock(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def _connection_class(base: type[asyncio.Protocol]) -> Callable[..., asyncio.Protocol]:
    return type("_Connection", (_Bounded, base), {})


def _quieten() -> None:
    """Keep uvicorn's notes on bad requests off the screen. Errors are told by `Application`."""
    logger = logging.getLogger("uvicorn.error")
    logger.setLevel(logging.CRITICAL)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _no_listening(host: str, port: int, error: Exception) -> AoError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        what, hint = f"port {port} is taken", "--port with another, or 0 for any that is free"
    elif number == errno.EACCES:
        what, hint = f"port {port} needs rights of the superuser", "choose one above 1023"
    elif isinstance(error, socket.gaierror) or number == errno.EADDRNOTAVAIL:
        what, hint = f"{host} is no address of this machine", "--host 127.0.0.1"
    else:
        what, hint = f"{host} port {port} cannot be listened on: {error}", ""
    return AoError(what, stage="serve", hint=hint)
