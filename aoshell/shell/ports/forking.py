"""What the shell needs to fork live processes; the command line passes it in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aoshell.errors import AoError
from aoshell.nodes.base import Node
from aoshell.nodes.values import ForkPoint, ProcessInfo

# Kinds of differences that are explained: Lua's hash seed or an address; the Lua of HyperBEAM,
# which does not report where an error was raised.
ORDER, POSITION = "order", "position"
EXPLAINED = frozenset({ORDER, POSITION})


@dataclass(frozen=True, slots=True)
class SlotDifference:
    """A slot whose result is different here.

    Attributes:
        kind: the first field that differs: "error", "output", "prompt", "messages", "spawns",
            "assignments"; "order" if only order or addresses differ; "position" if only the error
            here says where it was raised.
        there, here: that field as text.
    """

    slot: int
    kind: str
    there: str
    here: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Results of a log compared with those of the network.

    Attributes:
        source: URL of the service that gave the results.
        first, last: the slots that were compared.
        equal: how many have the same result.
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
        """Whether all differences are explained (`EXPLAINED`)."""
        return all(one.kind in EXPLAINED for one in self.different)


@dataclass(frozen=True, slots=True)
class Changed:
    """Other code for the same log.

    Attributes:
        module: a file with the module to run instead of the process's own, None for its own.
        load: a file with Lua that its owner evaluates, None for none.
        after_slot: the slot after which that Lua is evaluated.
    """

    module: Path | None = None
    load: Path | None = None
    after_slot: int = 0


@dataclass(frozen=True, slots=True)
class TakenFork:
    """A fork that is in the home, all of it computed.

    Attributes:
        notes: what a person should know.
    """

    process: ProcessInfo
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A live process that was not forked, as it was asked for, and why."""

    place: str
    error: AoError


@dataclass(frozen=True, slots=True)
class ForkedNetwork:
    """The outcome for each process to fork, in their order. At least one was forked."""

    taken: tuple[TakenFork, ...]
    failed: tuple[NotTaken, ...]


class Forking(Protocol):
    """Reads live processes."""

    async def fork(
        self,
        node: Node,
        source: str,
        places: Sequence[str],
        name: str,
        tell: Callable[[str], None],
        *,
        replay: bool,
    ) -> ForkedNetwork:
        """Put live processes into the home of a node.

        Args:
            source: URL or profile of their network.
            places: PROCESS[@SLOT], each a name or an id.
            name: of the first one here.
            tell: shows how far it is.
            replay: compute all slots here, even if a memory is available.

        Raises:
            AoError: none could be forked, and nothing of them is in the home.
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
        """Compare the results of a fork with those of its network. Nothing in the home changes.

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
    if origin.as_node:
        how = ", computed as a HyperBEAM node computes it"
    text = f"forked after slot {origin.slot} of {origin.source}{how}"
    if origin.memory >= 0:
        text += f"; it begins with the memory after slot {origin.memory}"
        text += f", for which {origin.vouched} alone vouches"
    return text


def network_text(network: ForkedNetwork) -> str:
    """The outcome of forking a network, for people: a line for each fact."""
    lines = []
    for one in network.taken:
        name = f"{one.process.name}: " if len(network.taken) + len(network.failed) > 1 else ""
        lines += [f"{name}{text}" for text in (fork_text(one.process), *one.notes)]
    lines += [f"{one.place} is not forked: {one.error}" for one in network.failed]
    return "\n".join(lines)


def state_note(process: ProcessInfo, slot: int | None) -> str:
    """What a person should know of a fork's state after a slot; None for the newest.

    "" for a process that was made here, and for a state that a fork has only in this home.
    """
    origin = process.origin
    if origin is None:
        return ""
    parts = []
    if slot is not None and slot <= origin.slot:
        parts.append(f"the state after slot {slot}, from the log of {origin.source}")
    if origin.memory >= 0:
        parts.append(
            f"it comes from the memory after slot {origin.memory}, for which {origin.vouched} alone"
            " vouches"
        )
    return "; ".join(parts)


def foreign_note(process: ProcessInfo, slot: int) -> str:
    """A note on a slot that was scheduled elsewhere; "" for one of this home."""
    origin = process.origin
    if origin is None or slot > origin.slot:
        return ""
    return f"slot {slot} is from {origin.source}: what it sent was delivered there, not here"
