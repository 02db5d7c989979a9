"""Hostile nodes. Each gives one answer, whatever it is asked."""

from __future__ import annotations

import base64
import contextlib
import functools
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator

from attacks.attack import Attack, Bound
from attacks.place import Place, Ran

Script = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
REFUSED = Bound(answers=False)
GZIP_HEAD = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
MB = 1 << 20


@contextlib.contextmanager
def peer(script: Script) -> Iterator[str]:
    """Run a server on loopback; gives its URL."""
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(server, script), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.close()


def _serve(server: socket.socket, script: Script) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_answer, args=(connection, script), daemon=True).start()


def _answer(connection: socket.socket, script: Script) -> None:
    with contextlib.suppress(OSError), connection:
        connection.settimeout(60)
        asked = b""
        while b"\r\n\r\n" not in asked and len(asked) < MB:
            asked += connection.recv(1 << 16)
        script(connection)
        time.sleep(0.2)


def blocks(unit: bytes, times: int) -> bytes:
    """Raw deflate (RFC 1951) of many copies of a unit. Only one copy is packed, as that is slow."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    first = packer.compress(unit) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    end = packer.flush(zlib.Z_FINISH)
    return first * times + end


def _body(body: bytes, headers: bytes = b"") -> Script:
    head = OK + headers + b"content-length: %d\r\n\r\n" % len(body)
    return lambda connection: connection.sendall(head + body)


def _flood(head: bytes, part: bytes, pause: float = 0.0) -> Script:
    def script(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(part)
            time.sleep(pause)

    return script


def _redirect(connection: socket.socket) -> None:
    connection.sendall(
        b"HTTP/1.1 302 Found\r\nlocation: /%d\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        % time.time_ns()
    )


def _gzip(times: int) -> Script:
    """A gigabyte of zeros, packed with gzip that many times."""
    body = GZIP_HEAD + blocks(bytes(16 * MB), 64)
    for _ in range(times - 1):
        packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        body = packer.compress(body) + packer.flush()
    return _body(body, b"content-encoding: " + b", ".join([b"gzip"] * times) + b"\r\n")


def _signed(body: bytes, headers: bytes = b"") -> Script:
    """A body with a signature that is well formed, and not of this body."""
    key, signature = (base64.b64encode(octet * 512) for octet in (b"\xff", b"\1"))
    head = b'signature-input: sig-x=("x1");alg="rsa-pss-sha512";keyid="%s"\r\n' % key
    head += b"signature: sig-x=:%s:\r\n" % signature
    head += b"".join(b"x%d: v\r\n" % number for number in range(40))
    return _body(body, head + headers)


def _parts(*parts: bytes) -> Script:
    named = (
        b'--b\r\ncontent-disposition: form-data;name="%s"\r\n%s\r\n'
        % (b"/".join([b"%d" % number] * 60), part)
        for number, part in enumerate(parts)
    )
    return _signed(b"".join(named) + b"--b--", b"content-type: multipart/form-data; boundary=b\r\n")


def _node(make: Callable[[], Script], place: Place) -> Ran:
    with peer(make()) as url:
        return place.shell([], "--node", url)


def _legacy(make: Callable[[], Script], place: Place) -> Ran:
    with peer(make()) as url:
        units = [word for unit in ("mu", "cu", "su", "gateway") for word in (f"--{unit}-url", url)]
        return place.shell([], "--legacy", *units)


def _against(
    name: str,
    make: Callable[[], Script],
    says: str,
    asked: Callable[[Callable[[], Script], Place], Ran] = _node,
    *,
    slow: bool = False,
) -> Attack:
    bound = Bound(seconds=150 if slow else 20, says=says, answers=False)
    return Attack(f"peer: {name}", bound, functools.partial(asked, make))


ATTACKS = [
    _against("1 GB in 1 MB of gzip", lambda: _gzip(1), "answers with more than 64 MB"),
    _against("gzip in gzip", lambda: _gzip(2), "only gzip is decoded, and once"),
    _against("gzip in gzip in gzip", lambda: _gzip(3), "only gzip is decoded, and once"),
    _against(
        "an encoding nobody asked for",
        lambda: _body(b"x", b"content-encoding: br\r\n"),
        "only gzip is decoded",
    ),
    _against(
        "48 MB of [],[],…",
        lambda: _body(b"[" + b"[]," * (16 * MB) + b"1]"),
        "brackets, commas and colons",
        _legacy,
    ),
    _against(
        "JSON a million levels deep",
        lambda: _body(b"[" * MB + b"]" * MB),
        "nested deeper than 128 levels",
        _legacy,
    ),
    _against(
        "a number of a million digits",
        lambda: _body(b"9" * MB),
        "a number of more than 100 digits",
        _legacy,
    ),
    _against(
        "a body without end",
        lambda: _flood(OK + b"\r\n", bytes(MB)),
        "answers with more than 64 MB",
    ),
    _against(
        "100 Continue without end",
        lambda: _flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 99),
        "more than 96 KB before the body",
    ),
    _against(
        "headers without end",
        lambda: _flood(OK, b"a: b\r\n" * 999),
        "more than 96 KB before the body",
    ),
    _against(
        "60 MB under a signature that does not fit",
        lambda: _signed(b"\xff" * (60 * MB)),
        "is not of this message",
    ),
    _against(
        "parts of 5 million headers",
        lambda: _parts(b"".join(b"%07d: v\r\n" % number for number in range(5 * MB))),
        "more than 500000 lines of headers",
    ),
    _against(
        "parts in a million maps",
        lambda: _parts(*[b"\r\nx"] * 18_000),
        "through more than 200000 maps",
    ),
    _against("redirects without end", lambda: _redirect, "redirects in a circle"),
    _against(
        "chunks of one byte",
        lambda: _flood(CHUNKED, b"1\r\nx\r\n" * 9999),
        "more than 1,048,576 pieces|did not answer within",
        slow=True,
    ),
    _against(
        "a byte now and then",
        lambda: _flood(OK + b"content-length: 9999\r\n\r\n", b"x", 0.5),
        "did not answer within",
        slow=True,
    ),
    _against("silence", lambda: lambda _: time.sleep(60), "did not answer within", slow=True),
]
