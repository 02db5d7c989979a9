"""The server on loopback: bounds of connections and heads, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from asgi_client import Echo
from eventually import in_loop, until

from aoshell.errors import AoError
from aoshell.serve.asgi import app as application
from aoshell.serve.asgi import server
from aoshell.serve.asgi.app import Application
from aoshell.serve.asgi.http import Request, Response
from aoshell.serve.asgi.safety import Guard
from aoshell.serve.asgi.server import HttpServer

HEAD = b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@asynccontextmanager
async def serving(echo: Echo) -> AsyncIterator[HttpServer]:
    opened = await HttpServer.open(Application([echo], Guard()), "127.0.0.1", 0)
    try:
        yield opened
    finally:
        await opened.close()


async def connect(opened: HttpServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", opened.port)


async def whole(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server closes the connection in any way."""
    parts = []
    try:
        while part := await reader.read(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.fixture(params=["httptools", "h11"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the parsers that uvicorn uses, where httptools is installed and where not."""
    if request.param == "httptools":
        why = "httptools is not installed, so uvicorn takes h11"
        module = pytest.importorskip("uvicorn.protocols.http.httptools_impl", reason=why)
        monkeypatch.setattr(server, "AutoHTTPProtocol", module.HttpToolsProtocol)
    else:
        module = pytest.importorskip("uvicorn.protocols.http.h11_impl")
        monkeypatch.setattr(server, "AutoHTTPProtocol", module.H11Protocol)


@pytest.mark.versions
@in_loop
async def test_requests_on_one_connection() -> None:
    echo = Echo()
    async with serving(echo) as opened, httpx.AsyncClient() as client:
        for n in range(3):
            url = f"http://127.0.0.1:{opened.port}/a~b@1.0/%2F?n={n}"
            answer = await client.post(url, content=b"x" * 100_000)
            assert (answer.status_code, answer.text) == (200, "here")
            assert "server" not in answer.headers and "date" not in answer.headers
    assert [asked.path for asked in echo.asked] == ["/a~b@1.0/%2F"] * 3
    assert {len(asked.body) for asked in echo.asked} == {100_000}


@in_loop
async def test_what_is_large_passes() -> None:
    """Sizes that clients of HyperBEAM send (spec, section 9)."""
    echo = Echo()
    async with serving(echo) as opened:
        head = [(f"x-{n}", "v" * 3900) for n in range(128)]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{opened.port}") as client:
            answer = await client.post("/", headers=head, content=b"y" * (12 << 20))
        assert answer.status_code == 200
    assert len(echo.asked[0].body) == 12 << 20
    assert sum(name.startswith("x-") for name, _ in echo.asked[0].headers) == 128


@pytest.mark.parametrize("line", [b"HEAD nowhere", b"HEAD / HTTP/9.x", b"HEAD  ", b"\0"])
@in_loop
async def test_what_is_no_request_gets_no_body(line: bytes) -> None:
    async with serving(Echo()) as opened:
        reader, writer = await connect(opened)
        writer.write(line + b"\r\n\r\n")
        head, _, body = (await whole(reader)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ") and b"content-length: 0" in head and not body
        writer.close()


@in_loop
async def test_a_head_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 600)  # it ends by its size, not by its time
    async with serving(Echo()) as opened:
        reader, writer = await connect(opened)
        with_endless = HEAD[:-2]
        try:
            for _ in range(400):
                writer.write(with_endless + b"x-a: " + b"v" * 4000 + b"\r\n")
                with_endless = b""
                await writer.drain()
        except ConnectionError:
            pass
        answer = await whole(reader)
        assert answer[:12] in (b"", b"HTTP/1.1 431", b"HTTP/1.1 400")
        writer.close()


@in_loop
async def test_a_slow_head_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """More bytes do not give it more time, also on a used connection."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    async with serving(Echo()) as opened:
        for begin in (b"", HEAD):
            reader, writer = await connect(opened)
            writer.write(begin)
            if begin:
                await reader.readuntil(b"here")

            async def drip(writer: asyncio.StreamWriter = writer) -> None:
                while True:
                    writer.write(b"G")
                    await asyncio.sleep(0.02)

            dripping = asyncio.ensure_future(drip())
            assert b"200" not in await whole(reader)
            dripping.cancel()
            writer.close()


@in_loop
async def test_an_idle_connection_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.1)
    async with serving(Echo()) as opened:
        reader, writer = await connect(opened)
        assert await whole(reader) == b""
        writer.close()


@in_loop
async def test_a_thousand_idle_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest idle ones are closed; a request still gets its answer."""
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 50)
    monkeypatch.setattr(server, "HEAD_SECONDS", 600)  # they end by their number, not by their time
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    count = 1000 if room > 2400 or room < 0 else room // 3
    go = asyncio.Event()
    echo = Echo(before=lambda _: go.wait())
    async with serving(echo) as opened:
        under_way = await connect(opened)
        under_way[1].write(HEAD)
        await until(lambda: echo.asked)
        idle = [await connect(opened) for _ in range(count)]
        await until(lambda: len(opened._state.connections) <= 50)
        go.set()
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{opened.port}/")
        assert answer.status_code == 200
        assert b"200" in await under_way[0].readuntil(b"here")  # what is under way stays
        for _, writer in [*idle, under_way]:
            writer.close()


def test_the_node_keeps_most_of_the_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for allowed, most in [(256, 64), (1 << 20, server.MOST_CONNECTIONS), (-1, 512)]:
        monkeypatch.setattr(resource, "getrlimit", lambda _, n=allowed: (n, n))
        assert server.most_connections() == most


@in_loop
async def test_a_half_closed_connection_is_answered() -> None:
    async with serving(Echo()) as opened:
        reader, writer = await connect(opened)
        writer.write(HEAD)
        writer.write_eof()
        answer = await whole(reader)
        assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"here")
        writer.close()


@in_loop
async def test_half_closed_connections_hold_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a head, in a body, and during a slow answer."""
    monkeypatch.setattr(application, "_NOTICED", 0.01)
    monkeypatch.setattr(server, "HALF_CLOSED_SECONDS", 0.1)
    ended: list[bool] = []

    async def work(_: Request) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with serving(Echo(before=work)) as opened:
        for sent in (HEAD[:20], HEAD[:-2] + b"Content-Length: 5\r\n\r\nab", HEAD, b""):
            reader, writer = await connect(opened)
            writer.write(sent)
            writer.write_eof()
            assert b"200" not in await whole(reader)
            writer.close()
        await until(lambda: ended and not opened._state.connections)


@in_loop
async def test_an_answer_that_nobody_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not copied to the connection, and ends after a time; others are sent meanwhile."""
    monkeypatch.setattr(server, "STALLED_SECONDS", 0.3)
    large = 64 << 20
    async with serving(Echo(response=Response(200, (), b"x" * large))) as opened:
        idle = [await connect(opened) for _ in range(3)]
        for _, writer in idle:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(HEAD)
        await until(lambda: opened._state.tasks)
        await until(lambda: not opened._state.connections)
        for _, writer in idle:
            writer.close()
        monkeypatch.undo()
        async with httpx.AsyncClient(timeout=60) as client:
            answer = await client.get(f"http://127.0.0.1:{opened.port}/")
            assert len(answer.content) == large


@in_loop
async def test_nothing_is_sent_to_a_client_that_has_gone(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio would warn of each piece."""
    async with serving(Echo(response=Response(200, (), b"x" * (64 << 20)))) as opened:
        for _ in range(5):
            reader, writer = await connect(opened)
            writer.write(HEAD)
            await reader.readexactly(1 << 20)
            writer.transport.abort()
        await until(lambda: not opened._state.connections and not opened._state.tasks)
    assert not caplog.records


@in_loop
async def test_requests_behind_the_one_under_way() -> None:
    """A few are answered in order; a connection with more is closed."""
    echo = Echo()
    async with serving(echo) as opened:
        reader, writer = await connect(opened)
        writer.write(HEAD * 5)
        for _ in range(5):
            await reader.readuntil(b"here")
        writer.close()
        go = asyncio.Event()
        echo.before = lambda _: go.wait()
        reader, writer = await connect(opened)
        with contextlib.suppress(ConnectionError):
            writer.write(HEAD * 20_000)
            await writer.drain()
        await until(lambda: all(len(_queued(one)) <= 65 for one in opened._state.connections))
        if server.AutoHTTPProtocol.__name__ == "HttpToolsProtocol":  # h11 does not parse on
            assert await whole(reader) == b""
        go.set()
        writer.close()


def _queued(connection: object) -> list[object]:
    return list(getattr(connection, "pipeline", ()))


@pytest.mark.parametrize(
    "sent",
    [
        b"\0\1\2\3\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"GET /" + b"a" * 8192 + b"/../%2e%2e/%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET ?x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
@in_loop
async def test_what_is_no_request(sent: bytes, capsys: pytest.CaptureFixture) -> None:
    """Whatever comes, the next connection is served, and nothing is printed over a prompt."""
    async with serving(Echo()) as opened:
        reader, writer = await connect(opened)
        writer.write(sent)
        writer.write_eof()
        await whole(reader)
        writer.close()
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{opened.port}/")
        assert answer.text == "here"
    assert capsys.readouterr() == ("", "")


@in_loop
async def test_a_port_that_is_taken() -> None:
    async with serving(Echo()) as opened:
        for host, port, what in [
            ("127.0.0.1", opened.port, "is taken"),
            ("203.0.113.1", 0, "no address of this machine"),
            ("no.such.host.invalid", 0, "no address of this machine"),
        ]:
            with pytest.raises(AoError, match=what) as caught:
                await HttpServer.open(Application([], Guard()), host, port)
            assert caught.value.stage == "serve"


@in_loop
async def test_what_is_under_way_ends_before_the_server() -> None:
    go = asyncio.Event()
    echo = Echo(before=lambda _: go.wait())
    async with serving(echo) as opened:
        reader, writer = await connect(opened)
        idle = await connect(opened)
        writer.write(HEAD)
        await until(lambda: echo.asked)
        closing = asyncio.ensure_future(opened.close())
        await asyncio.sleep(0)
        go.set()
        assert (await whole(reader)).endswith(b"here")
        await closing
        assert await whole(idle[0]) == b""
        for one in (writer, idle[1]):
            one.close()
        with pytest.raises(OSError):
            await connect(opened)


@in_loop
async def test_what_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ENDING_SECONDS", 0.05)
    echo = Echo(before=lambda _: asyncio.Event().wait())
    async with serving(echo) as opened:
        reader, writer = await connect(opened)
        writer.write(HEAD)
        await until(lambda: echo.asked)
        await opened.close()
        assert not opened._state.connections
        answer = await whole(reader)
        assert answer.startswith(b"HTTP/1.1 503") and b"cut off" in answer
        writer.close()
