"""Reads answers over HTTP under bounds: heads, bodies and encodings.

httpx and httpcore bound a head, but not the number of interim answers (1xx) before it, and unpack a
body without a bound. So the bytes of a head are counted where they are read, and a body is read as
it was sent and unpacked here.
"""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from aoshell.bounded.sizes import size
from aoshell.bounded.zipped import GZIP, DamagedZipError, Unpacking

ACCEPTED = "gzip"  # the one encoding that is asked for
LARGEST_HEAD = 96 << 10  # bytes before a body, interim answers among them; httpcore takes 100 KB
MOST_HEADERS = 4096
MOST_PIECES = 1 << 20  # chunks of a body: each costs time, however short it is
_ENCODINGS = ("gzip", "x-gzip")
# Encodings that an error names (IANA, HTTP content codings); other words of a peer are not shown.
_NAMED = (*_ENCODINGS, "identity", "br", "compress", "dcb", "dcz", "deflate", "zstd")

_left: ContextVar[list[int] | None] = ContextVar("bytes that a head may still have", default=None)


class ResponseLimitError(Exception):
    """An answer exceeds a bound; the text says which and completes "the node …"."""


def trusted() -> ssl.SSLContext:
    """The TLS context of httpx with its defaults. Clients share it: making one takes 40 ms."""
    return _trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.cache
def _trusted(*_named: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()


def guard_client(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Make a client count the bytes that it reads before a body; returns it."""
    # httpx has no public way to give its pools a network backend.
    for transport in (client._transport, *client._mounts.values()):
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = _Backend(pool._network_backend)
    return client


async def send(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Send a request and read the head of the answer; `read_body` reads the rest.

    Args:
        client: of `guard_client`.

    Raises:
        ResponseLimitError: it has too much before its body.
        httpx.HTTPError: there is no answer.
    """
    token = _left.set([LARGEST_HEAD])
    try:
        answer = await client.send(request, stream=True)
    finally:
        _left.reset(token)
    if len(answer.headers.raw) > MOST_HEADERS:
        await answer.aclose()
        raise ResponseLimitError(f"answers with more than {MOST_HEADERS} headers")
    return answer


async def read_body(
    answer: httpx.Response, largest: int, progress: Callable[[int], None] = lambda _: None
) -> bytes:
    """The body of an answer, unpacked, of at most `largest` bytes packed and unpacked.

    Args:
        progress: called with the number of bytes so far.

    Raises:
        ResponseLimitError: it is longer, or encoded other than once by gzip.
        httpx.HTTPError: it breaks off.
    """
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", *_ENCODINGS):
        raise ResponseLimitError(
            f"encodes its answer {_way(encoding)}: only gzip is decoded, and once"
        )
    unpacking = Unpacking(GZIP) if encoding in _ENCODINGS else None
    content, sent, pieces = bytearray(), 0, 0
    assert isinstance(answer.stream, httpx.AsyncByteStream)
    try:
        async for piece in answer.stream:  # as it was sent
            sent, pieces = sent + len(piece), pieces + 1
            if pieces > MOST_PIECES:
                raise ResponseLimitError(f"sends its answer in more than {MOST_PIECES:,} pieces")
            for block in unpacking.feed(piece) if unpacking else (piece,):
                content += block
                if len(content) > largest:
                    raise ResponseLimitError(f"answers with more than {size(largest)}")
                if unpacking:
                    await asyncio.sleep(0)  # so that the caller's time-out can end this
            if sent > largest:
                raise ResponseLimitError(f"answers with more than {size(largest)}")
            progress(len(content))
        if unpacking and sent:
            unpacking.end()
    except DamagedZipError as error:
        raise ResponseLimitError(f"answers with bytes that {error}") from None
    return bytes(content)


def _way(encoding: str) -> str:
    names = [name.strip() for name in encoding[:100].split(",")]
    return f"as {', '.join(names)}" if {*names} <= {*_NAMED} else "in a way that is not known here"


class _Backend(httpcore.AsyncNetworkBackend):
    """Connections that count what is read before a body."""

    def __init__(self, inner: httpcore.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(
            await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        )

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = _left.get()
        if left is None:
            return await self._inner.read(max_bytes, timeout)
        if left[0] <= 0:
            raise ResponseLimitError(
                f"sends more than {size(LARGEST_HEAD)} before the body of its answer"
            )
        data = await self._inner.read(min(max_bytes, left[0]), timeout)
        left[0] -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
