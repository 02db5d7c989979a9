"""Rows of the database, and the batch of them that one transaction writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

# In the table of facts: number of the process of which a part is there, as it is being added or
# deleted; 0 for none. The next start deletes that part.
PARTIAL = "adding"

HTTPSIG = "httpsig"
OF_UNIT = "unit"  # a message to a WASM fork, which is called as the network's compute unit does
OF_NODE = "node"  # from the log of a HyperBEAM node: `sandbox.luerl.pack` of the assignment
FORMS = ("", HTTPSIG, OF_UNIT, OF_NODE)  # "" is an ANS-104 item
AS_NODE = '{"As":"node"}'  # `Origin.module` of a Lua process that is computed as its node does
TRANSACTION = "tx"  # the form of an upload that is a transaction of the base layer

NETWORK = "ao"
CHAINS = ("", NETWORK)  # forms of hash chains: our own; the one that units of the network check


class Arrival(NamedTuple):
    """How a message came here.

    Attributes:
        signed: the signed bytes, None for an unsigned message.
        form: the form of these bytes: one of `FORMS`.
        client: who sent it.
    """

    signed: bytes | None
    form: str = ""
    client: str = ""


UNSIGNED = Arrival(None)


class Logged(NamedTuple):
    """A scheduled message. Fields are the columns of `log`; `body` is a wire list as bytes."""

    seq: int
    process: int
    slot: int
    tick: int
    id: str
    cause: int | None
    idx: int | None
    root: int
    ordinal: int
    timestamp: int
    height: int
    chain: str
    signed: bytes | None
    body: bytes
    client: str = ""
    form: str = ""
    assignment: str = ""
    assigned: bytes | None = None


def mark_of(logged: Logged) -> str:
    """A text that tells messages with the same number apart, before and after an undo."""
    # A link of our own chain depends on its message; in the network's, only the assignment does.
    assignment = f":{logged.assignment}" if logged.assignment else ""
    return f"{logged.chain}:{logged.tick}:{logged.timestamp}{assignment}"


# Outcomes that depend on limits or the machine, not on the log alone.
STOPPED = ("time", "memory", "gas", "crash")


class Computed(NamedTuple):
    """A result. Fields are the columns of `results`."""

    seq: int
    outcome: str
    milliseconds: float
    memory: int
    gas: int
    waits: int
    body: bytes


# Why a message is kept: it cannot be delivered; until a bound is raised; until its module has come;
# until the user releases it from a queue.
LOST, HELD, FETCHING, QUEUED = range(4)


class Kept(NamedTuple):
    """An outbox message that was not delivered. Fields are the columns of `kept`."""

    cause: int
    idx: int
    reason: str
    held: int  # LOST, HELD, FETCHING or QUEUED
    target: str
    id: str
    body: bytes


class ProcessRow(NamedTuple):
    """A process. Fields are the columns of `processes`."""

    number: int
    id: str
    name: str
    owner: str
    module: str
    environment: str
    created: int
    cron: str
    memory: int
    alias: str = ""
    authority: str = ""
    chain: str = ""
    monitored: int = 1


class Origin(NamedTuple):
    """The origin of a fork. Fields are the columns of `origins`."""

    process: int
    source: str
    slot: int
    timestamp: int
    height: int
    chain: str
    epoch: int
    unsigned: int
    vouched: str = ""
    memory: str = ""
    memory_slot: int = -1
    module: str = ""


class Upload(NamedTuple):
    """A signed item that is in no log. Fields are the columns of `uploads`."""

    seq: int
    id: str
    timestamp: int
    client: str
    form: str
    signed: bytes


@dataclass(slots=True)
class Batch:
    """The rows that one transaction writes."""

    processes: list[ProcessRow] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    log: list[Logged] = field(default_factory=list)
    results: list[Computed] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    freed: list[tuple[int, int]] = field(default_factory=list)  # (cause, idx) no longer kept
    cron: list[tuple[str, int]] = field(default_factory=list)  # (cron, process number)
    uploads: list[Upload] = field(default_factory=list)
    monitored: list[tuple[bool, int]] = field(default_factory=list)  # (on, process number)
    renamed: list[tuple[str, int]] = field(default_factory=list)  # (name, process number)
    facts: dict[str, int | str] = field(default_factory=dict)  # small facts about the node
    modules: list[tuple[str, str, bytes, int]] = field(default_factory=list)  # columns of `modules`
    names: list[tuple[str, str]] = field(default_factory=list)  # (name, id) of modules
    computed_to: int | None = None  # every seq up to here has its result
