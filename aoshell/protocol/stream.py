"""Data items too large for memory: their data stays in a file, or wherever chunks of it come from.

An item's header is small, and the data enters its signature by a digest alone. So signing takes
one pass over the data and yields the header to send before it; verifying takes one pass, too. On
the wire such an item is `header.head` and then the data. Nothing is opened or closed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from aoshell.protocol.ans104 import Header, read_fields, sign_fields
from aoshell.protocol.avro import Source, too_little
from aoshell.protocol.deephash import hash_blob
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.keys import Signer
from aoshell.protocol.message import Tag

CHUNK = 1 << 18  # bytes
LARGEST_FIELD = 1 << 20  # bytes; the network's limits let tags have half of it


class Readable(Protocol):
    """A binary file, or what reads like one."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end only."""


def sign(
    wallet: Signer,
    data: Iterable[bytes],
    target: str = "",
    tags: Iterable[Tag] = (),
    anchor: bytes = b"",
    *,
    limits: bool = True,
) -> Header:
    """The header of a new item, for the data that the chunks make together.

    Args and raises:
        as for `DataItem.sign()`, and whatever the chunks raise.
    """
    return Header(*sign_fields(wallet, hash_blob(data), target, tags, anchor, limits))


def read(file: Readable) -> Header:
    """The header of the item that begins where the file stands; leaves it at the item's data.

    Raises:
        ProtocolError: as `DataItem.parse()`, its position counted from where reading began; also
            for tags longer than `LARGEST_FIELD`.
    """
    return Header(*read_fields(_File(file)))


def verify(header: Header, data: Iterable[bytes]) -> bool:
    """Whether the owner signed exactly this header with the data that the chunks make together."""
    return header.signs(hash_blob(data))


def chunks(file: Readable, size: int = CHUNK) -> Iterator[bytes]:
    """The rest of a file, in pieces of at most `size` bytes."""
    while chunk := file.read(size):
        yield chunk


class _File(Source):
    """A file read from where it stands, which may give less at a time than it is asked for."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._at = 0

    @property
    def position(self) -> int:
        return self._at

    def take(self, length: int, what: str) -> bytes:
        if length > LARGEST_FIELD:
            most = f"{LARGEST_FIELD:,} are read from a stream"
            raise ProtocolError(f"{what}: {length:,} bytes announced, at most {most}", self._at)
        taken = bytearray()
        while len(taken) < length and (piece := self._file.read(length - len(taken))):
            taken += piece
        if len(taken) < length:
            raise too_little(length, len(taken), what, self._at)
        self._at += length
        return bytes(taken)
