"""WASM modules: .wasm."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from aoshell.bounded.files import is_file, path_of
from aoshell.errors import AoError
from aoshell.shell.attached.session import Session
from aoshell.shell.code.files import read_file
from aoshell.shell.commands import command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.view.text import format_size

if TYPE_CHECKING:
    from aoshell.sandbox.wasm.binary import Description

KINDS = {
    "json": "json: handle(message, environment) on JSON strings",
    "plain": "plain: functions that ExecuteFunction calls by name",
    "wasi": "wasi: a program that reads the message and prints the answer",
}


@command("wasm")
async def wasm(session: Session, given: Given) -> CommandOutput:
    """Describe a WASM module (kind, imports, exports, memory, format) without running it.

    ID may be the name that a module was published under.
    """
    from aoshell.sandbox.wasm.binary import describe_module

    about = describe_module(await _data(session, given["FILE|ID"]))
    lines = [
        f"kind      {KINDS.get(about.kind) or f'none: {about.problem}'}",
        f"format    {about.format}",
        f"size      {format_size(about.size)}",
        f"memory    {_memory(about)}",
        f"state     {_state(about)}",
        f"start     {'a function runs at once' if about.start is not None else 'nothing runs'}",
        f"exports   {len(about.exports)}",
        *(f"  {item.kind} {item.name} {item.signature}" for item in about.exports),
        f"imports   {len(about.imports)}",
        *(f"  {item.kind} {item.module}.{item.name} {item.signature}" for item in about.imports),
    ]
    return CommandOutput(asdict(about), text="\n".join(lines), ok=bool(about.kind))


async def _data(session: Session, rest: str) -> bytes:
    path = path_of(rest.strip("\"'"))
    if is_file(path):
        return read_file(path)
    module = await session.node.fetch(rest)
    if module.kind != "wasm":
        raise AoError(
            f"module {rest} is not WASM", stage="module", hint="give a .wasm file, or its id"
        )
    return module.data


def _memory(about: Description) -> str:
    if not about.memories:
        return "none"
    memory = about.memories[0]
    most = (
        "no maximum" if memory.maximum is None else f"at most {format_size(memory.maximum << 16)}"
    )
    return f"{format_size(memory.minimum << 16)} to begin with, {most}, {about.pointer} pointers"


def _state(about: Description) -> str:
    if about.unsaved or about.moves_tables:
        return "it cannot be saved whole; the log is replayed instead"
    return f"memory and {about.globals} globals"
