"""Processes: .ps, .attach, .spawn, .export, .import, .delete."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aoshell.errors import AoError, UnsupportedError, UsageError
from aoshell.nodes.base import LocalVerbs
from aoshell.nodes.values import NotFoundError, ProcessInfo
from aoshell.shell.code.files import read_file, write_new_file
from aoshell.shell.code.spawning import SpawnRequest
from aoshell.shell.code.spawning import spawn as make
from aoshell.shell.commands import command, find_process, usage_error
from aoshell.shell.feed import short_id
from aoshell.shell.journal import Deed
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.session import Session
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
    """Note what was done to the built-in node by hand, for .record (`shell.journal.Deed`)."""
    session.journal.deeds.append(Deed(local_verbs(session).newest, verb, description, **about))


@command("ps")
async def ps(session: Session, rest: str) -> CommandOutput:
    """List the processes of this node, newest first.

    TAIL is the number of slots after the newest checkpoint, which a restart computes again.
    On a remote node these are the processes that this home knows there.
    """
    if rest:
        raise usage_error("ps")
    processes = await session.node.processes()
    table = (remote_table if session.remote else process_table)(processes)
    return CommandOutput([process_value(info) for info in processes], table=table)


@command("attach", "NAME|ID", complete="PROCESS")
async def attach(session: Session, rest: str) -> CommandOutput:
    """Send the lines that follow to another process.

    Six characters of an id are enough."""
    if not rest:
        raise usage_error("attach")
    info = await find_process(session, rest)
    await session.attach(info)
    wallet = await session.wallet()
    value = {"id": info.id, "name": info.name, "owner": info.owner}
    if info.owner == wallet.address:
        return CommandOutput(
            value, note=f"attached to {info.name or short_id(info.id)} ({info.id})"
        )
    return CommandOutput(
        value,
        note=f"attached to {info.name or short_id(info.id)} ({info.id}) to look at: its owner is "
        f"{info.owner}, and only its owner evaluates in it.\n  → {await session.way_in(info)}",
    )


@command("spawn", "MODULE|ID [as NAME] [--yes]")
async def spawn(session: Session, rest: str) -> CommandOutput:
    """Make a process of a module, and show its id; .attach sends lines to it.

    MODULE is an id, or a name that a module was published under; on the built-in node it may be a
    file, too. On a remote node a process is public and permanent, so it asks first.
    """
    words = rest.split()
    sure = words[-1:] == ["--yes"]
    words = words[: len(words) - sure]
    words = words[1:] if words[:1] == ["--"] else words  # as on the command line, before an id
    name = words[2] if len(words) == 3 and words[1] == "as" else ""
    if len(words) != (3 if name else 1):
        raise usage_error("spawn")
    if name and await _taken(session, name):
        raise UsageError(f"{name} exists already", hint="choose a new name")
    info = await make(session, SpawnRequest(name, words[0], sure=sure))
    value = {"id": info.id, "name": info.name, "module": info.module}
    return CommandOutput(value, text=info.id, note=ready_note(info))


def ready_note(info: ProcessInfo) -> str:
    """The note that a process exists, and how to send lines to it."""
    return f"{info.name or 'it'} is there; .attach {info.name or info.id[:12]} sends lines to it"


async def _taken(session: Session, name: str) -> bool:
    """Whether a process has this name. Raises AoError where that is not known."""
    if not session.remote:
        return any(info.name == name for info in await session.node.processes())
    try:
        await session.node.find(name)
    except NotFoundError:
        return False
    return True


@command("export", "FILE", file=True)
async def export(session: Session, rest: str) -> CommandOutput:
    """Write the attached process to a file, for .import.

    The file holds its log, its results and the modules that it runs."""
    if not rest:
        raise usage_error("export")
    data = await local_verbs(session).export(session.attached.id)
    path = Path(rest).expanduser()
    await asyncio.to_thread(write_new_file, path, data, "export")  # a disk may take its time
    return CommandOutput(
        {"file": str(path), "bytes": len(data)}, text=f"{path}: {format_size(len(data))}"
    )


@command("import", "FILE [as NAME]", file=True)
async def import_(session: Session, rest: str) -> CommandOutput:
    """Take in a process that .export wrote.

    It keeps its name, unless `as NAME` gives it another. A name that is taken is refused."""
    path, separator, name = rest.rpartition(" as ")
    if not separator:
        path, name = rest, ""
    if not path or rest.split()[-1] == "as":
        raise usage_error("import")
    file = Path(path.strip()).expanduser()
    info = await local_verbs(session).restore(read_file(file, _LARGEST), name.strip(), unique=True)
    record_deed(session, "import", process=info.id, file=file.absolute())
    return CommandOutput(process_value(info), text=info.id, note=ready_note(info))


@command("delete", "NAME|ID [--yes]", complete="PROCESS [--yes]")
async def delete(session: Session, rest: str) -> CommandOutput:
    """Delete a process and its log, for good.

    It asks first; a script says --yes."""
    words = rest.split()
    sure = "--yes" in words
    names = [word for word in words if word != "--yes"]
    if len(names) != 1:
        raise usage_error("delete")
    info = await find_process(session, names[0])
    if info.id == session.attached.id:
        raise UsageError(
            f"{info.name or short_id(info.id)} is attached", hint=".attach another process first"
        )
    question = f"Delete {info.name or info.id} and its {info.slots} messages for good? [y/N] "
    if not sure and not await session.front.confirm(question):
        raise AoError("nothing was deleted", stage="delete", hint="--yes deletes without asking")
    await local_verbs(session).delete(info.id)
    record_deed(session, "", f".delete of {info.name or info.id}")
    return CommandOutput({"deleted": info.id}, text=f"deleted {info.id}")
