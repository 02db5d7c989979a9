"""Experiments: .undo, .at, .snapshot, .restore, .warp, .tick, .queue, .step, .mock."""

from __future__ import annotations

import os
import re
from math import isfinite

from aoshell.errors import UsageError
from aoshell.nodes.base import Workbench
from aoshell.nodes.values import ProcessInfo
from aoshell.protocol.encoding import brief
from aoshell.shell.attached.feed import named_id
from aoshell.shell.attached.journal import Deed
from aoshell.shell.attached.session import Session
from aoshell.shell.code.bundle import bundle, refuse_unloadable
from aoshell.shell.code.files import path_of_argument
from aoshell.shell.commands import command
from aoshell.shell.commands.code import read_only
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.places import process_or_attached
from aoshell.shell.commands.processes import local_verbs, record_deed
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.ports.forking import fork_text
from aoshell.shell.table import Table
from aoshell.shell.view.values import process_value

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_EMPTY = {
    "": "nothing waits in its queue",
    "on": "what other processes send to it now waits; .step delivers it",
    "off": "what other processes send to it is delivered as it comes",
}
_NAMED = 100  # messages that .undo takes back and whose senders it looks up
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")


def workbench_of(session: Session) -> Workbench:
    """The workbench of the built-in node. Raises UnsupportedError on another."""
    return local_verbs(session).workbench


@command("undo")
async def undo(session: Session, given: Given) -> CommandOutput:
    """Take back the last slot of the attached process, or SLOT and all after it.

    What these messages sent to other processes stays there. A copy of the old state is kept.
    """
    process = session.attached
    slot = given.number("SLOT", await session.node.slots(process.id) - 1)
    return await _undone(session, process, slot)


async def _undone(session: Session, process: ProcessInfo, slot: int) -> CommandOutput:
    before = await session.node.slots(process.id)
    others = await _senders(session, process.id, slot) if 0 < slot < before else []
    path = await workbench_of(session).undo(process.id, slot)
    record_deed(session, "", f"what .undo took back of {process.name or process.id}")
    await session.attach(await session.node.find(process.id))
    slots = f"slots {slot} to {before - 1} were" if before - slot > 1 else f"slot {slot} was"
    value = {"process": process.id, "slot": slot, "taken_back": before - slot, "kept": path}
    text = f"{slots} taken back"
    if others:
        what = "some of them" if before - slot > 1 else "it"
        text += f"; {', '.join(others)} sent {what}"
    notes = (f"kept in {path}, for .import", fork_text(process))
    return CommandOutput(value, text=text, note="\n".join(filter(None, notes)))


async def _senders(session: Session, process: str, slot: int) -> list[str]:
    """The other clients (`nodes.clients`) that sent the first _NAMED messages from a slot on."""
    entries = await session.node.schedule(process, slot, slot + _NAMED - 1)
    clients = (message.assignment.client for message in entries if message.assignment)
    return [client for client in dict.fromkeys(clients) if _is_other(client)]


def _is_other(client: str) -> bool:
    """Whether a client, such as "pts/3:4711", is another process than this one; "" is nobody."""
    return bool(client) and client.rpartition(":")[2] != str(os.getpid())


@command("at")
async def at(session: Session, given: Given) -> CommandOutput:
    """Evaluate Lua read-only in the state after a slot."""
    return await read_only(session, given)


@command("snapshot")
async def snapshot(session: Session, given: Given) -> CommandOutput:
    """Name the present state of the attached process, or list these names."""
    process, on = session.attached, workbench_of(session)
    if name := given["NAME"]:
        slot = await on.mark(process.id, name)
        return CommandOutput({"name": name, "slot": slot}, text=f"{name} is slot {slot}")
    marks = await on.marks(process.id)
    rows = tuple((name, str(slot)) for name, slot in marks.items())
    table = Table(("NAME", "SLOT"), rows, frozenset({"SLOT"}))
    return (
        CommandOutput(dict(marks), table=table)
        if rows
        else CommandOutput({}, text="nothing is remembered")
    )


@command("restore")
async def restore(session: Session, given: Given) -> CommandOutput:
    """Go back to a state that .snapshot remembered; later slots are taken back, as by .undo."""
    process = session.attached
    marks = await workbench_of(session).marks(process.id)
    name = given["SNAPSHOT"]
    if name not in marks:
        hint = f"there is {', '.join(marks)}" if marks else ".snapshot NAME makes one"
        raise UsageError(f"there is no snapshot {name}", hint=hint)
    slot = marks[name]
    if slot == await session.node.slots(process.id) - 1:
        return CommandOutput(
            {"process": process.id, "slot": slot}, text=f"it is at slot {slot} already"
        )
    return await _undone(session, process, slot + 1)


