"""The interface of a node for the shell; every kind of node implements it.

The shell imports this module and `nodes.values`, and no other of `nodes`. Every failure that a user
sees is an `AoError`.

`Node` holds the verbs of every node. What only some nodes can do is in separate parts: `local`,
`remote`, `cron` and `state`. A part is None where a node lacks it, so that a type checker proves
that callers check. Every node has `upload` and `evidence`; one that cannot do them raises
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
        """The verbs of a node on this computer, None for others."""

    @property
    def remote(self) -> RemoteVerbs | None:
        """The verbs of a remote node, None for others."""

    @property
    def cron(self) -> CronVerbs | None:
        """Starting and stopping cron; None where the node always runs cron messages."""

    @property
    def state(self) -> StateVerbs | None:
        """Reading what processes expose; None where the node does not show it."""

    @property
    def stage(self) -> Stage | None:
        """What it is doing while a caller waits; None if nothing."""

    async def sign(self, wallet: Wallet, target: str, tags: tuple[Tag, ...], data: bytes) -> Sent:
        """A signed message to `target`; without a target, the definition of a process.

        For a fork of a live process, or a stand-in, the message is not signed: the live process
        would accept its signature.

        The node adds the tags of every message (`envelope`), and to a definition its scheduler and
        authority, unless `tags` has them. The result has the form that this node accepts.
        """

    async def spawn(self, item: Sent, name: str = "", *, unique: bool = False) -> Receipt:
        """Schedule a signed process definition; its id becomes the process's.

        Args:
            unique: refuse a name that another process has; another shell may have taken it just
                now. Only the built-in node checks this: elsewhere the node has no names.

        Raises:
            NameTakenError: `unique` is set and the name is taken.
        """

    async def send(self, process: str, item: Sent) -> Receipt:
        """Schedule a message. When this returns, the message is durable.

        Raises:
            UnsupportedError: the message is not signed, and the node takes signed ones only.
        """

    async def result(self, process: str, place: int | str) -> Result:
        """The result of a slot, or of a message by its id; waits until it is computed.

        Cancelling ends the wait only.
        """

    async def results(self, process: str, after: int = -1, limit: int = 100) -> Sequence[LogEntry]:
        """Computed entries after slot `after`, oldest first.

        These are `limit` entries, plus all others of the last entry's slot (cron messages).
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
            nonce: 32 random bytes that the evidence, or the node's signature, must cover; b"" to
                see only what the node offers.
            endpoint: URL of another node to ask instead.
            kind: the only kind to ask for (`attest.kinds.Kind`); "" for any.
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
        """From now on treat messages to these addresses, which users own, as delivered."""

    async def settled(self, root: str) -> None:
        """Return once nothing that message `root` caused is left to compute.

        On the built-in node all of it is on disk then. On a HyperBEAM node all of it is delivered,
        and the events are sent. The legacy network does not say when it is done, so this returns
        at once. Cancelling ends the wait; a HyperBEAM node also stops delivering.
        """

    async def watch(self, process: str) -> None:
        """Send events of this process, too. The built-in node always sends those of all."""

    async def close(self) -> None:
        """Stop its workers. Everything is on disk when this returns."""


class LocalVerbs(Protocol):
    """The verbs that only a node on this computer has."""

    @property
    def limits(self) -> Limits:
        """What one process may use."""

    @property
    def newest(self) -> int:
        """The number of its newest message (`protocol.message.Assignment.order`)."""

    @property
    def workbench(self) -> Workbench:
        """Commands that change processes to try things out."""

    @property
    def network(self) -> NetworkVerbs | None:
        """The verbs for units over HTTP; None where another process carries the node."""

    async def cancel(self, process: str, slot: int) -> bool:
        """Stop computing a slot now, as if its time were up. False if it was done already."""

    async def set_limits(self, limits: Limits) -> None:
        """Change the limits for all later messages. Raising `pushes` delivers what was held."""

    async def undelivered(self, process: str | None = None) -> Sequence[Undelivered]:
        """Messages that could not be delivered, oldest first."""

    async def examine(self) -> Sequence[EndpointFinding]:
        """Check the folder, the disk and the database, without changing them."""

    async def verify_log(self, process: str) -> Sequence[str]:
        """Replay the log in a new worker and compare the results; one line for each difference."""

    async def export(self, process: str) -> bytes:
        """A process as the content of a file: log, results and modules."""

    async def warnings(self, process: str) -> Sequence[str]:
        """Warnings for a user who wants to pass on such a file, a sentence each."""

    async def restore(self, data: bytes, name: str = "", *, unique: bool = False) -> ProcessInfo:
        """Import an exported process (`.import`).

        Args:
            name: its name here; "" keeps its own.
            unique: refuse a name that another process has: both could be found by id only.
        """

    async def rename(self, process: str, name: str) -> ProcessInfo:
        """Give a process another name on this node; the `Name` inside the process stays.

        Raises:
            NameTakenError: another process has it.
            UsageError: the name has no visible characters.
        """

    async def delete(self, process: str) -> None:
        """Delete a process and its log."""


