"""Messages and their consequences: .trace and .log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from aoshell.nodes.values import Hop, LogEntry
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import Message, Outgoing, Result, Tag, text
from aoshell.shell.attached.feed import named_id
from aoshell.shell.attached.session import Session
from aoshell.shell.commands import command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.messages import message_value
from aoshell.shell.commands.places import find_place, last_sent
from aoshell.shell.commands.table import PLACE
from aoshell.shell.commands.workbench import workbench_of
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.ports.forking import foreign_note
from aoshell.shell.view.errors_view import split_error
from aoshell.shell.view.text import format_size, without_colours
from aoshell.shell.view.values import assignment_values

_WIDTH = 60  # columns of what a hop printed
_LOOKED_AT = 4096  # characters of it that are put into one line


@command("trace")
async def trace(session: Session, given: Given) -> CommandOutput:
    """Show everything that a message caused, as a tree across processes.

    By default it is the last line, or what arrived since then. Messages that a fork has copied are
    shown in the log of the fork.
    """
    hops = await workbench_of(session).trace(*await _message(session, given[PLACE]))
    shown = [hop.process for hop in hops]
    shown += [hop.kept.message.target for hop in hops if hop.kept]
    names = await session.naming.of(shown)
    return CommandOutput(
        [_value(hop) for hop in hops],
        text="\n".join(_tree(hops, names)),
        note=await _elsewhere(session, hops),
    )


async def _elsewhere(session: Session, hops: Sequence[Hop]) -> str:
    """A note if the first message was scheduled elsewhere: its consequences are there."""
    first = hops[0].entry.message.assignment if hops and hops[0].entry else None
    if first is None:
        return ""
    return foreign_note(await session.node.find(first.process), first.slot)


async def _message(session: Session, reference: str) -> tuple[str, str]:
    """The process and the id of the message that is meant."""
    if not reference and not session.feed.arrived and (sent := await last_sent(session)):
        return sent.id, sent.process
    place = await find_place(session, reference)
    id, slot = place.process.id, place.slot
    return (await session.node.schedule(id, slot, slot))[0].id, id


def _tree(hops: Sequence[Hop], names: dict[str, str]) -> list[str]:
    """A line for each hop, below the one that caused it."""
    below: dict[int, list[int]] = {}
    for place, hop in enumerate(hops):
        below.setdefault(hop.cause, []).append(place)
    lines: list[str] = []
    # Depth first without recursion: a chain may be as long as a trace.
    stack = [(place, "", "") for place in reversed(below.get(-1, []))]
    while stack:
        place, lead, under = stack.pop()
        lines.append(lead + _line(hops[place], names))
        members = below.get(place, [])
        for number, member in reversed(list(enumerate(members))):
            last = number == len(members) - 1
            stack.append(
                (member, under + ("└─ " if last else "├─ "), under + ("   " if last else "│  "))
            )
    return lines


def _line(hop: Hop, names: dict[str, str]) -> str:
    if hop.kept is not None:
        message = hop.kept.message
        what = message.tag("Action") or message.tag("Type") or "message"
        target = named_id(message.target, names.get(message.target, "")) or "nobody"
        return f"✗ {what} to {target}: {hop.kept.reason}"
    assert hop.entry is not None
    message, result = hop.entry.message, hop.entry.result
    name = named_id(hop.process, names.get(hop.process, ""))
    slot = message.assignment.slot if message.assignment else "?"
    step = f"{name} #{slot} {message.tag('Action') or message.tag('Type') or '-'}"
    if result is None:
        return f"{step} · not computed yet"
    mark = "" if result.ok else "✗ "
    words = [f"{mark}{step}", f"{result.milliseconds:.1f} ms"]
    # All in one line: the first line of a table alone would be `{`.
    shown = without_colours(result.output) if result.ok else split_error(result.error)[1]
    if line := _in_one_line(shown):
        words.append(line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…")
    if result.suspended:
        words.append("waits")
    return " · ".join(words)


def _in_one_line(text: str) -> str:
    return " ".join(text[:_LOOKED_AT].split())


def _value(hop: Hop) -> dict[str, object]:
    value: dict[str, object] = {"process": hop.process, "cause": hop.cause}
    if hop.kept is not None:
        kept = hop.kept
        return value | {"kept": kept.reason, "target": kept.message.target}
    assert hop.entry is not None
    return value | message_value(hop.entry.message, hop.entry.result)


@command("log")
async def log(session: Session, given: Given) -> CommandOutput:
    """Show everything about a slot: the message, its result, and its cost.

    By default it is the last event, as for .why.
    """
    place = await find_place(session, given[PLACE])
    process, slot = place.process.id, place.slot
    messages = await session.node.schedule(process, slot, slot)
    result = await session.node.result(process, slot)
    entry = LogEntry(messages[0], result)
    names = await session.naming.of(_ids(messages[0], result))
    lines = _Slot(names, session.remote).lines(messages[0], result)
    lines.insert(0, f"{named_id(process, place.process.name)} slot {slot}")
    note = foreign_note(place.process, slot)
    return CommandOutput(_whole(entry), text="\n".join(lines), verbatim=True, note=note)


def _ids(message: Message, result: Result) -> Iterator[str]:
    """The ids in a slot."""
    yield from (message.from_, message.owner)
    tags = [*message.tags, *(tag for sent in result.messages for tag in sent.tags)]
    yield from (tag.value for tag in tags if has_id_form(tag.value))
    yield from (sent.target for sent in result.messages)
    yield from (id for _message, processes in result.assignments for id in processes)


@dataclass(frozen=True, slots=True)
class _Slot:
    """Shows a slot in lines.

    Attributes:
        names: by id.
        remote: the time shown is that of the request.
    """

    names: Mapping[str, str]
    remote: bool

    def lines(self, message: Message, result: Result) -> list[str]:
        """The message, what it cost, and what it sent."""
        placed = message.assignment
        lines = [f"message {message.id}", f"  from    {self._id(message.from_)}"]
        if message.owner != message.from_:
            lines.append(f"  owner   {self._id(message.owner)}")
        if placed:
            lines.append(
                f"  placed  slot {placed.slot}, {placed.timestamp} ms, block {placed.block_height}"
            )
        lines += [f"  caused by {message.pushed_for}"] if message.pushed_for else []
        lines += self._tags(message.tags) + _data(message.data)
        lines.append(", ".join([f"result {result.outcome}", *self._costs(result)]))
        lines += [
            f"  {line}" for line in (result.output or result.error).rstrip("\n").split("\n") if line
        ]
        for sent in result.messages:
            lines += self._outgoing(sent)
        for id, processes in result.assignments:
            lines.append(f"assigns {id} to {', '.join(map(self._id, processes)) or 'nobody'}")
        return lines

    def _costs(self, result: Result) -> list[str]:
        what = " for the request" if self.remote else ""
        cost = [f"{result.milliseconds:.1f} ms{what}"] if result.milliseconds or not what else []
        cost += [f"{format_size(result.memory)} of memory"] if result.memory else []
        return cost + ([f"{result.gas} gas"] if result.gas else [])

    def _outgoing(self, sent: Outgoing) -> list[str]:
        kind = "spawns" if sent.spawn else f"sends to {self._id(sent.target) or 'nobody'}"
        return [kind, *self._tags(sent.tags), *_data(sent.data)]

    def _tags(self, tags: Sequence[Tag]) -> list[str]:
        width = max((len(tag.name) for tag in tags), default=0)
        return [f"  {tag.name:{width}}  {self._id(tag.value)}" for tag in tags]

    def _id(self, id: str) -> str:
        """A whole id with its name, if one is known; other text unchanged."""
        name = self.names.get(id, "")
        return f"{id} ({name})" if name else id


def _data(data: bytes) -> list[str]:
    if not data:
        return []
    return [f"  data, {len(data)} bytes:", *(f"    {line}" for line in text(data).split("\n"))]


def _whole(entry: LogEntry) -> dict[str, object]:
    message, result = entry.message, entry.result
    assert result is not None
    return message_value(message, result) | {
        "owner": message.owner,
        "target": message.target,
        "tags": [[tag.name, tag.value] for tag in message.tags],
        "data": text(message.data),
        "sent": [
            {
                "target": sent.target,
                "spawn": sent.spawn,
                "tags": [[tag.name, tag.value] for tag in sent.tags],
                "data": text(sent.data),
            }
            for sent in result.messages
        ],
        "assignments": assignment_values(result),
    }
