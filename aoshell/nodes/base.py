"""What a node is to the shell: one interface, whoever implements it.

The shell knows this module and `nodes.values`, and no other of `nodes`. Every failure that a person
sees is an `AoError`.

`Node` holds the verbs of every node. What only some nodes can do is a part of its own: `local`,
`remote`, `cron` and `state` are None where a node lacks them, so that a type checker proves that
they were looked at. `upload` and `evidence` are on every node; one that cannot do them raises
`UnsupportedError`, whose hint names what to use instead.
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
    Rerun,
    Sent,
    Stage,
    Undelivered,
    Verify,
)
from aoshell.protocol.message import Message, Result, Tag
from aoshell.protocol.wallet import Wallet

if TYPE_CHECKING:
    from aoshell.attest.evidence import Evidence
    from aoshell.nodes.network_verbs import NetworkVerbs


class Node(Protocol):
    """The verbs. Ids are 43 characters base64url; slots count from 0."""

    @property
    def local(self) -> LocalVerbs | None:
        """What only a node on this computer can do."""

    @property
    def remote(self) -> RemoteVerbs | None:
        """What only a node somewhere else can do."""

    @property
    def cron(self) -> CronVerbs | None:
        """Starting and stopping cron; None where the node runs cron messages by itself."""

    @property
    def state(self) -> StateVerbs | None:
        """Reading what processes expose; None where the node does not show it."""

    @property
    def stage(self) -> Stage | None:
        """What it is doing while somebody waits; None if nothing."""

    async def sign(self, wallet: Wallet, target: str, tags: tuple[Tag, ...], data: bytes) -> Sent:
        """A signed message to `target`; without a target, the definition of a process.

        For a fork of a live process, or a stand-in, the message is not signed: its signature would
        be valid there.

        The node adds the tags of every message (`envelope`), and to a definition its scheduler and
        authority, unless `tags` has them. The form is the one that this node accepts.
        """

    async def spawn(self, item: Sent, name: str = "", *, unique: bool = False) -> Receipt:
        """Schedule a signed process definition; its id becomes the process's.

        Args:
            unique: refuse a name that another process has, as another shell may take it meanwhile.
                The built-in node does so; elsewhere names are looked up, not given.

        Raises:
            NameTakenError: `unique`, and it is taken.
        """

    async def send(self, process: str, item: Sent) -> Receipt:
        """Schedule a message. When this returns, the message is durable.

        Raises:
            UnsupportedError: it is not signed, and the node takes signed messages only.
        """

    async def result(self, process: str, place: int | str) -> Result:
        """The result of a slot, or of a message by its id; waits until it is computed.

        Cancelling ends the wait only.
        """

    async def results(self, process: str, after: int = -1, limit: int = 100) -> Sequence[LogEntry]:
        """Computed entries after slot `after`, oldest first.

        These are `limit` entries, and all others of the last one's slot (cron messages).
        """

    async def dryrun(self, process: str, item: Message) -> Result:
        """Evaluate a message without changing anything."""

    async def slots(self, process: str) -> int:
        """Number of slots scheduled."""

    async def schedule(self, process: str, first: int, last: int) -> Sequence[Message]:
        """Messages of slots first…last, with the cron messages between them."""

    async def upload(self, data: bytes, name: str = "") -> Module:
        """Store a module and return it. Its content decides whether it is Lua source or WASM."""

    async def fetch(self, reference: str) -> Module:
        """A module by its id, or by the name it was published under."""

    async def info(self) -> NodeInfo:
        """The node's kind, address and endpoint."""

    async def evidence(self, nonce: bytes, endpoint: str = "", kind: str = "") -> Evidence:
        """Attestation evidence of the machine that the node runs on, not verified.

        Args:
            nonce: 32 random bytes for the evidence to be made for, or for the node to sign; b"" to
                look at what it offers only.
            endpoint: URL of another node to ask instead. Every node can do that.
            kind: the only one to ask for, as `attest.kinds.Kind` has it; "" for any.
        """

    async def processes(self) -> Sequence[ProcessInfo]:
        """All processes, newest first."""

    async def find(self, reference: str) -> ProcessInfo:
        """One process by id, by the beginning of its id (6 characters or more), or by name.

        Raises:
            NotFoundError: it does not exist.
            AoError: several processes fit, or the look-up failed.
        """

    def subscribe(self) -> AsyncIterator[Event]:
        """Events from now on, in order. Closing the iterator ends the subscription."""

    def knows(self, wallets: Iterable[str]) -> None:
        """Treat messages to these addresses as delivered from now on, as users have them."""

    async def settled(self, root: str) -> None:
        """Return once nothing that message `root` caused is left to compute.

        On the built-in node it is on disk then. A HyperBEAM node has delivered it; events of that
        are out. The legacy network does not say when it is done: this returns at once. Cancelling
        gives up the wait, and a HyperBEAM node stops delivering.
        """

    async def watch(self, process: str) -> None:
        """Include events of a process. The built-in node always sends those of all processes."""

    async def close(self) -> None:
        """Stop its workers. Everything is on disk when this returns."""


