"""Dot commands: a registry, which one module a group fills.

A command takes the session and the text after its name, and returns a `CommandOutput`. It never
prints. To add one: docs/architecture.md.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from aoshell.errors import UsageError
from aoshell.nodes.values import NotFoundError, ProcessInfo
from aoshell.protocol.encoding import brief, has_id_form
from aoshell.shell.outcome import CommandOutput

if TYPE_CHECKING:
    from aoshell.shell.session import Session

Run = Callable[["Session", str], Awaitable[CommandOutput]]

_GROUPS = (
    *("attest", "blueprints", "checks", "code", "doctor", "editor", "identities", "inspect"),
    *("messages", "node", "processes", "record", "remote", "serving", "settings", "shell"),
    *("timing", "traces", "wasm", "watching", "why", "workbench"),
)


@dataclass(frozen=True, slots=True)
class Command:
    """A dot command.

    Attributes:
        name: without the dot.
        usage: its arguments, as help writes them.
        help: the first line is the summary.
        file: whether its argument is a file's name, for completion.
        complete: its arguments for completion, where that needs another name for them than
            `usage` has: kinds that `shell.prompt.words` knows, or the words themselves.
    """

    name: str
    usage: str
    help: str
    run: Run
    file: bool = False
    complete: str = ""


_REGISTRY: dict[str, Command] = {}


def command(
    name: str, usage: str = "", *, file: bool = False, complete: str = ""
) -> Callable[[Run], Run]:
    """Register a coroutine function; its docstring is its help."""

    def register(run: Run) -> Run:
        paragraph = re.sub(r"\n[ ]+", "\n", run.__doc__ or "").strip()
        _REGISTRY[name] = Command(name, usage, paragraph, run, file, complete)
        return run

    return register


@cache
def registry() -> dict[str, Command]:
    """All commands by name. The groups are imported on first use: a start does not need them."""
    for group in _GROUPS:
        import_module(f"{__name__}.{group}")
    return dict(sorted(_REGISTRY.items()))


async def run_command(session: Session, line: str) -> CommandOutput:
    """Carry out a dot command. With `--help` alone it is described.

    Raises:
        UsageError: there is no such command; the hint names the nearest.
        AoError: of the command.
    """
    name, _, rest = line.strip()[1:].partition(" ")
    found = registry().get(name)
    if found is None:
        raise unknown_command(name)
    if rest.strip() == "--help":
        found, rest = registry()["help"], name
    try:
        return await found.run(session, rest.strip())
    except UnicodeEncodeError:
        raise UsageError(f"the text after .{name} is not UTF-8") from None


async def find_process(session: Session, reference: str) -> ProcessInfo:
    """The process that a word of a dot command names, as `Node.find`.

    Raises:
        UsageError: the word looks like a flag, and there is no process of that name.
        AoError: there is none, or that is not known.
    """
    try:
        return await session.node.find(reference)
    except NotFoundError as error:
        if not reference.startswith("-") or has_id_form(reference):
            raise
        raise UsageError(
            f"{brief(reference)} is no flag of this command, and no process here has that name",
            hint=".ps lists those there are; .help COMMAND describes a command",
        ) from error


def usage_error(name: str) -> UsageError:
    """The error for wrong arguments: how the command is used."""
    known = registry()[name]
    return UsageError(f".{known.name} {known.usage}".rstrip(), hint=f".help {name}")


def unknown_command(name: str) -> UsageError:
    """The error for an unknown command; the hint names the nearest."""
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), registry(), 1, 0.5)
    hint = f"did you mean .{close[0]}?" if close else ".help lists the commands"
    return UsageError(f"there is no command .{name}", hint=hint)
