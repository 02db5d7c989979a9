"""Code: .load, .publish, .dryrun."""

from __future__ import annotations

from pathlib import Path

from aoshell.errors import AoError
from aoshell.nodes.values import Module
from aoshell.shell.code.bundle import ProgramBundle, bundle, refuse_unloadable
from aoshell.shell.code.files import path_of_argument, read_file
from aoshell.shell.code.loading import load_file, notes_of
from aoshell.shell.commands import command, usage_error
from aoshell.shell.commands.processes import record_deed
from aoshell.shell.commands.remote import remote_verbs
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.session import Session
from aoshell.shell.view.text import format_size


@command("load", "FILE", file=True)
async def load(session: Session, rest: str) -> CommandOutput:
    """Evaluate a Lua file and the local files it requires.

    On a node that keeps modules it is stored as one, too, and MyModule names it:
    spawn(MyModule) makes a process of it.
    """
    if not rest:
        raise usage_error("load")
    return await load_file(session, path_of_argument(rest))


@command("publish", "FILE [as NAME] [--yes]", file=True)
async def publish(session: Session, rest: str) -> CommandOutput:
    """Store a file as a module and show its id; evaluates nothing.

    Lua is bundled with the local files that it requires; WASM is stored as it is. A module with a
    name can be spawned by it: spawn("NAME").
    On a remote node this makes the code public, for good: it shows size, cost and destination, and
    asks. A script says --yes.
    """
    sure = rest.endswith(" --yes")
    rest = rest.removesuffix(" --yes").rstrip()
    file, separator, name = rest.rpartition(" as ")
    if not separator:
        file, name = rest, ""
    if not file or rest.split()[-1] == "as":
        raise usage_error("publish")
    path = path_of_argument(file.strip())
    program = _program(path)
    if isinstance(program, ProgramBundle):
        refuse_unloadable(program)
    data = program.source if isinstance(program, ProgramBundle) else program
    store = _made_public if session.remote else _stored_here
    module = await store(session, data, name.strip(), sure)
    session.journal.files[module.id] = path.absolute()
    if not session.remote:
        record_deed(session, "publish", source=module.id, name=module.name)
    value = {"id": module.id, "kind": module.kind, "name": module.name}
    note = notes_of(program) if isinstance(program, ProgramBundle) else ""
    return CommandOutput(value, text=module.id, note=note)


async def _stored_here(session: Session, data: bytes, name: str, _: bool) -> Module:
    return await session.node.upload(data, name)


async def _made_public(session: Session, data: bytes, name: str, sure: bool) -> Module:
    node = remote_verbs(session)
    publication = await node.publication(await session.wallet(), data, name)
    session.front.feed(
        f"{publication.item.id}, public and permanent:\n"
        f"  size         {format_size(publication.size)}\n"
        f"  destination  {publication.destination}\n"
        f"  cost         {publication.cost or 'the destination does not say'}"
    )
    if not sure and not await session.front.confirm("Publish it? [y/N] "):
        raise AoError(
            "nothing was published", stage="publish", hint="--yes publishes without asking"
        )
    return await node.publish(publication)


@command("dryrun", "CODE")
async def dryrun(session: Session, rest: str) -> CommandOutput:
    """Evaluate Lua read-only: nothing changes."""
    if not rest:
        raise usage_error("dryrun")
    answer = await session.dryrun(rest)
    return CommandOutput(answer=answer, ok=answer.ok)


def _program(path: Path) -> ProgramBundle | bytes:
    data = read_file(path)
    if data.startswith(b"\0asm"):
        return data
    if path.suffix == ".wasm":
        raise AoError(
            f"{path} is not a WASM module: it does not begin like one",
            stage="module",
            hint="build it again, or name a file of Lua .lua",
        )
    return bundle(path)
