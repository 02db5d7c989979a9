"""What a node is to the shell: one interface, whoever implements it.

The shell knows this module and `nodes.values`, and no other of `nodes`. Every failure that a person
sees is an `AoError`. A verb that a node lacks raises `UnsupportedError`, whose hint names what to
use instead, and is absent from `Node.capabilities`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from aoshell.nodes.values import (
    EndpointFinding,
    Event,
    Hop,
    Limits,
    LogEntry,
    Module,
    NodeInfo,
    Pin,
    ProcessInfo,
    Publication,
    Receipt,
    Signed,
    Stage,
    Undelivered,
    Verify,
)
from aoshell.protocol.message import Message, Result, Tag
from aoshell.protocol.wallet import Wallet

if TYPE_CHECKING:
    from aoshell.attest.evidence import Evidence


class Node(Protocol):
    """The verbs. Ids are 43 characters base64url; slots count from 0."""

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the verbs that this node carries out."""

    @property
    def stage(self) -> Stage | None:
        """What it waits for now; None where there is nothing to tell."""

    async def sign(self, wallet: Wallet, target: str, tags: tuple[Tag, ...], data: bytes) -> Signed:
        """A message to `target`, or with no target a process's definition, in this node's form.

        The node adds what its network wants of every message (`envelope`), and to a definition who
        schedules it and whom it trusts, where the tags do not say so.
        """

    async def spawn(self, item: Signed, name: str = "") -> Receipt:
        """Schedule a signed process definition; its id becomes the process's."""

    async def send(self, process: str, item: Signed) -> Receipt:
        """Schedule a signed message. When this returns, the message is durable."""

    async def result(self, process: str, place: int | str) -> Result:
        """The result of a slot, or of a message by its id, waiting until it is computed.

        Cancelling cancels the wait only.
        """

    async def results(self, process: str, after: int = -1, limit: int = 100) -> Sequence[LogEntry]:
        """Computed entries behind slot `after`, oldest first: `limit` of them, and what else is in
        the last one's slot (cron messages)."""

    async def dryrun(self, process: str, item: Message) -> Result:
        """Evaluate a message without changing anything."""

    async def slots(self, process: str) -> int:
        """Number of slots scheduled."""

    async def schedule(self, process: str, first: int, last: int) -> Sequence[Message]:
        """Messages of slots first…last, cron messages between them included."""

    async def upload(self, data: bytes, name: str = "") -> Module:
        """Store a module (Lua source or WASM, told apart by content) and return it."""

    async def fetch(self, reference: str) -> Module:
        """A module by id or by the name it was published under."""

    async def info(self) -> NodeInfo:
        """Who the node is."""

    async def evidence(self, challenge: str, endpoint: str = "") -> Evidence:
        """What it says of the machine it runs on, unchecked.

        Args:
            challenge: a random value for it to sign, "" for none.
            endpoint: URL of another node to ask instead, which any node can do.
        """

    async def processes(self) -> Sequence[ProcessInfo]:
        """All processes, newest first."""

    async def find(self, reference: str) -> ProcessInfo:
        """One process by id, by unambiguous beginning of its id (6 or more), or by name."""

    def subscribe(self) -> AsyncIterator[Event]:
        """Events from now on, in order. Closing the iterator ends the subscription."""

    async def watch(self, process: str) -> None:
        """Let events of a process come, too. The built-in node tells of all without being asked."""

    async def settled(self, root: str) -> None:
        """Return once nothing that message `root` caused is left to compute, and it is on disk."""

    async def cancel(self, process: str, slot: int) -> bool:
        """Stop computing a slot now, as if its time were up. False if it was done already."""

    async def close(self) -> None:
        """Put workers away and leave everything on disk."""


class LocalVerbs(Protocol):
    """What only a node under the user's own hands can do (capability "local")."""

    limits: Limits

    @property
    def newest(self) -> int:
        """The order of its newest message (`protocol.message.Assignment`)."""

    @property
    def workbench(self) -> Workbench:
        """What is done to processes to try things out."""

    def knows(self, wallets: Iterable[str]) -> None:
        """From now on, what is sent to these addresses counts as delivered: somebody has them."""

    async def set_limits(self, limits: Limits) -> None:
        """Change limits for every message from now on; raising `pushes` frees what was held."""

    async def undelivered(self, process: str | None = None) -> Sequence[Undelivered]:
        """Messages kept because nobody could take them, oldest first."""

    async def verify_log(self, process: str) -> Sequence[str]:
        """Replay the log in a fresh worker and compare; differences, one line each."""

    async def export(self, process: str) -> bytes:
        """A process as a file: log, results and modules."""

    async def restore(self, data: bytes, name: str = "", *, unique: bool = False) -> ProcessInfo:
        """Take in an exported process (`.import`).

        Args:
            name: that it gets; "" keeps its own.
            unique: refuse a name that another process has: each could be found by its id only.
        """

    async def delete(self, process: str) -> None:
        """Forget a process and its log."""


class RemoteVerbs(Protocol):
    """What a node somewhere else can do besides (capability "remote").

    Attributes:
        endpoint: its URL.
        verify: which answers are taken (`.verify`).
        pin: for `Verify.ATTESTED`; None where the node is not attested: then none is.
    """

    endpoint: str
    verify: Verify
    pin: Pin | None

    async def publication(self, wallet: Wallet, data: bytes, name: str) -> Publication:
        """Sign code as a module (Lua source or WASM, told apart by content)."""

    async def publish(self, publication: Publication) -> Module:
        """Upload it. Public, and permanent where the destination is Arweave."""

    async def doctor(self) -> Sequence[EndpointFinding]:
        """Look at each endpoint."""

    async def new_key(self) -> str:
        """Take the key that the node has now, whichever it was before; its address."""

    async def monitor(self, wallet: Wallet, process: str, on: bool) -> None:
        """Have the network run a process's cron messages, or stop (capability "monitor")."""


class Workbench(Protocol):
    """Trying things out on a node of one's own (`LocalVerbs.workbench`)."""

    async def fork(self, process: str, slot: int | None, name: str) -> ProcessInfo:
        """A new process with the state that another has behind a slot (None: now)."""

    async def undo(self, process: str, slot: int) -> str:
        """Take back slot `slot` and what follows it; the file that keeps what was there.

        What these messages sent to others stays there.
        """

    async def at(self, process: str, slot: int, message: Message) -> Result:
        """Evaluate a message read-only in the state behind a slot."""

    async def mark(self, process: str, name: str) -> int:
        """Remember the last slot under a name."""

    async def marks(self, process: str) -> Mapping[str, int]:
        """Slots by the names they were remembered under."""

    async def warp(self, milliseconds: int) -> int:
        """Set the node's clock forward; milliseconds that it is ahead now."""

    async def tick(self, process: str) -> int:
        """Send a process's cron messages now, due or not; how many."""

    async def pause(self, process: str, on: bool) -> None:
        """Queue what other processes send to a process; lines of the wallet still run."""

    async def queued(self, process: str) -> Sequence[Undelivered]:
        """What waits in its queue, oldest first."""

    async def step(self, process: str, index: int = 0) -> None:
        """Deliver one message of the queue, by its place."""

    async def mock(self, id: str, source: bytes, name: str) -> ProcessInfo:
        """A process under an address that is somebody else's, with a script of one's own."""

    async def trace(self, message: str) -> Sequence[Hop]:
        """All that goes back to the same root as a message, causes first."""