@command("warp")
async def warp(session: Session, given: Given) -> CommandOutput:
    """Set the clock of this node forward: .warp 1h30m. Cron messages that become due are sent.

    The clock stays ahead, even after a restart: time never goes back.
    """
    span = parse_duration(given["DURATION"])
    ahead = await workbench_of(session).warp(span)
    record_deed(session, "advance", number=span)
    return CommandOutput({"ahead_ms": ahead}, text=f"the clock is {duration_text(ahead)} ahead")


@command("tick")
async def tick(session: Session, given: Given) -> CommandOutput:
    """Send the cron messages of a process now, due or not."""
    process = await process_or_attached(session, given["PROCESS"])
    count = await workbench_of(session).tick(process.id)
    sent = "1 cron message was sent" if count == 1 else f"{count} cron messages were sent"
    return CommandOutput({"process": process.id, "ticks": count}, text=sent)


@command("queue")
async def queue(session: Session, given: Given) -> CommandOutput:
    """Hold and list what other processes send to the attached one; lines still run.

    .step delivers them one by one, in any order; .queue off delivers all of them.
    """
    process, on = session.attached, workbench_of(session)
    if wanted := given["on|off"]:
        record_deed(session, "pause" if wanted == "on" else "resume", process=process.id)
        await on.pause(process.id, wanted == "on")
    waiting = await on.queued(process.id)
    names = await session.naming.of(one.process for one in waiting)
    rows = tuple(
        (
            str(number),
            one.message.tag("Action", "-"),
            named_id(one.process, names.get(one.process, "")),
            str(one.slot),
            str(len(one.message.data)),
        )
        for number, one in enumerate(waiting, 1)
    )
    right = frozenset({"#", "SLOT", "BYTES"})
    table = Table(("#", "ACTION", "FROM", "SLOT", "BYTES"), rows, right)
    value = [
        {"n": n, "action": one.message.tag("Action"), "from": one.process, "id": one.message.id}
        for n, one in enumerate(waiting, 1)
    ]
    return CommandOutput(value, table=table) if rows else CommandOutput(value, text=_EMPTY[wanted])


@command("step")
async def step(session: Session, given: Given) -> CommandOutput:
    """Deliver the first message of the queue, or the N-th."""
    number, order = given.number("N", 1), local_verbs(session).newest
    await workbench_of(session).step(session.attached.id, number - 1)
    session.journal.deeds.append(Deed(order, "step", process=session.attached.id, number=number))
    left = len(await workbench_of(session).queued(session.attached.id))
    return CommandOutput({"left": left}, text=f"delivered; {left} left")


@command("mock")
async def mock(session: Session, given: Given) -> CommandOutput:
    """Make a stand-in for an address that is not on this node: a process from FILE."""
    id, name = given["ID"], given["NAME"]
    name.encode()  # raises what is reported as text that is not UTF-8
    file = path_of_argument(given["FILE"])
    program = bundle(file)
    refuse_unloadable(program)
    for note in program.program.notes:
        session.front.note(note)
    info = await workbench_of(session).mock(id, program.source, name or f"mock {id[:8]}")
    session.journal.files[info.module] = file.absolute()
    return CommandOutput(process_value(info), text=f"{info.name} stands in for {info.id}")


def parse_duration(text: str) -> int:
    """A duration like 90s, 1h30m or 2d in milliseconds. Raises UsageError."""
    parts = _SPAN.findall(text.replace(" ", ""))
    whole = sum(float(number) * _UNITS[unit] for number, unit in parts)
    written = "".join(number + unit for number, unit in parts)
    if not parts or written != text.replace(" ", "") or not isfinite(whole):
        found = brief(text)[1:-1] or "nothing"
        raise UsageError(f"{found} is not a duration", hint="like 90s, 1h30m or 2d")
    return round(whole)


def duration_text(milliseconds: int) -> str:
    """A duration in the form that `parse_duration` reads."""
    parts, left = [], milliseconds
    for unit in ("w", "d", "h", "m", "s", "ms"):
        count, left = divmod(left, _UNITS[unit])
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts[:2]) or "0s"
