"""What a page for people shows of a node, each part under a bound that its reader gives."""

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
        place: of its last message, cron included.
        computed: place of the last one that has a result; None before the first.
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
    """The most that a message used among those of some slots that follow each other.

    Attributes:
        first, last: the slots.
        milliseconds: compute time, wall clock.
        memory: bytes of the heap behind the message.
        gas: fuel, 0 where it is not counted.
        failed: how many messages came to another outcome than "ok".
    """

    first: int
    last: int
    milliseconds: float
    memory: int
    gas: int
    failed: int


@dataclass(frozen=True, slots=True)
class HopPage:
    """The beginning of a trace; `more`: others were left out."""

    hops: tuple[Hop, ...]
    more: bool


class Glances(Protocol):
    """Reads that cost what they give. A process that is not here raises NotFoundError."""

    async def overview(self, most: int) -> Overview:
        """The newest processes, `most` of them, and how far they are."""

    async def entries(self, process: str, span: Span, limit: int, largest: int) -> EntryPage:
        """Messages, computed or not, cron included; none behind the one that exceeds `largest`.

        Args:
            largest: bytes of messages and results, as they are stored.
        """

    async def use(self, process: str, slots: int, parts: int) -> Sequence[Use]:
        """What the computed messages of the last `slots` slots used, in at most `parts` parts."""

    async def trace(self, process: str, place: Place, limit: int, largest: int) -> HopPage:
        """All that the root of a message caused, as `Workbench.trace`; bounds as `entries`."""
