"""Listens on one port, in the running event loop: uvicorn's HTTP/1.1, with bounds of our own.

Only this module imports uvicorn, and it is imported only to serve. uvicorn's `Server` takes over
signals and wakes up ten times a second, so only its protocols are used. They do not bound the time
or size of a head, nor the number of connections; this module does.
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

MOST_CONNECTIONS = 512  # of one port; at most a quarter of the open files that are allowed
MOST_PIPELINED = 64  # requests of a connection that wait for the one under way
HEAD_SECONDS = 15.0  # for a head to come, from its first byte or from the connection's start
STALLED_SECONDS = 30.0  # without a client taking any of an answer; then it is cut off
HALF_CLOSED_SECONDS = 5.0  # for the answer to a client that has closed its sending side
IDLE_SECONDS = 75.0  # that a connection may be kept between two requests
ENDING_SECONDS = 5.0  # for requests under way when the server closes
CUT_SECONDS = 1.0  # for sending 503 to those that take longer
_BACKLOG = 512
_PARSED = 16 << 10  # bytes that are parsed before their requests are counted


class HttpServer:
    """One open port. Make one with `HttpServer.open`.

    Attributes:
        port: the number; the one that the system chose if 0 was asked for.
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
            connections: how many it accepts, None for `MOST_CONNECTIONS`.

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
        state, all_ = ServerState(), _Connections(most_connections(connections))
        loop, connection = asyncio.get_running_loop(), _connection_class(AutoHTTPProtocol)
        try:
            listening = await loop.create_server(
                lambda: connection(all_, config, state, {}), host, port, backlog=_BACKLOG
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
        await asyncio.sleep(0)  # lets the connections notice


def most_connections(wanted: int | None = None) -> int:
    """How many connections a port accepts: the node needs open files, too."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = wanted or MOST_CONNECTIONS
    return most if allowed < 0 else min(most, allowed // 4)


class _Connections:
    """The connections of a port. If one is too many, the longest idle one is closed.

    Args:
        most: how many there may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._all: dict[_Bounded, None] = {}  # the last used one is last

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


class _JoinedWrites:
    """A transport that sends the head of an answer together with its body.

    uvicorn writes them one after the other. The first write waits for the second, or for the next
    step of the loop.
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
    """A base class before a protocol of uvicorn: bounds the time and size of heads."""

    cycle: Any  # of uvicorn: the request under way, or the last one
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    def __init__(self, connections: _Connections, *args: Any) -> None:
        super().__init__(*args)
        self._connections = connections
        self._head = 0  # bytes of the head that is coming
        self._late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    @property
    def waits(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        together: Any = _JoinedWrites(transport, self.loop)
        super().connection_made(together)
        self._expect_head()
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._connections.used(self)
        self._head += len(data)
        queued = getattr(self, "pipeline", [])  # of httptools, which parses ahead; h11 does not
        for at in range(0, len(data), _PARSED):
            super().data_received(data[at : at + _PARSED])
            if len(queued) > MOST_PIPELINED:
                queued.clear()
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
        """Refuse bytes that are no request."""
        del msg
        self._refuse(b"400 Bad Request")

    def _refuse(self, status: bytes) -> None:
        """Send a status without a body: the request may be HEAD, whose answer must have none."""
        self.transport.write(
            b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        self.transport.close()

    def eof_received(self) -> bool:
        """Whether the connection stays open: the client may close its sending side and still wait.

        A client that has gone looks the same, so the connection stays open for a short time only.
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
        self._connections.remove(self)
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
    """Keep uvicorn's notes on bad requests off the screen. `Application` reports errors."""
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
