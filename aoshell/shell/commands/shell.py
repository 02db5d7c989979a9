"""The shell itself: .help, .exit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from textwrap import fill

from aoshell.errors import UsageError
from aoshell.shell.attached.session import Session
from aoshell.shell.commands import Command, command, registry, unknown_command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.table import GROUPS
from aoshell.shell.help import reference
from aoshell.shell.outcome import CommandOutput

_ROOM = 60  # columns of a summary in the list of all
_WIDTH = 96
_PAUSE = re.compile(r"[,;:] | \(|\. ")
_BELOW = (
    ".help COMMAND says all of one, with an example; .help Send describes a function of a process.",
    "Every other line is Lua, evaluated in the attached process.",
)


@command("help")
async def help_(_: Session, given: Given) -> CommandOutput:
    """Describe the commands, or a function of a process: .help send, .help ao.send, .help ao."""
    if topic := given["COMMAND|FUNCTION"]:
        return _help_on(topic)
    lines = [line for group in GROUPS for line in ("", group, *_lines_of(group))]
    lines += ["", *_BELOW]
    value = [_value(known) for known in registry().values()]
    return CommandOutput(value, text="\n".join(lines[1:]), prose=True)


def _lines_of(group: str) -> Iterator[str]:
    """The commands of a group, a line for each."""
    width = max(map(len, registry()))
    for name, known in registry().items():
        if known.row.group == group:
            yield f"  .{name:{width}}  {_brief(known.help.split(chr(10), 1)[0])}"


def _brief(summary: str) -> str:
    """A summary that fits its line; a longer one is cut at a comma or the like."""
    if len(summary) <= _ROOM:
        return summary.removesuffix(".")
    pause = _PAUSE.search(summary)
    return summary[: pause.start()] if pause else summary.removesuffix(".")


def _help_on(name: str) -> CommandOutput:
    """Help on everything with this name: a command and a function may have the same."""
    known = registry().get(name.removeprefix("."))
    entry = None if name.startswith(".") else reference.find(name)
    inside = [f"{name}.{one}" for one in sorted(reference.below(name))]
    if not known and not entry and not inside:
        raise _unknown(name)
    parts = [f"{known.form}\n\n{known.help}"] if known else []
    parts += [f"Example: {known.row.example}"] if known and known.row.usage else []
    parts += [f"{entry.signature}\n\n{fill(entry.help, _WIDTH)}"] if entry else []
    parts += ["\n".join(map(_summary, inside))] if inside else []
    value: dict[str, object] = {"name": name}
    value |= _value(known) if known else {}
    value |= {"function": {"signature": entry.signature, "help": entry.help}} if entry else {}
    value |= {"functions": inside} if inside else {}
    return CommandOutput(value, text="\n\n".join(parts), prose=True)


def _summary(name: str) -> str:
    entry = reference.find(name)
    return f"{entry.signature}\n    {entry.summary}" if entry else name


def _unknown(name: str) -> UsageError:
    if name.startswith("."):
        return unknown_command(name.removeprefix("."))
    close = get_close_matches(name, [*reference.entries(), *registry()], 1, 0.6)
    hint = f"did you mean .help {close[0]}?" if close else ".help lists the commands"
    return UsageError(f"there is no help on {name}", hint=hint)


@command("exit")
async def exit_(_: Session, __: Given) -> CommandOutput:
    """Leave the shell; the processes stay."""
    return CommandOutput(leave=True)


def _value(known: Command) -> dict[str, str]:
    return {"name": f".{known.name}", "usage": known.row.usage, "help": known.help}