class LocalVerbs(Protocol):
    """What only a node on this computer can do."""

    @property
    def limits(self) -> Limits:
        """What one process may use."""

    @property
    def newest(self) -> int:
        """The order of its newest message (`protocol.message.Assignment.order`)."""

    @property
    def workbench(self) -> Workbench:
        """Commands that change processes to try things out."""

    @property
    def network(self) -> NetworkVerbs | None:
        """What units over HTTP need; None where another process carries the node."""

    async def cancel(self, process: str, slot: int) -> bool:
        """Stop computing a slot now, as if its time were up. False if it was done already."""

    async def set_limits(self, limits: Limits) -> None:
        """Change the limits for all later messages. Raising `pushes` delivers what was held."""

    async def undelivered(self, process: str | None = None) -> Sequence[Undelivered]:
        """Messages that could not be delivered, oldest first."""

    async def examine(self) -> Sequence[EndpointFinding]:
        """Look at the folder, the disk and the database; nothing changes."""

    async def verify_log(self, process: str) -> Sequence[str]:
        """Replay the log in a new worker and compare the results; one line for each difference."""

    async def export(self, process: str) -> bytes:
        """The content of a file with a process: log, results and modules."""

    async def warnings(self, process: str) -> Sequence[str]:
        """What a person should know before such a file is handed on, a sentence each."""

    async def restore(self, data: bytes, name: str = "", *, unique: bool = False) -> ProcessInfo:
        """Import an exported process (`.import`).

        Args:
            name: of the process here; "" keeps its own.
            unique: refuse a name that another process has: each could be found by its id only.
        """

    async def rename(self, process: str, name: str) -> ProcessInfo:
        """Give a process another name on this node; what it calls itself does not change.

        Raises:
            NameTakenError: another process has it.
            UsageError: nothing that can be shown is in it.
        """

    async def delete(self, process: str) -> None:
        """Delete a process and its log."""


class RemoteVerbs(Protocol):
    """What only a node somewhere else can do.

    Attributes:
        endpoint: its URL.
        verify: which answers are accepted (`.verify`).
        pin: the attested key, for `Verify.ATTESTED`. With None, that level accepts no answer.
    """

    endpoint: str
    verify: Verify
    pin: Pin | None

    @property
    def last_failure(self) -> str:
        """The signature base of the last answer with a bad signature, "" if there was none."""

    async def publication(self, wallet: Wallet, data: bytes, name: str) -> Publication:
        """Sign code as a module. Its content decides whether it is Lua source or WASM."""

    async def publish(self, publication: Publication) -> Module:
        """Upload it. It becomes public, and permanent if the destination is Arweave."""

    async def default_module(self) -> str:
        """The id of what a new process is made of where nobody says; "" if there is none yet."""

    def has_left(self, message: str) -> bool:
        """Whether the newest message may have arrived: its request began to go out."""

    async def runs_luerl(self, process: str) -> bool:
        """Whether luerl, the Lua of HyperBEAM, compiles what the process evaluates."""

    async def doctor(self) -> Sequence[EndpointFinding]:
        """Check each endpoint."""

    async def finish(self) -> str:
        """Wait until what was sent is delivered, but not for long.

        Returns:
            A sentence on what it no longer waits for, "" where all is delivered.
        """

    async def deliver(self, process: str, slot: int, *, again: bool = False) -> int:
        """Have the node deliver what a slot sends, whose delivery was broken off; wait for it.

        Args:
            again: though some of it may have arrived, which then arrives twice.

        Returns:
            How many messages the slot sends.

        Raises:
            AoError: stage "push", some of it has arrived, or that is not known.
        """

    async def new_key(self) -> str:
        """Accept the key that the node has now in place of the earlier one; its address."""


class CronVerbs(Protocol):
    """Starting and stopping cron on a network that does not run it by itself (`Node.cron`)."""

    async def monitor(self, wallet: Wallet, process: str, on: bool) -> None:
        """Have the network run a process's cron messages, or stop."""


class StateVerbs(Protocol):
    """Reading what processes expose (`Node.state`)."""

    async def now(self, process: str, key: str) -> object:
        """The newest state of a process, or what is at a path of keys; "" for nothing there."""


class Workbench(Protocol):
    """Commands to try things out on the built-in node (`LocalVerbs.workbench`)."""

    async def fork(self, process: str, slot: int | None, name: str) -> ProcessInfo:
        """A new process with the state of another after a slot (None: its newest state)."""

    async def undo(self, process: str, slot: int) -> str:
        """Remove slot `slot` and all later slots; the path of a file that keeps the old process.

        Messages that these slots sent to other processes stay there.
        """

    async def at(self, process: str, slot: int, message: Message) -> Result:
        """Evaluate a message read-only in the state after a slot."""

    async def rerun(self, process: str, slot: int, code: bytes, last: int) -> Rerun:
        """What the slots behind one, up to `last`, come to where the owner evaluates code there.

        It begins with the newest state before that which is kept, and changes nothing.
        """

    async def mark(self, process: str, name: str) -> int:
        """Give the last slot a name; its number."""

    async def marks(self, process: str) -> Mapping[str, int]:
        """Named slots, by name."""

    async def warp(self, milliseconds: int) -> int:
        """Set the node's clock forward; milliseconds by which it is ahead now."""

    async def tick(self, process: str) -> int:
        """Send a process's cron messages now, whether due or not; their number."""

    async def pause(self, process: str, on: bool) -> None:
        """Queue messages from other processes to a process; the wallet's lines still run."""

    async def queued(self, process: str) -> Sequence[Undelivered]:
        """The messages in its queue, oldest first."""

    async def step(self, process: str, index: int = 0) -> None:
        """Deliver one message of the queue, by its index."""

    async def mock(self, id: str, source: bytes, name: str) -> ProcessInfo:
        """A local process with the address of a foreign one, which runs `source`."""

    async def find_messages(self, begin: str) -> Sequence[Receipt]:
        """The messages of all processes whose ids begin so (6 characters or more), the newest
        first; of many the newest 20."""

    async def trace(self, message: str, process: str = "") -> Sequence[Hop]:
        """All messages with the same root as a message, causes first.

        Args:
            process: in whose log the message is meant: a fork has the messages that the process
                had which it is of. Else, and where it is not there, the first that has it.
        """
