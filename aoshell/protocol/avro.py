"""Tags of data items, an Avro array of {name: bytes, value: bytes}; and readers of binary formats.

An array is a sequence of blocks, each a count and that many members, then a count of zero. After a
negative count comes the length of the block in bytes. Source: Avro 1.11, "Binary Encoding".
The readers' errors name the field that is cut short.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from aoshell.errors import AoError
from aoshell.protocol.encoding import ProtocolError, brief
from aoshell.protocol.message import Tag, raw, text


class Source(ABC):
    """Bytes that are read from front to back."""

    @property
    @abstractmethod
    def position(self) -> int:
        """Position of the next byte in the whole input."""

    @abstractmethod
    def take(self, length: int, what: str) -> bytes:
        """The next `length` bytes. Raises ProtocolError, which names `what`, if fewer are left."""

    def integer(self, length: int, what: str) -> int:
        """An unsigned little-endian integer of `length` bytes; raises as `take()`."""
        return int.from_bytes(self.take(length, what), "little")


class AvroReader(Source):
    """Reads `raw[at:end]`.

    Args:
        base: position of `raw` in the whole input, for errors.
    """

    __slots__ = ("at", "base", "end", "raw")

    def __init__(self, raw: bytes, at: int = 0, end: int | None = None, base: int = 0) -> None:
        self.raw = raw
        self.at = at
        self.end = len(raw) if end is None else end
        self.base = base

    @property
    def position(self) -> int:
        return self.base + self.at

    @property
    def left(self) -> int:
        return self.end - self.at

    def take(self, length: int, what: str) -> bytes:
        if length > self.left:
            raise too_little(length, self.left, what, self.position)
        start = self.at
        self.at = start + length
        return self.raw[start : self.at]

    def long(self, what: str) -> int:
        """An Avro long: 64 bits, zigzag, seven bits a byte, least significant first.

        Raises:
            ProtocolError: it is cut short, or exceeds 64 bits.
        """
        start, number, shift = self.position, 0, 0
        while shift < 70:  # ten bytes of seven bits hold 64 bits
            if self.at >= self.end:
                raise ProtocolError(f"{what}: a number breaks off", start)
            byte = self.raw[self.at]
            self.at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                if number >> 64:  # the tenth byte has room for more than the one bit that is left
                    break
                return (number >> 1) ^ -(number & 1)
            shift += 7
        raise ProtocolError(f"{what}: a number exceeds 64 bits", start)

    def string(self, what: str) -> str:
        """Avro bytes as text; raises as `long()` and `take()`, and for a negative length."""
        start = self.position
        length = self.long(what)
        if length < 0:
            raise ProtocolError(f"{what}: negative length {length}", start)
        return text(self.take(length, what))


def too_little(length: int, left: int, what: str, position: int) -> ProtocolError:
    """The error for a field that is cut short."""
    return ProtocolError(f"{what}: {length} bytes expected, {left} left", position)


def decode_tags(encoded: bytes, base: int = 0) -> tuple[Tag, ...]:
    """The tags in an Avro array. No bytes at all mean no tags.

    Args:
        base: position of `encoded` in the whole input.

    Raises:
        ProtocolError: the bytes are no such array, or more bytes follow it.
    """
    reader, tags = AvroReader(encoded, base=base), list[Tag]()
    while encoded and (count := reader.long("number of tags in a block")):
        size_at = reader.position
        size = reader.long("length of a block") if count < 0 else None
        start = reader.at
        for _ in range(abs(count)):
            tags.append(Tag(reader.string("tag name"), reader.string("tag value")))
        if size is not None and size != reader.at - start:
            raise ProtocolError(f"a block of {reader.at - start} bytes says {size}", size_at)
    if reader.left:
        raise ProtocolError(f"{reader.left} bytes after the tags", reader.position)
    return tuple(tags)


def encode_tags(tags: Sequence[Tag]) -> bytes:
    """One Avro block, as other signers write it; no bytes at all for no tags.

    Raises:
        AoError: stage "message", when a tag holds half a surrogate pair.
    """
    if not tags:
        return b""
    parts = [_long(len(tags))]
    for tag in tags:
        for string in (octets(tag.name), octets(tag.value)):
            parts += (_long(len(string)), string)
    parts.append(_long(0))
    return b"".join(parts)


def octets(string: str) -> bytes:
    """The bytes of the name or value of a tag; raises as `encode_tags()`."""
    try:
        return raw(string)
    except UnicodeEncodeError:
        raise AoError(
            f"a tag holds half a surrogate pair, which has no bytes: {brief(string)}",
            stage="message",
        ) from None


def _long(number: int) -> bytes:
    """An Avro long of a number that is not negative."""
    number <<= 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
