"""Values that a node gives to the code that serves it over HTTP: parts of logs, and uploads."""

from __future__ import annotations

from dataclasses import dataclass

from aoshell.nodes.transaction import Transaction
from aoshell.nodes.values import LogEntry, Place, Signed
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Tag


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a log. Each bound may be left out; all given bounds hold.

    Attributes:
        after: after this place.
        to: up to this place, included.
        since: later than this time, milliseconds since the Unix epoch.
        until: no later than this time.
        newest_first: the order; the limit cuts off the other end.
    """

    after: Place | None = None
    to: Place | None = None
    since: int | None = None
    until: int | None = None
    newest_first: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A message or an upload that the node has.

    Attributes:
        seq: its number among all messages and uploads of the node, as `Assignment.order`.
        process: id of the process in whose log it is, "" for an upload.
        message: the message; an upload has no assignment.
        signed: the signed form as received; None for messages of processes and cron, and for an
            assigned message. A transaction of the base layer is always an upload.
        client: who sent it, "" for the shell that has the node open.
        timestamp: when the node took it, milliseconds since the Unix epoch.
    """

    seq: int
    process: str
    message: Message
    signed: Signed | Transaction | None
    client: str = ""
    timestamp: int = 0


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A message of a schedule with its assignment.

    Attributes:
        stored: the message; it has `signed` also if it was assigned from elsewhere on this node.
        assignment: an ANS-104 item that the node has signed.
        assigned: whether it was assigned to this process, and not sent to it.
        exclude: names of its fields that the process did not get.
    """

    stored: Stored
    assignment: DataItem
    assigned: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Part of the computed messages of a process; `more`: whether the span has more."""

    entries: tuple[LogEntry, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class SchedulePage:
    """Part of a process's schedule, without cron messages; `more`: whether the span has more."""

    entries: tuple[Scheduled, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class StoredPage:
    """Messages and uploads after a number, in order.

    Attributes:
        cuts: how many times messages were taken back (`.undo`, `.delete`). If it has changed,
            numbers may have been used again, so drop what was derived from them.
        entries: oldest first; empty if there are none after the number.
        lowest: the lowest number that each of the last cuts took back, the newest last; not known
            for older cuts.
    """

    cuts: int
    entries: tuple[Stored, ...]
    lowest: tuple[int, ...] = ()

    def stands(self, cuts: int) -> int:
        """The number up to which an earlier page, with these `cuts`, is still valid."""
        missed = self.cuts - cuts
        if not 0 <= missed <= len(self.lowest):
            return 0
        return min(self.lowest[-missed:], default=1 << 62) - 1 if missed else 1 << 62


@dataclass(frozen=True, slots=True)
class NetworkModule:
    """A module that has another id on the network.

    Attributes:
        id: its id on the network.
        module: id of the module used here: the built-in environment, or the same bytes.
        name: its name, for users; "" if not known.
        tags: tags of its definition on the network, as far as they are known.
    """

    id: str
    module: str
    name: str
    tags: tuple[Tag, ...]
