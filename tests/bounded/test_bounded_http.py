"""Answers that blow up, flood or drip, from a server on loopback: each ends at a named bound."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import httpcore
import httpx
import pytest

from aoshell.attest.collateral import kds
from aoshell.bounded import http, zipped
from aoshell.bounded.zipped import GZIP, DamagedZipError, Unpacking, unpacked_lines
from aoshell.errors import AoError
from aoshell.nodes.remote.http import client as remote
from aoshell.nodes.remote.http.client import Client, ConnectionLostError
from aoshell.nodes.remote.http.progress import Waiting

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.01)


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[str]:
    """A server that says the same to everybody; its URL."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await script(writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def says(*parts: bytes) -> Script:
    async def script(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return script


def floods(head: bytes, part: bytes) -> Script:
    """Says something, and then one thing without end."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(part)
            await writer.drain()

    return script


def answer(body: bytes, *headers: str) -> Script:
    lines = ["HTTP/1.1 200 OK", f"content-length: {len(body)}", *headers]
    return says("\r\n".join([*lines, "", ""]).encode(), body)


def asked(script: Script, largest: int = 1 << 20, seconds: float = 60) -> bytes:
    """The body that a client of ours is given."""

    async def whole() -> bytes:
        async with serving(script) as url:
            client = Client(url, Waiting())
            try:
                return (await client.get("read", "/x", seconds=seconds, largest=largest)).body
            finally:
                await client.close()

    return asyncio.run(asyncio.wait_for(whole(), 60))


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
EMPTY_BLOCKS = b"\x1f\x8b\x08" + bytes(6) + b"\xff" + b"\0\0\0\xff\xff" * 300_000


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (answer(gzip.compress(bytes(30 << 20)), "content-encoding: gzip"), "more than 1 MB"),
        (answer(EMPTY_BLOCKS, "content-encoding: gzip"), "more than 1 MB"),
        (answer(b"x", "content-encoding: gzip, gzip"), "as gzip, gzip: only gzip is decoded"),
        (
            answer(b"x", "content-encoding: gzip", "content-encoding: gzip"),
            "as gzip, gzip: only gzip is decoded",
        ),
        (answer(zlib.compress(b"x"), "content-encoding: deflate"), "as deflate: only gzip"),
        (answer(b"x", "content-encoding: br"), "as br: only gzip"),
        (answer(b"x" * 99, "content-encoding: gzip"), "not compressed as they say"),
        (answer(gzip.compress(b"x")[:-1], "content-encoding: gzip"), "break off"),
        (answer(gzip.compress(b"x") * 2, "content-encoding: gzip"), "go on after the end"),
        (answer(bytes((1 << 20) + 1)), "more than 1 MB"),
        (floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "96 KB before the body"),
        (floods(b"", b"HTTP/1.1 102 Processing\r\nx: y\r\n\r\n" * 100), "96 KB before the body"),
        (floods(OK, b"a: b\r\n" * 1000), "96 KB before the body"),
        (floods(OK, b"a" * 1000), "96 KB before the body"),
        (says(OK, b"a: b\r\n" * 5000, b"content-length: 0\r\n\r\n"), "more than 4096 headers"),
    ],
)
def test_what_goes_beyond_a_bound_is_refused_by_name(script: Script, why: str) -> None:
    with pytest.raises(AoError, match=why) as caught:
        asked(script)
    assert not isinstance(caught.value, ConnectionLostError)
    assert caught.value.stage == "read"


def test_an_answer_with_too_many_headers_is_closed() -> None:
    """Else its connection would stay taken."""
    closed: list[bool] = []

    class Body(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b""

        async def aclose(self) -> None:
            closed.append(True)

    def respond(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=[("a", "b")] * (http.MOST_HEADERS + 1), stream=Body())

    async def sent() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
            with pytest.raises(http.ResponseLimitError, match="more than 4096 headers"):
                await http.send(client, client.build_request("GET", "http://node.example"))
            assert closed == [True]

    asyncio.run(sent())


def test_connections_through_a_proxy_are_counted_too() -> None:
    async def guarded() -> None:
        proxies = {"all://": httpx.AsyncHTTPTransport(proxy="http://proxy.example:1")}
        async with http.guard_client(httpx.AsyncClient(mounts=proxies)) as client:
            for transport in (client._transport, *client._mounts.values()):
                assert isinstance(transport, httpx.AsyncHTTPTransport)
                assert isinstance(transport._pool._network_backend, http._Backend)

    asyncio.run(guarded())


class Endless(httpcore.AsyncNetworkStream):
    """A connection on which as much comes as is asked for."""

    async def read(self, max_bytes: int, *_timeout: object) -> bytes:
        return bytes(max_bytes)

    async def start_tls(self, *_arguments: object, **_named: object) -> Endless:
        return self


def test_a_head_has_its_bound_under_tls_too() -> None:
    async def counted() -> None:
        stream = await http._Stream(Endless()).start_tls(ssl.create_default_context())
        http._left.set([10])
        assert len(await stream.read(100)) == 10
        with pytest.raises(http.ResponseLimitError, match="before the body"):
            await stream.read(100)

    asyncio.run(counted())


def test_chunks_of_a_byte_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_PIECES", 1000)
    with pytest.raises(AoError, match="more than 1,000 pieces"):
        asked(floods(CHUNKED, b"1\r\nx\r\n" * 100))


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "identity", ""])
def test_an_answer_within_the_bounds_is_whole(encoding: str) -> None:
    body = bytes(range(256)) * 3000
    packed = gzip.compress(body) if "gzip" in encoding.lower() else body
    headers = (f"content-encoding: {encoding}",) if encoding else ()
    assert asked(answer(packed, *headers)) == body


def test_an_encoded_answer_without_a_body_is_empty() -> None:
    assert asked(answer(b"", "content-encoding: gzip")) == b""


def test_the_time_holds_while_an_answer_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipped, "STEP", 1 << 10)
    packed = gzip.compress(bytes(64 << 20))
    for seconds in (0.05, 0.2, 0.8):
        with pytest.raises(AoError, match="did not answer within") as ended:
            asked(answer(packed, "content-encoding: gzip"), largest=1 << 30, seconds=seconds)
        if ended.errisinstance(ConnectionLostError):
            return
    pytest.fail("the request was not sent in time")  # on a busy machine it may take most of it


def test_a_bomb_takes_no_more_than_its_bound() -> None:
    packed = gzip.compress(bytes(200 << 20))
    tracemalloc.start()
    with pytest.raises(AoError, match="more than 4 MB"):
        asked(answer(packed, "content-encoding: gzip"), largest=4 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


def test_certificates_are_fetched_under_the_same_bounds() -> None:
    async def fetched(script: Script) -> kds.KdsResponse:
        async with serving(script) as url:
            return await kds.fetch_url(url, 1000)

    packed = gzip.compress(b"x" * 1000)
    assert asyncio.run(fetched(answer(packed, "content-encoding: gzip"))).body == b"x" * 1000
    for script, why in (
        (answer(gzip.compress(bytes(1001)), "content-encoding: gzip"), "more than 1001|1000 bytes"),
        (answer(packed, "content-encoding: gzip, gzip"), "only gzip"),
        (floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "96 KB before the body"),
    ):
        with pytest.raises(OSError, match=why):
            asyncio.run(fetched(script))


# Lines of a compressed file -------------------------------------------------------------------


def pieces(data: bytes, size: int) -> Iterable[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_lines_come_as_they_were_packed(size: int) -> None:
    said = [b"a", b"", b"b" * 3000, b"c"]
    packed = zlib.compress(b"\n".join(said))
    assert list(unpacked_lines(pieces(packed, size), 10_000, 10_000)) == said


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (zlib.compress((b"x" * 1023 + b"\n") * 5000), "unpack to more than 4 MB"),
        (zlib.compress(bytes(3 << 20)), "a line of more than 2 MB"),
        (zlib.compress(b"x")[:-1], "break off"),
        (zlib.compress(b"x") + b"y", "go on after the end"),
        (b"x" * 100, "not compressed"),
        (b"", "break off"),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_lines_have_bounds(data: bytes, why: str, size: int) -> None:
    with pytest.raises(DamagedZipError, match=why):
        for _ in unpacked_lines(pieces(data, size), 4 << 20, 2 << 20):
            pass


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20])
def test_all_of_it_is_unpacked_in_steps(size: int) -> None:
    unpacking, steps = Unpacking(GZIP), []
    for piece in pieces(gzip.compress(bytes(size)), 1 << 16):
        steps += [len(step) for step in unpacking.feed(piece)]
    unpacking.end()
    assert sum(steps) == size
    assert all(step <= 1 << 20 for step in steps)


def test_whom_clients_trust_is_read_once_for_each_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = http.trusted()
    assert usual.get_ca_certs() and http.trusted() is usual
    with monkeypatch.context() as chosen:
        chosen.setenv("SSL_CERT_FILE", "/dev/null")
        with pytest.raises(OSError):  # the user's choice counts; here it is no certificate
            http.trusted()
    assert http.trusted() is usual
