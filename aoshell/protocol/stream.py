"""Data items too large for memory: their data stays in a file or another source of chunks.

The header of an item is small, and the signature covers the data by its deep hash. So signing reads
the data once and returns the header, which is sent before the data; verifying reads it once too. On
the wire such an item is `header.head`, then the data. This module opens and closes no file.
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
    """A binary file, or anything with the same `read`."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; b"" at the end only."""


def sign(
    wallet: Signer,
    data: Iterable[bytes],
    target: str = "",
    tags: Iterable[Tag] = (),
    anchor: bytes = b"",
    *,
    limits: bool = True,
) -> Header:
    """The header of a new item whose data is all chunks joined.

    Args and raises:
        as for `DataItem.sign()`, and whatever the chunks raise.
    """
    return Header(*sign_fields(wallet, hash_blob(data), target, tags, anchor, limits))


def read(file: Readable) -> Header:
    """The header of the item at the current position of a file, which is then at the item's data.

    Raises:
        ProtocolError: as `DataItem.parse()`, its position counted from where reading began; also
            for tags longer than `LARGEST_FIELD`.
    """
    return Header(*read_fields(_File(file)))


def verify(header: Header, data: Iterable[bytes]) -> bool:
    """Whether the owner signed exactly this header with all chunks joined as its data."""
    return header.signs(hash_blob(data))


def chunks(file: Readable, size: int = CHUNK) -> Iterator[bytes]:
    """The rest of a file, in pieces of at most `size` bytes."""
    while chunk := file.read(size):
        yield chunk


class _File(Source):
    """Reads a file from its current position. One `read` may return less than was asked for."""

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
