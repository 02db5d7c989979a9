"""What would fail on a network: .check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from aoshell.bounded.files import is_file
from aoshell.check.checker import check_bundle
from aoshell.check.finding import TARGETS, Finding
from aoshell.errors import AoError, UsageError
from aoshell.lua.bundled import unbundle
from aoshell.lua.compiling import find_syntax_error
from aoshell.lua.lexer import BREAK
from aoshell.nodes.values import ProcessInfo
from aoshell.protocol.message import raw, text
from aoshell.shell.attached.computed import computed_entries
from aoshell.shell.attached.session import Session
from aoshell.shell.code.bundle import bundle
from aoshell.shell.code.files import path_of_argument
from aoshell.shell.commands import command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.places import find_process
from aoshell.shell.outcome import CommandOutput


@command("check")
async def check(session: Session, given: Given) -> CommandOutput:
    """Show what works here and would fail on a network, with file and line; runs nothing.

    A FILE is checked with the local files that it requires; a PROCESS with the files that were
    loaded into it, and all other lines that succeeded. legacy is aos on the legacy network
    (2.0.6 with its Title-Case tags; 2.0.1 keeps the names of tags), hyperbeam is hyper-aos; without
    --target legacy and hyperbeam are checked. Errors make a script fail, warnings
    and notes do not.
    """
    targets = (given["--target"],) if given.has("--target") else TARGETS
    sources, modules, notes = await _sources(session, given["FILE|PROCESS"])
    found: dict[Finding, list[str]] = {}
    for target in targets:
        for one in check_bundle(sources, target, files=modules):
            found.setdefault(one, []).append(target)
    lines = [
        line
        for one, where in found.items()
        for line in _finding_lines(one, where, sources, targets)
    ]
    count = Counter(one.severity for one in found)
    counts = ", ".join(f"{count[kind]} {kind}{'s' * (count[kind] != 1)}" for kind in count)
    value = [asdict(one) | {"targets": where} for one, where in found.items()]
    summary = counts or f"nothing found for {' or '.join(targets)}"
    text = "\n".join([*lines, summary])
    return CommandOutput(value, text=text, note="\n".join(notes), ok=not count["error"])


_Sources = tuple[Mapping[str, bytes], Mapping[str, str], tuple[str, ...]]


async def _sources(session: Session, name: str) -> _Sources:
    """The texts to check by name, in the order in which they run; the text of each module, by the
    module's name; and notes for the user."""
    path = path_of_argument(name)
    if is_file(path) or path.suffix == ".lua":
        program = bundle(path)
        sources = {file: raw(source) for file, source in program.files.items()}
        return sources, program.program.modules, program.program.notes
    try:
        process = await find_process(session, name)
    except AoError:
        raise UsageError(
            f"{name} is neither a file nor a process here",
            hint="give a .lua file, or see .ps",
        ) from None
    return await _lines(session, process)


async def _lines(session: Session, process: ProcessInfo) -> _Sources:
    """The code of a process: the files that were loaded, and other lines by their slots."""
    found: dict[str, bytes] = {}
    modules: dict[str, str] = {}
    async for entry in computed_entries(session.node, process.id):
        result, code = entry.result, entry.message.data
        if entry.message.tag("Action") != "Eval" or not result or not result.ok:
            continue
        for names, name, source in unbundle(code) or [([], f"slot {result.slot}", _chunk(code))]:
            found.pop(name, None)  # of a file that was loaded again, the last text counts
            found[name] = source
            modules |= dict.fromkeys(names, name)
    return found, modules, ()


def _chunk(code: bytes) -> bytes:
    """A line as a chunk: an expression gets `return` before it."""
    return b"return " + code if find_syntax_error(text(code)) else code


def _finding_lines(
    one: Finding, where: list[str], sources: Mapping[str, bytes], targets: tuple[str, ...]
) -> Iterator[str]:
    """A finding, its source line, and what to do."""
    only = f" ({where[0]} only)" if len(where) < len(targets) else ""
    yield f"{one}{only}"
    lines = BREAK.split(text(sources.get(one.file, b"")))
    if 0 < one.line <= len(lines) and (line := lines[one.line - 1].strip()):
        yield f"  {one.line} │ {line[:160]}"
    if one.advice:
        yield f"  → {one.advice}"
