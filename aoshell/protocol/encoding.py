"""What all codecs share: their error, and base64url as AO writes it."""

from __future__ import annotations

import base64
import binascii
import re

from aoshell.errors import AoError

_URL = bytes.maketrans(b"+/", b"-_")
_ID_FORM = re.compile(r"[A-Za-z0-9_-]{43}")


class ProtocolError(AoError):
    """Bytes that are not what they should be.

    Args:
        what: what is wrong, one sentence without its full stop.
        position: where, in bytes from the beginning of `place`.
        place: the part of the input that `position` counts in ("header ao-types", "part key"), ""
            for the whole input.
    """

    def __init__(self, what: str, position: int, place: str = "") -> None:
        where = f" of {place}" if place else ""
        super().__init__(f"{what} (at byte {position}{where})", stage="parse")
        self.position = position
        self.place = place


def b64url(raw: bytes) -> str:
    """Bytes as base64url without padding (RFC 4648 section 5)."""
    return binascii.b2a_base64(raw, newline=False).translate(_URL, b"=").decode("ascii")


def unb64url(text: str) -> bytes:
    """The inverse of `b64url()`.

    Raises:
        ValueError: for any text that `b64url()` does not write: each value has one text only.
    """
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not unpadded base64url") from error
    if b64url(raw) != text:
        raise ValueError("not unpadded base64url")
    return raw


def has_id_form(string: str) -> bool:
    """Whether a string looks like an id or an address: 43 characters of base64url.

    The last character may have bits that no 32 bytes end in: nodes treat such keys as ids, too.
    """
    return _ID_FORM.fullmatch(string) is not None


def brief(string: str) -> str:
    """A string for an error: in quotes, control characters escaped, at most 40 characters."""
    return repr(string if len(string) <= 40 else string[:39] + "…")
