"""What a node is to the shell: one interface, whoever implements it.

The shell, its commands and its feed know this module only. Everything that reaches a person as a
failure is an `AoError`; a verb that a node lacks raises `Unsupported`, whose hint names what to use
instead, and is absent from `Node.capabilities`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from aoshell.errors import AoError
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Result, Tag, tags_of
from aoshell.protocol.wallet import Wallet

if TYPE_CHECKING:
    from aoshell.attest.evidence import Evidence

SDK = "aoshell"


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """A signed message as HyperBEAM's httpsig writes it: what is posted, and its id.

    Attributes:
        id: 43 characters base64url, of the wallet's signature.
        headers: names and values, in order.
        body: the bytes behind them.
    """

    id: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)


# A message that a wallet has signed, in the form that its node takes.
Signed: TypeAlias = DataItem | HttpMessage


def envelope(kind: str, variant: str = "ao.TN.1") -> tuple[Tag, ...]:
    """The tags that make an item a message of AO: kind "Message" or "Process"."""
    pairs = (("Data-Protocol", "ao"), ("Variant", variant), ("Type", kind), ("SDK", SDK))
    return tags_of(pairs)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A message that the node has taken and will not lose.

    Attributes:
        id: of the message (for a spawn: of the process).
        process: where it was scheduled.
        slot: its slot there, None where the node does not tell at once.
    """

    id: str
    process: str
    slot: int | None

    @property
    def place(self) -> int | str:
        """What `Node.result` finds the result by."""
        return self.id if self.slot is None else self.slot


class NotFound(AoError):
    """There surely is no such process: asked for by name, it may be made. Any other error of a
    look-up leaves that open, and nothing may be made."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a node is being waited for.

    Attributes:
        name: "resolve", "connect", "TLS", "sign", "schedule", "compute" and so on.
        where: the endpoint; on the built-in node the process.
        note: why it takes so long, "" where nothing is known ("busy (429), third try").
    """

    name: str
    where: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One row of `.ps`.

    Attributes:
        slots: number of slots scheduled.
        computed: number of slots evaluated.
        live: whether a worker holds its state right now.
        checkpoint: slot of the newest checkpoint, or None.
        disk: bytes of its log, results and checkpoints on disk.
        memory: bytes of its heap after the last message, 0 where unknown.
        waiting: number of handlings suspended in `receive`.
        prompt: the prompt it gave last, "" before the first.
        created: milliseconds since the Unix epoch.
    """

    id: str
    name: str
    owner: str
    module: str
    slots: int
    computed: int
    live: bool
    checkpoint: int | None
    disk: int
    memory: int
    waiting: int
    prompt: str
    created: int


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """Who the node is: its kind ("local", "hyperbeam", "legacynet"), address and endpoint."""

    kind: str
    address: str
    endpoint: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Module:
    """Code that processes are made of.

    Attributes:
        id: 43 characters base64url; on the local node the SHA-256 of the bytes.
        kind: "lua" or "wasm".
        name: what the user called it, "" where they did not.
        data: the source or the bytes.
    """

    id: str
    kind: str
    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One slot of a process: the message and, once computed, its result."""

    message: Message
    result: Result | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened on the node, in the order in which it happened.

    Attributes:
        kind: "result" (a slot was computed; `entry` says which), "spawned" (`process` now exists),
            "undelivered" (`detail` says why), "held" (a reply loop reached its bound) or "notice"
            (`detail` is a sentence for the user: recovery, a discarded checkpoint, cron catch-up).
        root: id of the message that caused it, "" for cron and notices.
        quiet: a result that printed nothing, went well and ended no suspended handling.
        load: gives `entry`; events come by the thousand and few are looked into.
    """

    kind: str
    process: str
    root: str
    detail: str = ""
    quiet: bool = False
    load: Callable[[], Entry] | None = None

    @property
    def entry(self) -> Entry | None:
        """The message and its result, for kind "result"."""
        return self.load() if self.load else None


@dataclass(frozen=True, slots=True)
class Undelivered:
    """An outbox message that the node kept instead of delivering it, and why."""

    process: str
    slot: int
    index: int
    reason: str
    message: Message


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process may use. `.limits` shows them.

    Attributes:
        seconds: compute time per message.
        memory: bytes of heap per process.
        pushes: messages that one root message may cause before the node holds the rest.
        gas: fuel that one message of a WASM process may use, counted exactly; 0 counts none.
        network: hold the network's limits on tags (128 tags, name 1,024 bytes, value 3,072 bytes).
    """

    seconds: float = 10.0
    memory: int = 512 * 1024 * 1024
    pushes: int = 10_000
    gas: int = 0
    network: bool = True


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

    async def results(self, process: str, after: int = -1, limit: int = 100) -> Sequence[Entry]:
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

    async def restore(self, data: bytes) -> ProcessInfo:
        """Take in an exported process (`.import`)."""

    async def delete(self, process: str) -> None:
        """Forget a process and its log."""


@dataclass(frozen=True, slots=True)
class Publication:
    """Code about to be made public, for good; nothing is sent yet.

    Attributes:
        item: signed; its id becomes the module's.
        destination: endpoint that it goes to.
        size: bytes on the wire.
        cost: what the destination asks for it, as a person reads it; "" where it does not say.
    """

    item: DataItem
    destination: str
    size: int
    cost: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What `.doctor` found out of one endpoint.

    Attributes:
        name: what the endpoint is ("node", "MU", "gateway"…).
        endpoint: its URL.
        ok: whether it can be used.
        detail: what was seen: version, time taken; or what is wrong.
        hint: what to do about it, "" where all is well.
    """

    name: str
    endpoint: str
    ok: bool
    detail: str
    hint: str = ""


class Verify(Enum):
    """Which answers of a remote node are taken: all but badly signed ones, those that its own key
    has signed, or those of the key that an attestation vouches for."""

    OFF = "off"
    ON = "on"
    ATTESTED = "attested"


@dataclass(frozen=True, slots=True)
class Pin:
    """The key that an attestation vouches for.

    Attributes:
        until: when it must be attested again, seconds since the Unix epoch.
    """

    address: str
    until: int


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

    async def doctor(self) -> Sequence[Finding]:
        """Look at each endpoint."""

    async def new_key(self) -> str:
        """Take the key that the node has now, whichever it was before; its address."""

    async def monitor(self, wallet: Wallet, process: str, on: bool) -> None:
        """Have the network run a process's cron messages, or stop (capability "monitor")."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One message of a trace.

    Attributes:
        entry: the message and its result, None for one that was not delivered.
        cause: index of the hop that sent it, -1 for the root.
        kept: what was not delivered, and why; None for one that was.
    """

    process: str
    entry: Entry | None
    cause: int
    kept: Undelivered | None = None


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
