"""`.load`: evaluates the program of a file and keeps it as a module."""

from __future__ import annotations

from pathlib import Path

from aoshell.protocol.message import text
from aoshell.shell.attached.session import Session
from aoshell.shell.code.bundle import ProgramBundle, bind_module, bundle
from aoshell.shell.code.program import tree_lines
from aoshell.shell.outcome import CommandOutput, LineAnswer


async def load_file(session: Session, path: Path) -> CommandOutput:
    """Load a file.

    Raises:
        AoError: it cannot be read or sent.
    """
    return await load_bundle(session, bundle(path))


async def load_bundle(session: Session, program: ProgramBundle) -> CommandOutput:
    """Load a bundled program. Raises AoError: it cannot be sent."""
    note = notes_of(program)
    value: dict[str, object] = {"file": program.program.main.path, "files": list(program.files)}
    code = program.source
    if session.node.local:
        module = await session.node.upload(program.source, "")
        main = program.program.root / program.program.main.path
        session.journal.files[module.id] = main.absolute()
        code = bind_module(code, module.id)
        value["module"] = module.id
    answer = await session.evaluate(text(code), program.files, shown="")
    if "module" in value:
        note = f"{note}\n{_bound(str(value['module']), answer)}".strip()
    return CommandOutput(value, note=note, answer=answer, ok=answer.ok)


def notes_of(program: ProgramBundle) -> str:
    """The tree of files, if there is more than one, and the notes on them."""
    tree = tree_lines(program.program) if program.program.main.needs else ()
    return "\n".join((*tree, *program.program.notes))


def _bound(module: str, answer: LineAnswer) -> str:
    """The note on `MyModule`: a line that failed is undone, and does not set it."""
    if answer.last.ok and answer.evaluated:
        return f"MyModule = {module}"
    return f"the module is stored as {module}, but MyModule is not bound"
