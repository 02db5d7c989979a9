"""What a node takes and gives: values without behaviour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from aoshell.errors import AoError
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Result, Tag, tags_of

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


class NotFoundError(AoError):
    """The process does not exist, so creating it is safe.

    Any other look-up error leaves that unknown.
    """


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
class LogEntry:
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
    load: Callable[[], LogEntry] | None = None

    @property
    def entry(self) -> LogEntry | None:
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


@dataclass(frozen=True, slots=True)
class Publication:
    """Code about to be made public; nothing is sent yet.

    Attributes:
        item: signed; its id becomes the module's. A DataItem stays on Arweave for good, a message
            for the node itself for as long as the node keeps it.
        destination: endpoint that it goes to.
        size: bytes on the wire.
        cost: what the destination asks for it, as a person reads it; "" where it does not say.
    """

    item: Signed
    destination: str
    size: int
    cost: str


@dataclass(frozen=True, slots=True)
class EndpointFinding:
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


@dataclass(frozen=True, slots=True)
class Hop:
    """One message of a trace.

    Attributes:
        entry: the message and its result, None for one that was not delivered.
        cause: index of the hop that sent it, -1 for the root.
        kept: what was not delivered, and why; None for one that was.
    """

    process: str
    entry: LogEntry | None
    cause: int
    kept: Undelivered | None = None
