"""Messages and results, which all packages share.

AO's strings may hold any bytes. Here they are `str`, decoded as UTF-8 with `surrogateescape`, so
that every byte survives decoding and encoding. `Message.data` is `bytes`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MAX_TAGS = 128
MAX_TAG_NAME = 1024
MAX_TAG_VALUE = 3072


@dataclass(frozen=True, slots=True)
class Tag:
    """One name/value pair of a message. Order and duplicates are kept."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a scheduler placed a message.

    Attributes:
        process: id of the process, 43 characters base64url.
        slot: position in the process's log, from 0 (its own definition). A cron message has the
            slot that it follows.
        tick: 0 for a message, 1… for the cron messages placed after that slot.
        timestamp: milliseconds since the Unix epoch.
        block_height: Arweave block height, synthetic on the local node.
        hash_chain: base64url SHA-256 over the previous link and the message id.
        order: its number among the messages of all processes of the node, 0 where not known.
        client: who sent it from this computer (`nodes.clients`), "" where not known.
    """

    process: str
    slot: int
    tick: int
    timestamp: int
    block_height: int
    hash_chain: str
    order: int = 0
    client: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a process receives it.

    Attributes:
        id: 43 characters base64url; empty for dry runs and cron messages.
        owner: address whose key signed it (the node's for pushed messages).
        from_: the process that sent it, or the owner.
        target: the address it was sent to ("" for a process definition).
        tags: in order.
        data: the body.
        anchor: free text from the sender (aos: its reference, 32 digits).
        pushed_for: id of the root message that caused it, "" for a root itself.
        assignment: None before it is scheduled.
    """

    id: str
    owner: str
    from_: str
    target: str
    tags: tuple[Tag, ...]
    data: bytes
    anchor: str = ""
    pushed_for: str = ""
    assignment: Assignment | None = None

    @property
    def placed(self) -> Assignment:
        """The assignment of a message that is in a log."""
        assert self.assignment is not None
        return self.assignment

    def tag(self, name: str, default: str = "") -> str:
        """The value of the first tag of that name, compared exactly."""
        return next((tag.value for tag in self.tags if tag.name == name), default)


def by_lower_name(tags: Iterable[Tag]) -> dict[str, str]:
    """The values of tags by their names in lower case; of equal names the last counts."""
    return {tag.name.lower(): tag.value for tag in tags}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a process put into its outbox: a message, or a spawn where `spawn` is true."""

    target: str
    tags: tuple[Tag, ...]
    data: bytes
    anchor: str = ""
    spawn: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What one message did.

    Attributes:
        process, slot, tick: those of the message; slot -1 where the node does not report it.
        outcome: "ok"; "error" (the handler raised), "time", "memory", "gas" (limits) or "crash"
            (the worker died). Any outcome but "ok" left the process as it was.
        output: what the process printed or answered, untrusted text with SGR colours.
        prompt: the process's own prompt after it, "" where it gave none.
        error: the error text when outcome is not "ok".
        messages: the outbox, in order, spawns included.
        assignments: (message id, process ids) pairs that `ao.assign` asked for.
        suspended: True when the handler waits for another message (`receive`).
        resumed: ids of earlier messages whose suspended handling ended in this slot.
        milliseconds: compute time, wall clock; 0 of a message that was stopped before it began.
        memory: bytes of the process's heap afterwards.
        gas: fuel used, 0 where it is not counted.
        print: True where the node says that the output is for those who watch the process, not the
            answer to an Eval.
        returned: what an Eval returned, as text, where `output` shows nothing of it (nil, false,
            ""); "" where it returned nothing, or the process does not tell.
    """

    process: str
    slot: int
    tick: int
    outcome: str
    output: str
    prompt: str
    error: str
    messages: tuple[Outgoing, ...]
    assignments: tuple[tuple[str, tuple[str, ...]], ...]
    suspended: bool
    resumed: tuple[str, ...]
    milliseconds: float
    memory: int
    gas: int = 0
    print: bool = False
    returned: str = ""

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"


def tags_of(pairs: Iterable[tuple[str, str]]) -> tuple[Tag, ...]:
    """Tags from (name, value) pairs."""
    return tuple(Tag(name, value) for name, value in pairs)


def text(raw: bytes) -> str:
    """Bytes as text, losslessly (UTF-8, surrogateescape)."""
    return raw.decode("utf-8", "surrogateescape")


def raw(text: str) -> bytes:
    """The bytes of `text`, the inverse of `text()`."""
    return text.encode("utf-8", "surrogateescape")


def printable(text: str) -> str:
    """Text for others to read: bytes that are no UTF-8 become U+FFFD."""
    return raw(text).decode("utf-8", "replace")
