"""Bundles: many data items in one, as the data of an item or of an Arweave transaction.

A bundle on the wire, each number 32 bytes little-endian:

    count               how many items
    size, id            of each item; the id is 32 bytes
    items               one behind the other

An item holds a bundle where its tags say Bundle-Format=binary and Bundle-Version=2.0.0. Source:
ANS-104, "Bundle format".

HyperBEAM has written the numbers big-endian and the tags in lower case, and writes items that no
one signed, under ids that are not their signature's. The first number tells the two orders apart,
as no input holds 2^128 items; such bundles are read and given back as they are, and their unsigned
items do not verify.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from aoshell.protocol.ans104 import DataItem, Header
from aoshell.protocol.avro import AvroReader
from aoshell.protocol.encoding import ProtocolError, b64url, unb64url
from aoshell.protocol.message import Tag, tags_of

TAGS: tuple[Tag, ...] = tags_of((("Bundle-Format", "binary"), ("Bundle-Version", "2.0.0")))
"""The tags of an item whose data is a bundle."""

Order: TypeAlias = Literal["little", "big"]

_ORDERS: tuple[Order, Order] = ("little", "big")
_NUMBER = 32
_ID = 32


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """An item in its place.

    Attributes:
        id: the one that the bundle gives it, 43 characters base64url.
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
        """As `Bundle.within()`, with positions in the input that this entry is from."""
        return Bundle.within(self.item, self.at)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A row of items. Made by `of()`, `parse()` or `within()`.

    Attributes:
        entries: in order.
        order: of the bytes in its numbers: "little", or "big" as HyperBEAM wrote them once.
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
        """The bundle in `raw`, no signature checked yet. Bundles within it are not looked into.

        Args:
            base: where `raw` begins in the whole input.

        Raises:
            ProtocolError: the bytes are no bundle, or an item in it is none.
        """
        reader = AvroReader(raw, base=base)
        order, places = _index(reader)
        entries = []
        for id, size, size_at in places:
            if size > reader.left:
                what = f"an item of {size} bytes announced, {reader.left} left"
                raise ProtocolError(what, size_at)
            at, end = reader.at, reader.at + size
            entries.append(
                BundleEntry(id, DataItem.read(AvroReader(raw, at, end, base)), base + at)
            )
            reader.at = end
        if reader.left:
            raise ProtocolError(f"{reader.left} bytes behind the last item", reader.position)
        return cls(tuple(entries), order)

    @classmethod
    def within(cls, item: DataItem, at: int = 0) -> Bundle | None:
        """The bundle that an item's data is; None where its tags do not say that it is one.

        Args:
            at: where the item begins in the whole input.

        Raises:
            ProtocolError: the tags say so, but the data is no bundle.
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
    """Whether an item's tags say that its data is a bundle, in whatever case."""
    said = {(tag.name.lower(), tag.value.lower()) for tag in header.tags}
    return all((tag.name.lower(), tag.value) in said for tag in TAGS)


def _index(reader: AvroReader) -> tuple[Order, list[tuple[str, int, int]]]:
    """The order of bytes; and id, size and the position of the size, of each item."""
    at = reader.position
    number = reader.take(_NUMBER, "number of items")
    order = min(_ORDERS, key=lambda order: int.from_bytes(number, order))
    count = int.from_bytes(number, order)
    if count * (_NUMBER + _ID) > reader.left:
        raise ProtocolError(f"{count} items announced in {reader.left} bytes", at)
    places = []
    for _ in range(count):
        size_at = reader.position
        size = int.from_bytes(reader.take(_NUMBER, "size"), order)
        places.append((b64url(reader.take(_ID, "id")), size, size_at))
    return order, places
