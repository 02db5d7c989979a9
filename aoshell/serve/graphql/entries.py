"""Turns messages and items of the node into transactions of a gateway, as indexed and shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aoshell.nodes.local.log.scheduler import block_height
from aoshell.nodes.served import Stored
from aoshell.nodes.transaction import Transaction
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Tag, raw
from aoshell.serve.graphql.filters import OWNER, TAG, Clause, Filter

NUMBER_BITS = 38  # of a place, below the block height
LARGEST_HEIGHT = (1 << 24) - 1


class Entry(NamedTuple):
    """A transaction.

    Attributes:
        number: its number in the node's log.
        recipient: "" for the definition of a process, and without a target.
        anchor: in base64url.
        size: bytes of its data.
        timestamp: milliseconds since the Unix epoch.
        height: height of its block.
        tags: text that SQLite and JSON can hold.
    """

    number: int
    id: str
    owner: str
    recipient: str
    anchor: str
    size: int
    timestamp: int
    height: int
    tags: tuple[Tag, ...]

    @property
    def place(self) -> int:
        """Its sort key: by block height, then in the order of the node's log."""
        return place_of(self.height, self.number)

    @property
    def content_type(self) -> str:
        """The value of its first tag Content-Type, "" without one."""
        return next((tag.value for tag in self.tags if tag.name.lower() == "content-type"), "")

    def fits(self, wanted: Filter) -> bool:
        """Whether a query finds it, wherever the query's page begins."""
        if wanted.ids is not None and self.id not in wanted.ids:
            return False
        lowest, highest = height_bounds(wanted)
        return lowest <= self.place <= highest and all(
            clause.fits(self._values(clause)) for clause in wanted.clauses
        )

    def _values(self, clause: Clause) -> Sequence[str]:
        if clause.kind == TAG:
            return [tag.value for tag in self.tags if tag.name == clause.name]
        return [self.owner if clause.kind == OWNER else self.recipient]


def place_of(height: int, number: int) -> int:
    """The place of a transaction: one integer that sorts by height, then by number."""
    return min(max(height, 0), LARGEST_HEIGHT) << NUMBER_BITS | number


def height_bounds(wanted: Filter) -> tuple[int, int]:
    """The lowest and highest place within a query's block heights, both inclusive."""
    lowest = 0 if wanted.lowest is None else place_of(wanted.lowest, 0)
    most = (1 << NUMBER_BITS) - 1
    return lowest, place_of(LARGEST_HEIGHT if wanted.highest is None else wanted.highest, most)


def bounds(wanted: Filter) -> tuple[int, int]:
    """The lowest and highest place that may be on a query's page, both inclusive."""
    lowest, highest = height_bounds(wanted)
    if wanted.after is not None and wanted.newest_first:
        highest = min(highest, wanted.after - 1)
    elif wanted.after is not None:
        lowest = max(lowest, wanted.after + 1)
    return lowest, highest


def sound(text: str) -> str:
    """Text without lone surrogates: bytes that are no UTF-8 become U+FFFD."""
    if text.isascii():
        return text
    try:
        encoded = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        encoded = text.encode("utf-8", "surrogatepass")
    return encoded.decode("utf-8", "replace")


def to_entry(stored: Stored) -> Entry | None:
    """A stored message or item as a transaction; None for a cron message, which is not one."""
    message = stored.message
    if not message.id:
        return None
    owner, recipient, tags = message.owner, message.target, message.tags
    anchor, item = raw(message.anchor), stored.signed
    if isinstance(item, DataItem | Transaction):  # it has all tags, the log does not
        owner, recipient, tags = item.owner_address, item.target, item.tags
        anchor = item.anchor
    elif message.id == stored.process:
        recipient = ""
    place = message.assignment
    return Entry(
        number=stored.seq,
        id=message.id,
        owner=sound(owner),
        recipient=sound(recipient),
        anchor=b64url(anchor),
        size=len(message.data),
        timestamp=stored.timestamp,
        height=place.block_height if place else block_height(stored.timestamp),
        tags=tuple(Tag(sound(tag.name), sound(tag.value)) for tag in tags),
    )
