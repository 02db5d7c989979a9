"""Code: .load, .publish, .dryrun."""

from __future__ import annotations

from pathlib import Path

from aoshell.errors import AoError
from aoshell.nodes.values import Module
from aoshell.shell.attached import questions
from aoshell.shell.attached.session import Session
from aoshell.shell.code.bundle import ProgramBundle, bundle, refuse_unloadable
from aoshell.shell.code.files import path_of_argument, read_file
from aoshell.shell.code.loading import load_file, notes_of
from aoshell.shell.code.publishing import ENVIRONMENT, publish_code, publish_environment
from aoshell.shell.commands import command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.places import find_state
from aoshell.shell.commands.processes import record_deed
from aoshell.shell.commands.table import STATE
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.ports.forking import state_note


@command("load")
async def load(session: Session, given: Given) -> CommandOutput:
    """Evaluate a Lua file and the local files it requires.

    A node that keeps modules also stores it as one, and MyModule is its id: spawn(MyModule) makes a
    process of it.
    """
    return await load_file(session, path_of_argument(given["FILE"]))


@command("publish")
async def publish(session: Session, given: Given) -> CommandOutput:
    """Store a file as a module and show its id; evaluates nothing.

    Lua is bundled with the local files that it requires; WASM is stored as it is. A module with a
    name can be spawned by it: spawn("NAME").
    On a remote node this makes the code public: it shows size, cost and destination, and asks. A
    script says --yes. --environment gives a HyperBEAM node of this machine the aos-compatible
    environment, of which new processes there are made.
    """
    sure, file = given.has("--yes"), given["FILE|--environment"]
    if file == ENVIRONMENT:
        return await _environment(session, sure)
    path = path_of_argument(file)
    program = _program(path)
    if isinstance(program, ProgramBundle):
        refuse_unloadable(program)
    data = program.source if isinstance(program, ProgramBundle) else program
    store = publish_code if session.remote else _stored_here
    module = await store(session, data, given["NAME"], sure)
    session.journal.files[module.id] = path.absolute()
    if not session.remote:
        record_deed(session, "publish", source=module.id, name=module.name)
    return _module_output(module, notes_of(program) if isinstance(program, ProgramBundle) else "")


async def _environment(session: Session, sure: bool) -> CommandOutput:
    """Publish the environment for HyperBEAM (`sandbox.hyperaos`)."""
    return _module_output(await publish_environment(session, sure))


def _module_output(module: Module, note: str = "") -> CommandOutput:
    value = {"id": module.id, "kind": module.kind, "name": module.name}
    return CommandOutput(value, text=module.id, note=note)


async def _stored_here(session: Session, data: bytes, name: str, _: bool) -> Module:
    return await session.node.upload(data, name)


@command("dryrun")
async def dryrun(session: Session, given: Given) -> CommandOutput:
    """Evaluate Lua read-only: nothing changes."""
    return await read_only(session, given)


async def read_only(session: Session, given: Given) -> CommandOutput:
    """The answer to CODE in the given state, by default that of the attached process."""
    state, code = await find_state(session, given[STATE]), given["CODE"]
    asked = await session.naming.in_lua(code)
    answer = await questions.dryrun(session, asked, state.process, state.slot, shown=code)
    note = state_note(state.process, state.slot)
    return CommandOutput(answer=answer, ok=answer.ok, note=note)


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
