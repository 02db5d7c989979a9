"""The verbs that units of the network use: `LocalVerbs.network` of `nodes.base`."""

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
    """The verbs of a node for units of the network (MU, CU, SU, gateway, HyperBEAM).

    Signatures are not verified here: callers must do that. Unless stated otherwise, a process that
    is not on the node raises NotFoundError.
    """

    @property
    def address(self) -> str:
        """The node's own address."""

    @property
    def time(self) -> int:
        """The node's time, milliseconds since the Unix epoch."""

    @property
    def height(self) -> int:
        """The block height at that time."""

    @property
    def glances(self) -> Glances:
        """Reads for the page for people."""

    @property
    def cuts(self) -> int:
        """How many times messages were taken back (`.undo`, `.delete`), after which slots may be
        used again."""

    def accept_signed(self, on: bool) -> None:
        """Take signed messages for forks of live processes, or refuse them (the default)."""

    async def submit(
        self, item: DataItem | HttpItem, *, authority: str = "auto", client: str = ""
    ) -> Receipt:
        """Schedule a message on its target, or spawn a process if its tag Type is "Process".

        Durable when this returns. An item that is here already returns its first receipt.

        Args:
            authority: for a new process: the permanent owner of messages that processes send to it.
                "auto" is its first Authority with the form of an address, unless it names this
                node; "" is the node.
            client: who sent it.

        Raises:
            NotFoundError: its target is no process of this node.
            AoError: its module is not here, or it is refused for another reason.
        """

    async def keep(self, item: DataItem | Transaction, *, client: str = "") -> None:
        """Store an upload, which is for no process. An item with Type=Module becomes a module.

        Raises:
            AoError: it is a module that no process can run, or is signed for a fork.
        """

    async def assign(
        self, process: str, message: str, exclude: Sequence[str] = (), *, client: str = ""
    ) -> Receipt:
        """Schedule a message or item of this node on another process.

        Args:
            message: its id.
            exclude: names of fields that the process must not get ("Data", "Tags"…).

        Returns:
            The id of the assignment, and its slot.

        Raises:
            NotFoundError: the process or the message is not on this node.
        """

    async def monitor(self, process: str, on: bool) -> None:
        """Start or stop the cron of a process."""

    async def entry(self, process: str, place: int | str) -> LogEntry | None:
        """A message by its slot, its id or its assignment's id; with its result if computed."""

    async def computed(self, process: str, place: int | str, seconds: float) -> LogEntry | None:
        """As `entry`, once it is computed. None if it is not here, or not within `seconds`."""

    async def page(self, process: str, span: Span, limit: int, *, failed: bool = True) -> EntryPage:
        """Computed messages, cron included; `failed`: include those that failed."""

    async def scheduled(self, process: str, place: int | str) -> Scheduled | None:
        """A message with its assignment, by its slot, its id or its assignment's id."""

    async def schedule_page(self, process: str, span: Span, limit: int) -> SchedulePage:
        """Messages with their assignments."""

    async def item(self, id: str) -> Stored | None:
        """The message of any process, or the upload, with that id."""

    async def forked(self, process: str) -> ForkPoint | None:
        """The fork point of a process; None if it was made here. Raises NotFoundError."""

    async def base(self, process: str, most: int) -> bytes | None:
        """The memory that a fork begins with; None if it has none, or more than `most` bytes.

        Raises:
            NotFoundError: the process is not on this node.
            AoError: the memory is damaged.
        """

    async def module(self, id: str) -> Module | None:
        """A module by its id here or on the network; its `id` is the requested one."""

    def modules(self) -> Sequence[NetworkModule]:
        """The modules that also have an id on the network."""

    async def stored_behind(self, seq: int, limit: int) -> StoredPage:
        """Messages and uploads after a number, for an index."""

    async def stored_changed(self) -> None:
        """Return when the log next changes: a message is added or taken back."""

    async def state_at(self, process: str, slot: int | None, path: str) -> object:
        """What a process exposed after a slot (None: the newest), as `StateVerbs.now`."""
