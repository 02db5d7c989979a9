"""Repairs answers whose head ends too early, at a line break in the value of a field.

HyperBEAM writes values of fields raw. A value that ends with a line break, as traces of errors do,
makes an empty line, which ends the head: the fields after it and the real body then arrive as the
body. They can be recognised and read. Measured on nodes of September and November 2025, where Lua
divides by zero.
"""

from __future__ import annotations

import re

from aoshell.nodes.remote.http.answer import Headers

FIELDS = 64  # fields after the line break
CHUNKS = 10_000  # chunks of the body
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~\w-]+):[ \t]*([^\r\n]*)\r\n", re.ASCII)
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_FRAMING = frozenset(("transfer-encoding", "content-length"))


def mended(headers: Headers, body: bytes) -> tuple[Headers, bytes]:
    """The repaired head and body; unchanged if the answer is not broken in this way."""
    if any(name in _FRAMING for name, _ in headers):
        return headers, body
    following: list[tuple[str, str]] = []
    at = 0
    while len(following) < FIELDS and (found := _FIELD.match(body, at)):
        name, value = found[1].decode("ascii").lower(), found[2].decode("utf-8", "surrogateescape")
        following.append((name, value.strip(" \t")))
        at = found.end()
    framing = {name: value for name, value in following if name in _FRAMING}
    if body[at : at + 2] != b"\r\n" or framing != {"transfer-encoding": "chunked"}:
        return headers, body
    content = _unchunked(body, at + 2)
    return (headers, body) if content is None else ((*headers, *following), content)


def _unchunked(body: bytes, at: int) -> bytes | None:
    """The content of chunks (RFC 9112 section 7.1), without extensions and trailers; None if the
    bytes are not such chunks."""
    parts: list[bytes] = []
    for _ in range(CHUNKS):
        size = _SIZE.match(body, at)
        if size is None:
            return None
        first = size.end()
        at = first + int(size[1], 16)
        if body[at : at + 2] != b"\r\n":
            return None
        if at == first:
            return b"".join(parts) if at + 2 == len(body) else None
        parts.append(body[first:at])
        at += 2
    return None