class RemoteVerbs(Protocol):
    """The verbs that only a remote node has.

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
        """Upload a module. It becomes public, and permanent if the destination is Arweave."""

    async def default_module(self) -> str:
        """The id of the default module of new processes; "" if there is none yet."""

    def has_left(self, message: str) -> bool:
        """Whether `message`, the newest one, may have arrived: sending its request has begun."""

    async def runs_luerl(self, process: str) -> bool:
        """Whether luerl, the Lua of HyperBEAM, compiles what the process evaluates."""

    async def doctor(self) -> Sequence[EndpointFinding]:
        """Check each endpoint."""

    async def finish(self) -> str:
        """Wait a short time until everything that was sent is delivered.

        Returns:
            A sentence on what is not delivered yet, "" if everything is.
        """

    async def deliver(self, process: str, slot: int, *, again: bool = False) -> int:
        """Have the node deliver what a slot sends, after an interrupted delivery; wait for it.

        Args:
            again: even if some of it may have arrived, which then arrives twice.

        Returns:
            How many messages the slot sends.

        Raises:
            AoError: stage "push", some of it has arrived, or may have.
        """

    async def new_key(self) -> str:
        """Accept the node's present key instead of the earlier one. Returns its address."""


class CronVerbs(Protocol):
    """Starting and stopping cron on a network that runs it only on request (`Node.cron`)."""

    async def monitor(self, wallet: Wallet, process: str, on: bool) -> None:
        """Have the network run a process's cron messages, or stop."""


class StateVerbs(Protocol):
    """Reading what processes expose (`Node.state`)."""

    async def now(self, process: str, key: str) -> object:
        """The newest state of a process, or the value at a path of keys; "" if there is none."""


class Workbench(Protocol):
    """Commands to try things out on the built-in node (`LocalVerbs.workbench`)."""

    async def fork(self, process: str, slot: int | None, name: str) -> ProcessInfo:
        """A new process with the state of another after a slot (None: its newest state)."""

    async def undo(self, process: str, slot: int) -> str:
        """Remove slot `slot` and all later ones. Returns the path of a copy of the old process.

        Messages that these slots sent to other processes stay there.
        """

    async def at(self, process: str, slot: int, message: Message) -> Result:
        """Evaluate a message read-only in the state after a slot."""

    async def rerun(self, process: str, slot: int, code: bytes, last: int) -> Rerun:
        """Compute the slots after `slot`, up to `last`, as if the owner evaluated code after
        `slot`.

        It begins at the newest checkpoint up to `slot`, and changes nothing.
        """

    async def mark(self, process: str, name: str) -> int:
        """Give the last slot a name. Returns its number."""

    async def marks(self, process: str) -> Mapping[str, int]:
        """Named slots, by name."""

    async def warp(self, milliseconds: int) -> int:
        """Set the node's clock forward. Returns how far it is ahead now, in milliseconds."""

    async def tick(self, process: str) -> int:
        """Send a process's cron messages now, due or not. Returns their number."""

    async def pause(self, process: str, on: bool) -> None:
        """Queue messages from other processes to a process; the wallet's lines still run."""

    async def queued(self, process: str) -> Sequence[Undelivered]:
        """The messages in its queue, oldest first."""

    async def step(self, process: str, index: int = 0) -> None:
        """Deliver one message of the queue, by its index."""

    async def mock(self, id: str, source: bytes, name: str) -> ProcessInfo:
        """A local process with the address of a foreign one, which runs `source`."""

    async def find_messages(self, begin: str) -> Sequence[Receipt]:
        """The newest 20 messages, of all processes, whose ids begin with `begin` (6 characters or
        more), newest first."""

    async def trace(self, message: str, process: str = "") -> Sequence[Hop]:
        """All messages with the same root as a message, causes first.

        Args:
            process: look in its log, as a fork also has messages of its original. By default, or if
                it does not have the message, the first process that has it.
        """
