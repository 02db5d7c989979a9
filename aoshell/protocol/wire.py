"""Messages as HTTP carries them: TABM to header fields and a body, and back (`httpsig@1.0`).

Binaries of up to 4096 bytes are header fields. The binary at the inline key (`body`, or `data` with
`ao-body-key: data`) is the body. If the message has maps or longer binaries, these and the inline
binary are parts of the body. HTTP makes names of fields lower case, so keys that are ids go into
the field `ao-ids` (HyperBEAM edge) or are percent-encoded (later versions).

This module knows nothing of signatures: callers add and remove their two fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from aoshell.errors import AoError
from aoshell.protocol import multipart
from aoshell.protocol.commitment import EDGE, INPUT, SIGNATURE, Profile
from aoshell.protocol.digest import HEADER as DIGEST
from aoshell.protocol.digest import check_digest, content_digest
from aoshell.protocol.encoding import ProtocolError, brief, has_id_form
from aoshell.protocol.fields import quoted
from aoshell.protocol.message import raw, text
from aoshell.protocol.multipart import BODY_KEY, LONGEST_HEADER, inline_key
from aoshell.protocol.tabm import COMMITMENTS, Tabm, in_order

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]

IDS = "ao-ids"
TYPE = "content-type"

# Fields that HTTP itself uses. They are part of a message only where a signature covers them.
TRANSPORT = frozenset(
    (
        *("accept-encoding", "alt-svc", "connection", "content-length", "date", "host"),
        *("keep-alive", "server", "te", "trailer", "transfer-encoding", "upgrade", "user-agent"),
        *("vary", "via", SIGNATURE, INPUT, DIGEST),
    )
)

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_ID_MEMBER = re.compile(r'([A-Za-z0-9_-]{43})="((?:[^"\\]|\\["\\])*)"(?:, *|$)')
_ESCAPED = re.compile(r"(?:[a-z0-9_-]|%[0-9a-f]{2}){43}", re.ASCII)


def encode(tabm: Tabm, profile: Profile = EDGE) -> tuple[dict[str, str], bytes | None]:
    """Header fields and body of a message, without signatures; the body is None if it has none.

    Fields are not checked, as ids are computed from fields that are never sent; `check_sendable()`
    checks them.

    Raises:
        AoError: stage "message", for a key or value that parts of the body cannot carry.
    """
    message = {key: value for key, value in tabm.items() if key != COMMITMENTS}
    inline = inline_key(message)
    fields: dict[str, str] = {} if inline not in message or inline == "body" else {BODY_KEY: inline}
    tree: Tabm = {}
    ids: dict[str, str] = {}
    for key, value in message.items():
        if isinstance(value, dict) or key in (inline, "body") or _long(value):
            tree[key] = value
        elif has_id_form(key):
            ids[key] = value
        else:
            fields[key] = value
    fields |= _ids(ids, profile)
    if not tree:
        return fields, None
    whole = tree.get(inline) if len(tree) == 1 else None
    if isinstance(whole, str):
        body = raw(whole)
    elif TYPE in fields:
        raise AoError(f"beside maps and long values there is no place for {TYPE}", stage="message")
    else:
        fields[TYPE], body = multipart.encode(tree, inline)
    fields[DIGEST] = content_digest(body)
    return fields, body


def _long(value: str) -> bool:
    return len(value) > LONGEST_HEADER or len(raw(value)) > LONGEST_HEADER


def _ids(ids: Mapping[str, str], profile: Profile) -> dict[str, str]:
    if not ids:
        return {}
    if profile is not EDGE:
        return {_escape(key): value for key, value in ids.items()}
    return {IDS: ", ".join(f"{key}={quoted(ids[key])}" for key in in_order(ids))}


def _escape(key: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"%{ord(letter[0]):02x}", key)


def check_sendable(fields: Mapping[str, str]) -> None:
    """Refuse header fields that HTTP does not carry unchanged (RFC 9110 section 5.5).

    Raises:
        AoError: stage "message", for a name that HTTP itself uses or does not allow, and for a
            value with line breaks, control characters, or spaces at an edge.
    """
    for name, value in fields.items():
        if not _NAME.fullmatch(name):
            raise AoError(f"the key {brief(name)} cannot be the name of a header", stage="message")
        if name in TRANSPORT and name != DIGEST:
            raise AoError(f"the key {brief(name)} is a header of HTTP itself", stage="message")
        if re.search(r"[\0-\x08\x0a-\x1f\x7f]", value) or value != value.strip(" \t"):
            raise AoError(
                f"HTTP would change the value of {brief(name)}: it has line breaks, control "
                "characters, or spaces at an edge",
                stage="message",
                hint="put it into the data, or a level deeper",
            )


def join(headers: Headers) -> dict[str, str]:
    """Header fields by name in lower case, equal names joined by a comma (RFC 9110 section 5.2).

    Raises:
        ProtocolError: a name is not allowed in HTTP.
    """
    fields: dict[str, str] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        key, field = (text(x) if isinstance(x, bytes) else x for x in (name, value))
        key = key.lower()
        if not _NAME.fullmatch(key):
            raise ProtocolError(f"{brief(key)} is no name of a header", 0, "header")
        fields[key] = f"{fields[key]}, {field}" if key in fields else field
    return fields


def decode(
    fields: Mapping[str, str], body: bytes, keep: Iterable[str] = ()
) -> tuple[Tabm, frozenset[str]]:
    """The message in header fields (from `join()`) and a body, and the keys that were in the body.

    The inverse of `encode()`.

    Args:
        keep: names of fields to keep although HTTP itself uses them.

    Raises:
        ProtocolError: the body does not have its content-digest, does not have the parts that
            content-type announces, or has a key that is also a field.
    """
    dropped = TRANSPORT.difference(keep) | {DIGEST}
    message: Tabm = dict(_keys({k: v for k, v in fields.items() if k not in dropped}))
    if DIGEST in fields:
        check_digest(fields[DIGEST], body)
    inline = message.pop(BODY_KEY, None) or "body"
    assert isinstance(inline, str)
    boundary = multipart.boundary_of(fields.get(TYPE, "")) if body else None
    if boundary:
        del message[TYPE]
        parts = multipart.decode(body, boundary, inline)
    else:
        present = body or DIGEST in fields or BODY_KEY in fields
        parts = {inline: text(body)} if present else {}
    twice = min(message.keys() & parts.keys(), default=None)
    if twice is not None:
        raise ProtocolError(f"the key {brief(twice)} in a header and in the body", 0, "body")
    return message | parts, frozenset(parts)


def _keys(fields: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for name, value in fields.items():
        if name == IDS:
            yield from _read_ids(value)
        else:
            yield key_of(name), value


def key_of(name: str) -> str:
    """The key that a header field carries: its name, decoded if it is a percent-encoded id."""
    if "%" in name and _ESCAPED.fullmatch(name):
        return re.sub("%(..)", lambda code: chr(int(code[1], 16)), name)
    return name


def _read_ids(value: str) -> Iterable[tuple[str, str]]:
    at = 0
    while at < len(value):
        member = _ID_MEMBER.match(value, at)
        if member is None:
            raise ProtocolError("no dictionary of ids", at, f"header {IDS}")
        yield member[1], re.sub(r"\\(.)", r"\1", member[2])
        at = member.end()
