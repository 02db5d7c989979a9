"""A session as a test: .record."""

from __future__ import annotations

import asyncio

from aoshell.bounded.files import is_there
from aoshell.errors import AoError, UnsupportedError
from aoshell.nodes.values import LogEntry, Module, ProcessInfo
from aoshell.protocol.message import raw, text
from aoshell.shell.attached.computed import computed_entries
from aoshell.shell.attached.past import Past
from aoshell.shell.attached.session import Session
from aoshell.shell.code.files import path_of_argument, write_new_file
from aoshell.shell.commands import command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.processes import local_verbs
from aoshell.shell.names.identities import OWN
from aoshell.shell.names.naming import ID
from aoshell.shell.outcome import CommandOutput

MOST = 10_000  # messages of all processes that a record may have


@command("record")
async def record(session: Session, given: Given) -> CommandOutput:
    """Write what you did in this session as a Lua test, for aoshell test.

    The test makes the processes that your lines and messages went to, and those that sent them
    something. It sends all that they got from outside, and expects the same answers. Code stays in
    its files if these are below the current folder or FILE's, and have not changed. What a test
    cannot repeat is listed. FILE must not exist; aoshell test finds names like my_test.lua.
    """
    local_verbs(session)
    if session.record is None:
        raise UnsupportedError("this session cannot be recorded", hint="start it with aoshell NAME")
    path = path_of_argument(given["FILE"])
    gathered = await _gathered(session)
    past = Past(
        [entry for entries in gathered.values() for entry in entries],
        await _processes(session),
        await _modules(session, gathered),
        await _people(session),
        session.journal,
        path.absolute().parent,
    )
    made = await asyncio.to_thread(session.record, past)
    write_new_file(path, raw(made.test), "record")
    for name, data in made.beside.items():
        beside = path.with_name(name)
        if not is_there(beside):  # its name comes from its content
            write_new_file(beside, data, "record")
    value = {
        "file": str(path),
        "processes": list(gathered),
        "messages": len(past.entries),
        "beside": list(made.beside),
        "lost": list(made.lost),
    }
    notes = [f"not in the test: {lost}" for lost in made.lost]
    notes += [f"{name} is beside it: code that the test needs" for name in made.beside]
    lines = made.test.count("\n")
    return CommandOutput(
        value, text=f"{path}: {lines} lines; aoshell test {path} runs it", note="\n".join(notes)
    )


async def _gathered(session: Session) -> dict[str, list[LogEntry]]:
    """The logs of the processes of this session, and of those that exchanged messages with them.

    Raises:
        AoError: they have more than `MOST` messages.
    """
    known, found = await _processes(session), dict[str, list[LogEntry]]()
    forked = {deed.process: deed.source for deed in session.journal.deeds if deed.verb == "fork"}
    left, count = list(session.visited) or [session.attached.id], 0
    while left:
        process = left.pop(0)
        if process in found or process not in known:
            continue
        found[process] = [entry async for entry in computed_entries(session.node, process)]
        count += len(found[process])
        if count > MOST:
            raise AoError(
                f"the processes of this session have more than {MOST:,} messages",
                stage="record",
                hint="begin again with new processes: aoshell NAME",
            )
        named = {id for entry in found[process] for id in _named(entry)}
        left += [known[process].owner, forked.get(process, ""), *sorted(named & known.keys())]
    return found


def _named(entry: LogEntry) -> set[str]:
    """The processes that sent a message or are named in it."""
    message = entry.message
    texts = [text(message.data), *(tag.value for tag in message.tags)]
    if message.from_ != message.owner:  # sent by a process: a result of what it received
        return {message.from_}
    return {id for one in texts for id in ID.findall(one)}


async def _processes(session: Session) -> dict[str, ProcessInfo]:
    return {info.id: info for info in reversed(await session.node.processes())}


async def _modules(session: Session, gathered: dict[str, list[LogEntry]]) -> dict[str, Module]:
    """The modules that processes were made of, by the references in their definitions."""
    wanted = {deed.source: None for deed in session.journal.deeds if deed.verb == "publish"}
    for entries in gathered.values():
        for entry in entries:
            sent = entry.result.messages if entry.result else ()
            spawns = [one.tags for one in sent if one.spawn]
            for tags in ([entry.message.tags] if _is_definition(entry) else []) + spawns:
                wanted |= {tag.value: None for tag in tags if tag.name == "Module"}
    found = {}
    for reference in wanted:
        try:
            found[reference] = await session.node.fetch(reference)
        except AoError:
            continue  # its spawn failed, and will fail again
    return found


def _is_definition(entry: LogEntry) -> bool:
    placed = entry.message.assignment
    return placed is not None and (placed.slot, placed.tick) == (0, 0)


async def _people(session: Session) -> dict[str, str]:
    """The names of those who sign, by address."""
    names = await session.identities.addresses()
    own = (await session.wallet()).address
    return {own: OWN} | names
