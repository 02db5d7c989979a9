"""Processes: .ps, .attach, .spawn, .export, .import, .delete."""

from __future__ import annotations

import asyncio
from typing import Any

from aoshell.errors import AoError, UnsupportedError, UsageError
from aoshell.nodes.base import LocalVerbs
from aoshell.nodes.values import NotFoundError, ProcessInfo
from aoshell.protocol.tag_names import AS_SENT
from aoshell.shell.attached.feed import short_id
from aoshell.shell.attached.journal import Deed
from aoshell.shell.attached.owners import way_in
from aoshell.shell.attached.session import Session
from aoshell.shell.code.files import path_of_argument, read_file, write_new_file
from aoshell.shell.code.spawning import SpawnRequest
from aoshell.shell.code.spawning import spawn as make
from aoshell.shell.commands import command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.places import find_process, process_or_attached
from aoshell.shell.names.naming import typed_name
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.ports.forking import fork_text
from aoshell.shell.view.tables import process_table, remote_table
from aoshell.shell.view.text import format_size
from aoshell.shell.view.values import process_value

_LARGEST = 1 << 30  # bytes of an exported process


def local_verbs(session: Session) -> LocalVerbs:
    """The verbs of the built-in node.

    Raises:
        UnsupportedError: this is another node.
    """
    if session.node.local is None:
        raise UnsupportedError(
            "only the built-in node does that", hint="aoshell NAME --node local opens it"
        )
    return session.node.local


def record_deed(session: Session, verb: str, description: str = "", **about: Any) -> None:
    """Note what was done to the built-in node by hand, for .record (`attached.journal.Deed`)."""
    session.journal.deeds.append(Deed(local_verbs(session).newest, verb, description, **about))


@command("ps")
async def ps(session: Session, _: Given) -> CommandOutput:
    """List the processes of this node, newest first.

    > marks the attached one. TAIL is the number of slots after the newest checkpoint, which a
    restart computes again. On a remote node these are the processes that this home knows there.
    """
    processes = await session.node.processes()
    table = (remote_table if session.remote else process_table)(processes)
    here = [session.process is not None and info.id == session.process.id for info in processes]
    table = table.marked(here)
    return CommandOutput([process_value(info) for info in processes], table=table)


@command("attach")
async def attach(session: Session, given: Given) -> CommandOutput:
    """Send the lines that follow to another process.

    The first six characters of an id are enough."""
    info = await find_process(session, given["PROCESS"])
    await session.attach(info)
    wallet = await session.wallet()
    value = {"id": info.id, "name": info.name, "owner": info.owner}
    if info.owner == wallet.address:
        return CommandOutput(
            value, note=f"attached to {info.name or short_id(info.id)} ({info.id})"
        )
    hint = await way_in(session.node, session.identities, info)
    return CommandOutput(
        value,
        note=f"attached to {info.name or short_id(info.id)} ({info.id}) to look at: its owner is "
        f"{info.owner}, and only its owner evaluates in it.\n  → {hint}",
    )


@command("spawn")
async def spawn(session: Session, given: Given) -> CommandOutput:
    """Make a process of a module, and show its id; .attach sends lines to it.

    MODULE is an id, or the name of a published module; on the built-in node also a file. aos@2.0.1,
    aos@2.0.3 and aos@2.0.6 are modules of aos, which are fetched once. With --tags as-sent its
    handlers also get tags under their original names, like aos 2.0.1. On a remote node a process is
    public and permanent, so it asks first.

    Other tags and cron are flags of the command line, where --module takes what MODULE is:
    aoshell NAME --module MODULE --cron 1-minute --tag-name Token --tag-value ID
    """
    name, module = given["NAME"], given["MODULE"]
    if name and await _taken(session, name):
        raise UsageError(f"{name} exists already", hint="choose a new name")
    tags = (AS_SENT,) if given.has("--tags") else ()
    info = await make(session, SpawnRequest(name, module, tags=tags, sure=given.has("--yes")))
    value = {"id": info.id, "name": info.name, "module": info.module}
    return CommandOutput(value, text=info.id, note=ready_note(info))


def ready_note(info: ProcessInfo) -> str:
    """The note that a process exists, and how to send lines to it."""
    typed = typed_name(info.name or info.id[:12])
    return f"{info.name or 'it'} is there; .attach {typed} sends lines to it"


async def _taken(session: Session, name: str) -> bool:
    """Whether a process has this name. Raises AoError where that is not known."""
    if not session.remote:
        return any(info.name == name for info in await session.node.processes())
    try:
        await session.node.find(name)
    except NotFoundError:
        return False
    return True


@command("rename")
async def rename(session: Session, given: Given) -> CommandOutput:
    """Rename the attached process, or another one, on this node.

    The name that it uses itself, in its prompt and messages, does not change: that is its `Name`.
    """
    process = await process_or_attached(session, given["PROCESS"])
    info = await local_verbs(session).rename(process.id, given["NAME"])
    record_deed(session, "", f".rename of {process.name or process.id}")
    session.feed.renamed(info.id, info.name)
    if session.process and session.process.id == info.id:
        session.process = info
    text = f"{process.name or short_id(process.id)} is {info.name} now"
    return CommandOutput({"id": info.id, "name": info.name}, text=text)


@command("export")
async def export(session: Session, given: Given) -> CommandOutput:
    """Write the attached process to a file, for .import.

    The file holds its log, its results and the modules that it runs."""
    local = local_verbs(session)
    data = await local.export(session.attached.id)
    warnings = await local.warnings(session.attached.id)
    path = path_of_argument(given["FILE"])
    await asyncio.to_thread(write_new_file, path, data, "export")  # a disk may take its time
    return CommandOutput(
        {"file": str(path), "bytes": len(data), "warnings": list(warnings)},
        text=f"{path}: {format_size(len(data))}",
        note="\n".join(filter(None, (fork_text(session.attached), *warnings))),
    )


@command("import")
async def import_(session: Session, given: Given) -> CommandOutput:
    """Import a process from a file that .export wrote.

    It keeps its name unless `as NAME` gives another one. A name that is taken is refused."""
    file, name = path_of_argument(given["FILE"]), given["NAME"]
    info = await local_verbs(session).restore(read_file(file, _LARGEST), name, unique=True)
    record_deed(session, "import", process=info.id, file=file.absolute())
    return CommandOutput(process_value(info), text=info.id, note=ready_note(info))


@command("delete")
async def delete(session: Session, given: Given) -> CommandOutput:
    """Delete a process and its log permanently.

    It asks first; a script says --yes."""
    info = await find_process(session, given["PROCESS"])
    if info.id == session.attached.id:
        raise UsageError(
            f"{info.name or short_id(info.id)} is attached", hint=".attach another process first"
        )
    question = f"Delete {info.name or info.id} and its {info.slots} messages for good? [y/N] "
    if not given.has("--yes") and not await session.front.confirm(question):
        raise AoError("nothing was deleted", stage="delete", hint="--yes deletes without asking")
    await local_verbs(session).delete(info.id)
    record_deed(session, "", f".delete of {info.name or info.id}")
    return CommandOutput({"deleted": info.id}, text=f"deleted {info.id}")
