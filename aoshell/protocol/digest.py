"""content-digest (RFC 9530 section 2): the digest of a message's body.

It is written with SHA-256. Every SHA-256 and SHA-512 digest in it is checked, and there must be at
least one. aoconnect's libraries write the bytes in base64url where RFC 9651 requires base64. Each
text stands for one digest in either alphabet, so both are read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from aoshell.protocol.encoding import ProtocolError, unb64url

HEADER = "content-digest"

_KNOWN = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_MEMBER = re.compile(r"[ \t]*([a-z0-9*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=_-]*):[ \t]*")


def content_digest(body: bytes) -> str:
    """The value of the header for `body`."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode('ascii')}:"


def check_digest(value: str, body: bytes, place: str = f"header {HEADER}") -> None:
    """Check that `value` is the digest of `body`.

    Raises:
        ProtocolError: it is that of another body, has no algorithm known here, or is malformed.
    """
    known = 0
    for name, digest in read_digests(value, place).items():
        if name not in _KNOWN:
            continue
        known += 1
        if not hmac.compare_digest(_KNOWN[name](body).digest(), digest):
            raise ProtocolError(f"the body is not the one with this {name}", 0, place)
    if not known:
        raise ProtocolError("neither sha-256 nor sha-512 in it", 0, place)


def read_digests(value: str, place: str = f"header {HEADER}") -> dict[str, bytes]:
    """Digests by algorithm, known here or not.

    Raises:
        ProtocolError: no dictionary of byte sequences, or an algorithm twice.
    """
    digests: dict[str, bytes] = {}
    at = 0
    while at < len(value) or not digests:
        member = _MEMBER.match(value, at)
        if member is None or value[member.end() : member.end() + 1] not in ("", ","):
            raise ProtocolError("no dictionary of digests", at, place)
        if member[1] in digests:
            raise ProtocolError(f"{member[1]} occurs twice", at, place)
        digests[member[1]] = _bytes(member[2], at, place)
        at = member.end() + 1
    return digests


def _bytes(encoded: str, at: int, place: str) -> bytes:
    try:
        return unb64url(encoded.replace("+", "-").replace("/", "_").rstrip("="))
    except ValueError:
        raise ProtocolError("a digest that is no base64", at, place) from None
