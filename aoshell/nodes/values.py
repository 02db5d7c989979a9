"""Arguments and return values of a node: data without behaviour.

Small ones are named tuples, as each data class costs 0.4 ms at the start. Those that need `replace`
or `asdict` are data classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias

from aoshell.errors import AoError
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Result, Tag, tags_of

SDK = "aoshell"


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """A signed message in HyperBEAM's httpsig form: what is posted, and its id.

    Attributes:
        id: 43 characters base64url, the id of the wallet's signature.
        headers: names and values, in order.
        body: the bytes after them.
    """

    id: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)


# A signed message, in the form that its node accepts.
Signed: TypeAlias = DataItem | HttpMessage

# The result of `Node.sign`. A message for a fork or a stand-in of a live process is not signed.
Sent: TypeAlias = Signed | Message


def envelope(kind: str, variant: str = "ao.TN.1") -> tuple[Tag, ...]:
    """The tags that every AO message has; kind is "Message", "Process" or "Module"."""
    pairs = (("Data-Protocol", "ao"), ("Variant", variant), ("Type", kind), ("SDK", SDK))
    return tags_of(pairs)


class Receipt(NamedTuple):
    """A message that the node has accepted and will not lose.

    Attributes:
        id: id of the message (for a spawn: of the process).
        process: id of the process on which it was scheduled.
        slot: its slot there, None if the node does not report it at once.
    """

    id: str
    process: str
    slot: int | None

    @property
    def place(self) -> int | str:
        """The argument `place` for `Node.result`."""
        return self.id if self.slot is None else self.slot


class NotFoundError(AoError):
    """The process does not exist, so creating it is safe.

    Any other look-up error leaves that unknown.
    """


class WithheldError(AoError):
    """Data is here, but not given out: it has a signature for a fork of a live process."""


class NameTakenError(AoError):
    """Another process already has the name."""


class Stage(NamedTuple):
    """What a node is doing while a caller waits.

    Attributes:
        name: "resolve", "connect", "TLS", "sign", "schedule", "compute" and so on.
        where: the endpoint; on the built-in node the process.
        note: why it takes long ("busy (429); try 2 of 5 in 1.0 s"), "" if not known.
    """

    name: str
    where: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class ForkPoint:
    """Where a fork of a live process begins.

    Attributes:
        source: URL of the server that gave its log.
        slot: the last slot from there; later slots were scheduled here.
        timestamp: time of that slot, milliseconds since the Unix epoch.
        unsigned: number of unsigned messages up to there, for which only the source vouches.
        vouched: who vouches for the memory that it began with; "" if it began at slot 0.
        memory: the slot after which that memory was taken, -1 for none.
        exact: whether its guest is called exactly as the network's compute unit does.
        as_node: whether its Lua is computed exactly as its HyperBEAM node does.
    """

    source: str
    slot: int
    timestamp: int
    unsigned: int
    vouched: str = ""
    memory: int = -1
    exact: bool = False
    as_node: bool = False


class Rerun(NamedTuple):
    """Results of slots with other code (`Workbench.rerun`).

    Attributes:
        begin: the slot of the checkpoint that it began with, -1 if it began with the definition.
        results: results of the slots after the code, and of cron messages between them.
    """

    begin: int
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """Facts about a process, as `.ps` shows them.

    Attributes:
        slots: number of slots scheduled.
        computed: number of slots evaluated.
        live: whether a worker has its state in memory now.
        checkpoint: slot of the newest checkpoint, or None.
        disk: bytes of its log, results and checkpoints on disk.
        memory: bytes of its heap after the last message, 0 if not known.
        waiting: number of handlers suspended in `receive`.
        prompt: the last prompt it returned, "" before the first.
        created: milliseconds since the Unix epoch.
        alias: the network's id of its module if that is not `module`, else "".
        authority: address that owns messages that processes send to it; "" for the node's own.
        monitored: whether its cron runs.
        network: whether a client spawned it over HTTP, or a process of that kind did.
        origin: where it was forked from; None if it was made here.
        tags_as_sent: whether its handlers also get tags under the names as they were sent.
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
    alias: str = ""
    authority: str = ""
    monitored: bool = True
    network: bool = False
    origin: ForkPoint | None = None
    tags_as_sent: bool = False


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """The node: its kind ("local", "hyperbeam", "legacynet"), address, endpoint and details."""

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
        name: the name that the user gave it, "" for none.
        data: the source or the bytes.
    """

    id: str
    kind: str
    name: str
    data: bytes


class LogEntry(NamedTuple):
    """One slot of a process: the message and, once computed, its result."""

    message: Message
    result: Result | None


class Place(NamedTuple):
    """A place in a process's log: a slot, and the cron message after it (0: the slot's own)."""

    slot: int
    tick: int = 0


class Event(NamedTuple):
    """Something that happened on the node, in the order in which it happened.

    Attributes:
        kind: "result" (a slot was computed, see `entry`), "spawned" (`process` now exists),
            "undelivered" (`detail` is the reason), "held" (a reply loop reached its bound) or
            "notice" (`detail` is a sentence for the user: recovery, a discarded checkpoint, cron
            catch-up).
        root: id of the message that caused it, "" for cron and notices.
        quiet: a result without output or error that ended no suspended handler.
        load: returns `entry`; called only when needed, as few of many events are read.
        by: the client (`nodes.clients`) whose deed a notice reports, which does not get that notice
            itself; "" for none.
    """

    kind: str
    process: str
    root: str
    detail: str = ""
    quiet: bool = False
    load: Callable[[], LogEntry] | None = None
    by: str = ""

    @property
    def entry(self) -> LogEntry | None:
        """The message and its result, for kind "result"."""
        return self.load() if self.load else None


@dataclass(frozen=True, slots=True)
class Undelivered:
    """An outbox message that the node could not deliver and keeps, with the reason."""

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
        gas: fuel that one message of a WASM process may use, counted exactly; 0 for no limit.
        network: enforce the network's limits on tags (128 tags, names of 1,024 bytes, values of
            3,072 bytes).
        workers: processes that may have a worker at a time; 0 for as many as the machine allows.
    """

    seconds: float = 10.0
    memory: int = 512 * 1024 * 1024
    pushes: int = 10_000
    gas: int = 0
    network: bool = True
    workers: int = 0


