"""Reads for the page for people; the caller gives a bound for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aoshell.nodes.served import EntryPage, Span
from aoshell.nodes.values import Hop, Place


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a process is.

    Attributes:
        slots: number of slots scheduled.
        place: place of its last message, cron included.
        computed: place of the last message with a result; None before the first.
    """

    id: str
    name: str
    slots: int
    place: Place
    computed: Place | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The newest processes of a node.

    Attributes:
        cuts: how many times messages were taken back; see `StoredPage`.
        total: how many processes there are.
        processes: newest first.
    """

    cuts: int
    total: int
    processes: tuple[Progress, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """The most that any message used in a range of slots.

    Attributes:
        first, last: the range, both included.
        milliseconds: compute time, wall clock.
        memory: bytes of the heap after the message.
        gas: fuel, 0 where it is not counted.
        failed: how many messages had another outcome than "ok".
    """

    first: int
    last: int
    milliseconds: float
    memory: int
    gas: int
    failed: int


@dataclass(frozen=True, slots=True)
class HopPage:
    """The beginning of a trace; `more`: whether hops were left out."""

    hops: tuple[Hop, ...]
    more: bool


class Glances(Protocol):
    """Reads whose cost grows with their results only. Unknown processes raise NotFoundError."""

    async def overview(self, most: int) -> Overview:
        """The newest processes, `most` of them, and how far they are."""

    async def entries(self, process: str, span: Span, limit: int, largest: int) -> EntryPage:
        """Messages, computed or not, cron included. Ends at the message that exceeds `largest`.

        Args:
            largest: bytes of messages and results, as they are stored.
        """

    async def use(self, process: str, slots: int, parts: int) -> Sequence[Use]:
        """What the computed messages of the last `slots` slots used, in at most `parts` parts."""

    async def trace(self, process: str, place: Place, limit: int, largest: int) -> HopPage:
        """All messages that a message's root caused, as `Workbench.trace`; bounds as `entries`."""
