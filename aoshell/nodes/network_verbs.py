"""What units of the network ask of a node: `LocalVerbs.network` of `nodes.base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from aoshell.nodes.values import ForkPoint, LogEntry, Module, Receipt

if TYPE_CHECKING:
    from aoshell.nodes.glances import Glances
    from aoshell.nodes.httpitem import HttpItem
    from aoshell.nodes.served import (
        EntryPage,
        NetworkModule,
        Scheduled,
        SchedulePage,
        Span,
        Stored,
        StoredPage,
    )
    from aoshell.nodes.transaction import Transaction
    from aoshell.protocol.ans104 import DataItem


class NetworkVerbs(Protocol):
    """What units of the network (MU, CU, SU, gateway, HyperBEAM) need of the node behind them.

    Nothing here verifies: whoever hands in a message has checked its signature. Unless said
    otherwise, a process that is not on the node raises NotFoundError.
    """

    @property
    def address(self) -> str:
        """The node's own."""

    @property
    def time(self) -> int:
        """The node's time, milliseconds since the Unix epoch."""

    @property
    def height(self) -> int:
        """The block height at that time."""

    @property
    def glances(self) -> Glances:
        """What a page for people shows."""

    @property
    def cuts(self) -> int:
        """How many times messages were taken back (`.undo`, `.delete`): their slots may be given
        again then."""

    def accept_signed(self, on: bool) -> None:
        """Take signed messages for forks of live processes, or refuse them, as at first."""

    async def submit(
        self, item: DataItem | HttpItem, *, authority: str = "auto", client: str = ""
    ) -> Receipt:
        """Schedule a message on its target, or spawn a process where its tag Type is "Process".

        Durable when this returns. An item that is here already gives its first receipt.

        Args:
            authority: for a process: who owns what processes send to it, for as long as it lives.
                "auto" is its first Authority that has the form of an address, unless it names this
                node; "" is the node.
            client: who handed it in.

        Raises:
            NotFoundError: its target is no process of this node.
            AoError: its module is not here, or it cannot be taken for another reason.
        """

    async def keep(self, item: DataItem | Transaction, *, client: str = "") -> None:
        """Keep what is for no process. An item of the Type "Module" becomes a module.

        Raises:
            AoError: it is a module that cannot be run, or is signed for a fork.
        """

    async def assign(
        self, process: str, message: str, exclude: Sequence[str] = (), *, client: str = ""
    ) -> Receipt:
        """Schedule a message or item that is here on another process.

        Args:
            message: its id.
            exclude: names of fields that the process is not given ("Data", "Tags"…).

        Returns:
            The id of the assignment, and its slot.

        Raises:
            NotFoundError: the process or the message is not on this node.
        """

    async def monitor(self, process: str, on: bool) -> None:
        """Run the cron of a process, or stop."""

    async def entry(self, process: str, place: int | str) -> LogEntry | None:
        """A message by its slot or id (or that of its assignment), with its result if computed."""

    async def computed(self, process: str, place: int | str, seconds: float) -> LogEntry | None:
        """The same once it is computed. None where it is not here, or not within `seconds`."""

    async def page(self, process: str, span: Span, limit: int, *, failed: bool = True) -> EntryPage:
        """Computed messages, cron included; without those that failed unless `failed`."""

    async def scheduled(self, process: str, place: int | str) -> Scheduled | None:
        """A message with its assignment, by slot, by its id or that of the assignment."""

    async def schedule_page(self, process: str, span: Span, limit: int) -> SchedulePage:
        """Messages with their assignments."""

    async def item(self, id: str) -> Stored | None:
        """What has that id: a message of any process, or an upload."""

    async def forked(self, process: str) -> ForkPoint | None:
        """Where a process was forked from; None where it was made here. Raises NotFoundError."""

    async def base(self, process: str, most: int) -> bytes | None:
        """The memory that a fork begins with; None where there is none of so many bytes.

        Raises:
            NotFoundError: the process is not on this node.
            AoError: the memory is damaged.
        """

    async def module(self, id: str) -> Module | None:
        """A module by its id here or on the network; its `id` is the one asked for."""

    def modules(self) -> Sequence[NetworkModule]:
        """The modules that have an id of the network."""

    async def stored_behind(self, seq: int, limit: int) -> StoredPage:
        """What the node took behind a number, for an index of it."""

    async def stored_changed(self) -> None:
        """Return once the node has taken or taken back something after this call."""

    async def state_at(self, process: str, slot: int | None, path: str) -> object:
        """What a process exposed after a slot, as `StateVerbs.now`; None for its newest slot."""
