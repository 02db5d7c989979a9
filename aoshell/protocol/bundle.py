"""Bundles: many data items in one, as data of an item or of an Arweave transaction.

A bundle on the wire, each number 32 bytes little-endian:

    count               how many items
    size, id            of each item; the id is 32 bytes
    items               one after the other

The data of an item is a bundle if its tags are Bundle-Format=binary and Bundle-Version=2.0.0.
Source: ANS-104, "Bundle format".

HyperBEAM has written the numbers big-endian and the tags in lower case. It also writes unsigned
items, under ids that are not the digest of their signature. The first number tells the byte orders
apart: the wrong one makes it 2^128 or more, and no input has so many items. Such bundles are read
and written unchanged; their unsigned items do not verify.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from aoshell.protocol.ans104 import DataItem, Header
from aoshell.protocol.avro import AvroReader
from aoshell.protocol.encoding import ProtocolError, b64url, unb64url
from aoshell.protocol.message import Tag, tags_of

TAGS: tuple[Tag, ...] = tags_of((("Bundle-Format", "binary"), ("Bundle-Version", "2.0.0")))
"""The tags of an item whose data is a bundle."""

Order: TypeAlias = Literal["little", "big"]

_ORDERS: tuple[Order, Order] = ("little", "big")
_NUMBER = 32  # bytes
_ID = 32  # bytes


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """An item in a bundle.

    Attributes:
        id: the id that the bundle gives it, 43 characters base64url.
        item: the item itself.
        at: where it begins, in bytes from the beginning of the input.
    """

    id: str
    item: DataItem
    at: int

    def verify(self) -> bool:
        """Whether the item's owner signed it, and the bundle gives it the id that it has."""
        return self.id == self.item.id and self.item.verify()

    def bundle(self) -> Bundle | None:
        """Like `Bundle.within()`; positions in errors are those in the whole input."""
        return Bundle.within(self.item, self.at)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A sequence of items. Made by `of()`, `parse()` or `within()`.

    Attributes:
        entries: in order.
        order: byte order of its numbers: "little", or "big" as HyperBEAM has written them.
    """

    entries: tuple[BundleEntry, ...]
    order: Order = "little"

    @classmethod
    def of(cls, items: Iterable[DataItem]) -> Bundle:
        """A new bundle of these items. To send it, sign an item with its `raw` and with `TAGS`."""
        items = tuple(items)
        entries, at = [], _NUMBER + len(items) * (_NUMBER + _ID)
        for item in items:
            entries.append(BundleEntry(item.id, item, at))
            at += len(item.head) + len(item.data)
        return cls(tuple(entries))

    @classmethod
    def parse(cls, raw: bytes, base: int = 0) -> Bundle:
        """The bundle in `raw`. No signature is verified, and bundles within it are not parsed.

        Args:
            base: position of `raw` in the whole input.

        Raises:
            ProtocolError: the bytes are no bundle, or one of its items is malformed.
        """
        reader = AvroReader(raw, base=base)
        order, index = _read_index(reader)
        entries = []
        for id, size, size_at in index:
            if size > reader.left:
                what = f"an item of {size} bytes announced, {reader.left} left"
                raise ProtocolError(what, size_at)
            at, end = reader.at, reader.at + size
            entries.append(
                BundleEntry(id, DataItem.read(AvroReader(raw, at, end, base)), base + at)
            )
            reader.at = end
        if reader.left:
            raise ProtocolError(f"{reader.left} bytes after the last item", reader.position)
        return cls(tuple(entries), order)

    @classmethod
    def within(cls, item: DataItem, at: int = 0) -> Bundle | None:
        """The bundle in the data of an item; None where its tags do not call the data a bundle.

        Args:
            at: position of the item in the whole input.

        Raises:
            ProtocolError: the tags call the data a bundle, but it is none.
        """
        return cls.parse(item.data, at + len(item.head)) if holds_bundle(item) else None

    @property
    def items(self) -> tuple[DataItem, ...]:
        return tuple(entry.item for entry in self.entries)

    @property
    def raw(self) -> bytes:
        """The bundle on the wire."""
        index = [len(self.entries).to_bytes(_NUMBER, self.order)]
        parts: list[bytes] = []
        for entry in self.entries:
            head, data = entry.item.head, entry.item.data
            index += ((len(head) + len(data)).to_bytes(_NUMBER, self.order), unb64url(entry.id))
            parts += (head, data)
        return b"".join(index + parts)

    def verify(self) -> bool:
        """Whether each entry verifies."""
        return all(entry.verify() for entry in self.entries)


def holds_bundle(header: Header) -> bool:
    """Whether an item's tags call its data a bundle, in upper or lower case."""
    given = {(tag.name.lower(), tag.value.lower()) for tag in header.tags}
    return all((tag.name.lower(), tag.value) in given for tag in TAGS)


class _IndexEntry(NamedTuple):
    """One item in the index of a bundle, and the position of its size in the whole input."""

    id: str
    size: int
    size_at: int


def _read_index(reader: AvroReader) -> tuple[Order, list[_IndexEntry]]:
    """The byte order of the numbers, and the index. Raises ProtocolError."""
    at = reader.position
    number = reader.take(_NUMBER, "number of items")
    order = min(_ORDERS, key=lambda order: int.from_bytes(number, order))
    count = int.from_bytes(number, order)
    if count * (_NUMBER + _ID) > reader.left:  # before a loop that a hostile count makes endless
        raise ProtocolError(f"{count} items announced in {reader.left} bytes", at)
    index = []
    for _ in range(count):
        size_at = reader.position
        size = int.from_bytes(reader.take(_NUMBER, "size"), order)
        index.append(_IndexEntry(b64url(reader.take(_ID, "id")), size, size_at))
    return order, index