class Publication(NamedTuple):
    """Code ready to be published, which cannot be undone. Nothing is sent yet.

    Attributes:
        item: the signed code; its id becomes that of the module. A DataItem stays on Arweave for
            ever; a message for the node itself stays as long as the node keeps it.
        destination: the endpoint for the upload.
        size: bytes on the wire.
        cost: the destination's price, for people; "" if it reports none.
        permanent: whether it goes to Arweave, and stays there for ever.
    """

    item: Signed
    destination: str
    size: int
    cost: str
    permanent: bool = True


class EndpointFinding(NamedTuple):
    """What `.doctor` found at one endpoint.

    Attributes:
        name: what the endpoint is ("node", "MU", "gateway"…).
        endpoint: its URL.
        ok: whether it can be used.
        detail: what it answered and how fast, or what is wrong.
        hint: what to do about it, "" if it can be used.
    """

    name: str
    endpoint: str
    ok: bool
    detail: str
    hint: str = ""


class Verify(Enum):
    """Which answers of a remote node are accepted.

    OFF: all except those with a bad signature. ON: those that the node's own key has signed.
    ATTESTED: those that the attested key has signed.
    """

    OFF = "off"
    ON = "on"
    ATTESTED = "attested"


class Pin(NamedTuple):
    """The attested key of a node.

    Attributes:
        until: when it must be attested again, seconds since the Unix epoch.
    """

    address: str
    until: int


class Hop(NamedTuple):
    """One message of a trace.

    Attributes:
        entry: the message and its result, None if it was not delivered.
        cause: index of the hop that sent it, -1 for the root.
        kept: the message that was not delivered, with the reason; None if it was delivered.
    """

    process: str
    entry: LogEntry | None
    cause: int
    kept: Undelivered | None = None
