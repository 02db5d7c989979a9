"""What the shell needs of live processes elsewhere; the command line hands it in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aoshell.nodes.base import Node
from aoshell.nodes.values import ForkPoint, ProcessInfo

ORDER = "order"  # the kind of a difference that Lua's hash seed or an address explains


@dataclass(frozen=True, slots=True)
class SlotDifference:
    """A slot that came to something else here.

    Attributes:
        kind: what differs first: "error", "output", "prompt", "messages", "spawns", "assignments";
            "order" where the same came in another order, or with other addresses.
        there, here: that part as text.
    """

    slot: int
    kind: str
    there: str
    here: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Results of a log beside those of the network.

    Attributes:
        source: URL of who gave the results.
        first, last: the slots that were looked at.
        equal: how many came to the same.
        different: the others, in order.
        uncompared: slots that could not be compared, each with the reason.
        notes: what a person should know.
    """

    process: str
    source: str
    first: int
    last: int
    equal: int
    different: tuple[SlotDifference, ...]
    uncompared: tuple[tuple[int, str], ...]
    notes: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing but order and addresses differs."""
        return all(one.kind == ORDER for one in self.different)


@dataclass(frozen=True, slots=True)
class Changed:
    """Other code for the same log.

    Attributes:
        module: a file with the module to run in place of the process's own, None for its own.
        load: a file with Lua that its owner evaluates, None for none.
        behind: the slot behind which that is.
    """

    module: Path | None = None
    load: Path | None = None
    behind: int = 0


class Forking(Protocol):
    """Reads live processes."""

    async def fork(
        self,
        node: Node,
        source: str,
        place: str,
        name: str,
        tell: Callable[[str], None],
        *,
        replay: bool,
    ) -> tuple[ProcessInfo, tuple[str, ...]]:
        """Put a live process into the home of a node; the process, and notes for the user.

        Args:
            source: URL or profile of its network.
            place: PROCESS[@SLOT].
            tell: shows how far it is.
            replay: compute all slots here, though a memory could be had.

        Raises:
            AoError: it could not be forked, and nothing of it is in the home.
        """

    async def compare(
        self,
        node: Node,
        process: ProcessInfo,
        source: str,
        first: int,
        last: int | None,
        changed: Changed,
        tell: Callable[[str], None],
    ) -> Comparison:
        """Results of a fork beside those of its network. Nothing of the home is changed.

        Args:
            source: URL or profile; "" for where it was forked from.
            last: None for its fork point.

        Raises:
            AoError: there is nothing to compare, or the network does not answer.
        """


def fork_text(process: ProcessInfo) -> str:
    """Where a fork comes from, for people; "" for a process that was made here."""
    return "" if process.origin is None else origin_text(process.origin)


def origin_text(origin: ForkPoint) -> str:
    """Where a fork comes from, for people."""
    how = ", called exactly as compute units call it" if origin.exact else ""
    text = f"forked behind slot {origin.slot} of {origin.source}{how}"
    if origin.memory >= 0:
        text += f"; it begins with the memory behind slot {origin.memory}"
        text += f", for which {origin.vouched} alone vouches"
    return text


def state_note(process: ProcessInfo, slot: int | None) -> str:
    """What is to be known of a state of a fork, behind a slot; None for the newest.

    "" for a process that was made here, and for a state of a fork that is this home's own.
    """
    origin = process.origin
    if origin is None:
        return ""
    said = []
    if slot is not None and slot <= origin.slot:
        said.append(f"the state behind slot {slot}, from the log of {origin.source}")
    if origin.memory >= 0:
        said.append(
            f"it comes of the memory behind slot {origin.memory}, for which {origin.vouched} alone"
            " vouches"
        )
    return "; ".join(said)


def foreign_note(process: ProcessInfo, slot: int) -> str:
    """What is to be known of a slot that was scheduled elsewhere; "" for one of this home."""
    origin = process.origin
    if origin is None or slot > origin.slot:
        return ""
    return f"slot {slot} is of {origin.source}: what it sent was delivered there, and not here"
