"""Dot commands: a registry, which the files of this folder fill.

A command takes the session and its arguments, and returns a `CommandOutput`. It never prints.
`table` says which arguments each command takes, `grammar` reads them. How to add a command:
docs/architecture.md.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from aoshell.errors import UsageError
from aoshell.shell.commands.grammar import Given, Grammar, MisfitError, grammar
from aoshell.shell.commands.table import TABLE, Row
from aoshell.shell.outcome import CommandOutput

if TYPE_CHECKING:
    from aoshell.shell.attached.session import Session

Run = Callable[["Session", Given], Awaitable[CommandOutput]]

_FILES = (
    *("attest", "blueprints", "checks", "code", "doctor", "editor", "forks", "identities"),
    *("inspect", "messages", "node", "processes", "record", "remote", "serving", "settings"),
    *("shell", "timing", "traces", "wasm", "watching", "why", "workbench"),
)


@dataclass(frozen=True, slots=True)
class Command:
    """A dot command.

    Attributes:
        name: without the dot.
        row: of the table: group, arguments, example.
        help: the first line is the summary.
    """

    name: str
    row: Row
    help: str
    run: Run

    @property
    def form(self) -> str:
        """The command with its arguments, as help writes it."""
        return f".{self.name} {self.row.usage}".rstrip()

    @property
    def grammar(self) -> Grammar:
        """Of its arguments."""
        return grammar(self.row.usage)


_REGISTRY: dict[str, Command] = {}


def command(name: str) -> Callable[[Run], Run]:
    """Register a coroutine function for a command of the table; its docstring is its help."""

    def register(run: Run) -> Run:
        paragraph = re.sub(r"\n[ ]+", "\n", run.__doc__ or "").strip()
        _REGISTRY[name] = Command(name, TABLE[name], paragraph, run)
        return run

    return register


@cache
def registry() -> dict[str, Command]:
    """All commands by name. The files are imported on first use: a start does not need them."""
    for name in _FILES:
        import_module(f"{__name__}.{name}")
    return dict(sorted(_REGISTRY.items()))


async def run_command(session: Session, line: str) -> CommandOutput:
    """Run a dot command. With `--help` alone it is described.

    Raises:
        UsageError: there is no such command, and the hint names the nearest; or its arguments are
            wrong.
        AoError: of the command.
    """
    name, _, rest = line.strip()[1:].partition(" ")
    found = registry().get(name)
    if found is None:
        raise unknown_command(name)
    if rest.strip() == "--help":
        found, rest = registry()["help"], name
    try:
        return await found.run(session, _arguments(found, rest.strip()))
    except UnicodeEncodeError:
        raise UsageError(f"the text after .{name} is not UTF-8") from None


def _arguments(known: Command, text: str) -> Given:
    try:
        return known.grammar.read(text)
    except MisfitError as error:
        raise usage_error(known.name, str(error)) from None


def usage_error(name: str, what: str) -> UsageError:
    """The error for wrong arguments.

    Args:
        what: what is wrong with them.
    """
    known = registry()[name]
    like = f", as in {known.row.example}" if known.row.usage else ""
    return UsageError(f".{name}: {what}", hint=f"usage: {known.form}{like}; .help {name} says more")


def quoted_words(name: str, text: str) -> list[str]:
    """The words of a command's arguments; one with blanks stands in quotes.

    Raises:
        UsageError: a quote is not closed.
    """
    import shlex

    try:
        return shlex.split(text)
    except ValueError:
        raise usage_error(name, "a quote is not closed") from None


def unknown_command(name: str) -> UsageError:
    """The error for an unknown command; the hint names the nearest."""
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), registry(), 1, 0.5)
    hint = f"did you mean .{close[0]}?" if close else ".help lists the commands"
    return UsageError(f"there is no command .{name}", hint=hint)
