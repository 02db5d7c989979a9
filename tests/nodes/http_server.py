"""Servers on loopback that fail as real ones do, and clients to ask them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from aoshell.errors import AoError
from aoshell.nodes.remote.http import client as http
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OutOfTime = Callable[[Script], Script]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)


@pytest.fixture
def time_runs_out(monkeypatch: pytest.MonkeyPatch) -> OutOfTime:
    """Has a client's time run out once a script has the request, however loaded the machine is."""
    started, real = list[asyncio.Timeout](), asyncio.timeout

    def timeout(_: float | None) -> asyncio.Timeout:
        started.append(real(60))
        return started[-1]

    monkeypatch.setattr(asyncio, "timeout", timeout)

    def running_out(script: Script) -> Script:
        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            loop = asyncio.get_running_loop()
            started[-1].reschedule(loop.time() + 0.1)  # some drops come before
            await script(reader, writer)

        return run

    return running_out


class Server:
    """Runs a script for each connection; the last script is used for all further ones."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self.url = ""

    @contextlib.asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=tls)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line[:15] == b"Content-Length:"),
                0,
            )
            self.requests.append(head + await reader.readexactly(length))
            await script(reader, writer)
        writer.close()


def says(raw: bytes, *, linger: float = 0.0) -> Script:
    """Writes and closes; `linger` keeps the connection open for so many seconds before."""

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        await asyncio.sleep(linger)

    return script


async def drips(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then, without end."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def keeps_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def half_closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write_eof()
    await reader.read()


Ask = Callable[[Client], Awaitable[Response]]


def get(client: Client) -> Awaitable[Response]:
    return client.get("read", "/x", seconds=60)


def post(client: Client) -> Awaitable[Response]:
    return client.ask("schedule", "POST", "/x", body=b"item", seconds=60)


def asked(server: Server, ask: Ask, tls: ssl.SSLContext | None = None) -> Response:
    async def whole() -> Response:
        async with server.serving(tls):
            client = Client(server.url, Waiting())
            try:
                return await ask(client)
            finally:
                await client.close()

    return asyncio.run(asyncio.wait_for(whole(), 60))


def failing(server: Server, ask: Ask, tls: ssl.SSLContext | None = None) -> AoError:
    with pytest.raises(AoError) as caught:
        asked(server, ask, tls)
    assert caught.value.hint
    return caught.value


def mocked(*answers: httpx.Response | Exception, url: str = "https://node.example") -> Client:
    """A client that gets these answers in order, and the last one again and again."""
    left = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        client.seen.append(request)  # type: ignore[attr-defined]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = Client(url, Waiting(), httpx.MockTransport(handle))
    client.seen = []  # type: ignore[attr-defined]
    return client


def seen(client: Client) -> list[httpx.Request]:
    found: list[httpx.Request] = client.seen  # type: ignore[attr-defined]
    return found


def redirect(location: str, status: int = 302) -> httpx.Response:
    return httpx.Response(status, headers={"location": location})
