"""Messages and their consequences: .trace and .log."""

from __future__ import annotations

from collections.abc import Sequence

from aoshell.errors import UsageError
from aoshell.nodes.values import Hop, LogEntry
from aoshell.protocol.message import Message, Outgoing, Result, Tag, text
from aoshell.shell.commands import command, usage_error
from aoshell.shell.commands.messages import message_value
from aoshell.shell.commands.workbench import workbench_of
from aoshell.shell.feed import short_id
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.session import Session
from aoshell.shell.view.errors_view import split_error, without_colours
from aoshell.shell.view.text import format_size

_WIDTH = 60  # columns of what a hop printed
_LOOKED_AT = 4096  # characters of it that are put into one line


@command("trace", "[SLOT|MESSAGE]")
async def trace(session: Session, rest: str) -> CommandOutput:
    """Show all that a line caused, as a tree across processes.

    Without an argument, of the last line; else of a slot of the attached process, or of any message
    by its id. What a fork has copied is shown in the log of the attached process.
    """
    if len(rest.split()) > 1:
        raise usage_error("trace")
    attached = session.process.id if session.process else ""
    hops = await workbench_of(session).trace(await _message(session, rest), attached)
    names = {info.id: info.name for info in await session.node.processes()}
    return CommandOutput([_value(hop) for hop in hops], text="\n".join(_tree(hops, names)))


async def _message(session: Session, rest: str) -> str:
    if not rest:
        last = session.last_line
        if not last:
            raise UsageError("no line was sent yet", hint=".trace SLOT or .trace MESSAGE")
        return last
    if not rest.isdecimal():
        return rest
    found = await session.node.schedule(session.attached.id, int(rest), int(rest))
    if not found:
        raise UsageError(f"there is no slot {rest}", hint=".messages lists slots")
    return found[0].id


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
        return f"✗ {what} to {short_id(message.target) or 'nobody'}: {hop.kept.reason}"
    assert hop.entry is not None
    message, result = hop.entry.message, hop.entry.result
    name = names.get(hop.process) or short_id(hop.process)
    slot = message.assignment.slot if message.assignment else "?"
    step = f"{name} #{slot} {message.tag('Action') or message.tag('Type') or '-'}"
    if result is None:
        return f"{step} · not computed yet"
    mark = "" if result.ok else "✗ "
    words = [f"{mark}{step}", f"{result.milliseconds:.1f} ms"]
    # All in one line: of a table, the first line alone is `{`.
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


@command("log", "SLOT")
async def log(session: Session, rest: str) -> CommandOutput:
    """Show all of a slot of the attached process: the message, its result, and what that cost."""
    if not rest.isdecimal():
        raise usage_error("log")
    process, slot = session.attached.id, int(rest)
    messages = await session.node.schedule(process, slot, slot)
    if not messages:
        raise UsageError(f"there is no slot {slot}", hint=".messages lists slots")
    result = await session.node.result(process, slot)
    entry = LogEntry(messages[0], result)
    lines = _shown(messages[0], result, " for the request" if session.remote else "")
    return CommandOutput(_whole(entry), text="\n".join(lines))


def _shown(message: Message, result: Result, what: str) -> list[str]:
    """A slot in lines.

    Args:
        what: is measured, where it is not compute time.
    """
    placed = message.assignment
    lines = [f"message {message.id}", f"  from    {message.from_}"]
    if message.owner != message.from_:
        lines.append(f"  owner   {message.owner}")
    if placed:
        lines.append(
            f"  placed  slot {placed.slot}, {placed.timestamp} ms, block {placed.block_height}"
        )
    lines += [f"  caused by {message.pushed_for}"] if message.pushed_for else []
    lines += _tags(message.tags) + _data(message.data)
    cost = [f"{result.milliseconds:.1f} ms{what}"] if result.milliseconds or not what else []
    cost += [f"{format_size(result.memory)} of memory"] if result.memory else []
    cost += [f"{result.gas} gas"] if result.gas else []
    lines.append(", ".join([f"result {result.outcome}", *cost]))
    lines += [
        f"  {line}" for line in (result.output or result.error).rstrip("\n").split("\n") if line
    ]
    for sent in result.messages:
        lines += _outgoing(sent)
    return lines


def _outgoing(sent: Outgoing) -> list[str]:
    kind = "spawns" if sent.spawn else f"sends to {sent.target or 'nobody'}"
    return [f"{kind}", *_tags(sent.tags), *_data(sent.data)]


def _tags(tags: Sequence[Tag]) -> list[str]:
    width = max((len(tag.name) for tag in tags), default=0)
    return [f"  {tag.name:{width}}  {tag.value}" for tag in tags]


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
    }
