"""What a node gives to who serves it over HTTP: parts of logs, and what it keeps. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from aoshell.nodes.transaction import Transaction
from aoshell.nodes.values import LogEntry, Place, Signed
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Tag


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a log. Each bound may be left out; all that are given hold.

    Attributes:
        after: behind this place.
        to: up to this place, it included.
        since: later than this time, milliseconds since the Unix epoch.
        until: no later than this time.
        newest_first: the order, and which end is cut off where there are more than the limit.
    """

    after: Place | None = None
    to: Place | None = None
    since: int | None = None
    until: int | None = None
    newest_first: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A message or an item that the node keeps.

    Attributes:
        seq: its number among all of the node's, as `Assignment.order`; an upload has one, too.
        process: id of the process in whose log it is, "" for an upload.
        message: without an assignment for an upload.
        signed: as it came; None for what a process or cron sent, and for an assigned message. A
            transaction of the base layer is an upload always.
        client: who handed it in, "" for the shell that has the node open.
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
        stored: the message; `signed` also where it was assigned from elsewhere on this node.
        assignment: an ANS-104 item that the node has signed.
        assigned: it was assigned to this process, which is not its target or had it before.
        exclude: names of its fields that the process was not given.
    """

    stored: Stored
    assignment: DataItem
    assigned: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Part of the computed messages of a process; `more`: the span has others behind these."""

    entries: tuple[LogEntry, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class SchedulePage:
    """Part of a process's schedule, without cron messages; `more`: the span has others."""

    entries: tuple[Scheduled, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class StoredPage:
    """What the node took behind a number, in order.

    Attributes:
        cuts: how many times messages were taken back (`.undo`, `.delete`). Where it has changed,
            numbers may have been given again: what was derived of them is to be forgotten.
        entries: oldest first; empty where nothing is behind the number.
        lowest: the lowest number that each of the last cuts took back, the newest last; of cuts
            that are longer ago it is not known.
    """

    cuts: int
    entries: tuple[Stored, ...]
    lowest: tuple[int, ...] = ()

    def stands(self, cuts: int) -> int:
        """Up to which number an earlier page still holds, whose `cuts` were these."""
        missed = self.cuts - cuts
        if not 0 <= missed <= len(self.lowest):
            return 0
        return min(self.lowest[-missed:], default=1 << 62) - 1 if missed else 1 << 62


@dataclass(frozen=True, slots=True)
class NetworkModule:
    """A module that the network knows by an id of its own.

    Attributes:
        id: the network's.
        module: id of what stands for it here: the built-in environment, or the bytes themselves.
        name: what it is, for people; "" where not known.
        tags: of its definition on the network, as far as they are known.
    """

    id: str
    module: str
    name: str
    tags: tuple[Tag, ...]
