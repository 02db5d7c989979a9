"""The shell itself: .help, .exit."""

from __future__ import annotations

from difflib import get_close_matches
from textwrap import fill

from aoshell.errors import UsageError
from aoshell.shell import reference
from aoshell.shell.commands import Command, command, registry, unknown_command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.session import Session

_WIDEST = 44  # columns of the commands' forms, in the list of all
_WIDTH = 96


@command("help")
async def help_(_: Session, given: Given) -> CommandOutput:
    """Describe the commands, or a function of a process: .help send, .help ao.send, .help ao."""
    if topic := given["COMMAND|FUNCTION"]:
        return _help_on(topic)
    forms = {name: known.form for name, known in registry().items()}
    width = min(_WIDEST, max(map(len, forms.values())))
    lines = [
        f"{forms[name]:{width}}  {known.help.splitlines()[0]}" for name, known in registry().items()
    ]
    lines += ["", "Every other line is Lua, evaluated in the attached process."]
    value = [_value(known) for known in registry().values()]
    return CommandOutput(value, text="\n".join(lines), prose=True)


def _help_on(name: str) -> CommandOutput:
    """Help on all that has this name: a command may be called like a function."""
    known = registry().get(name.removeprefix("."))
    entry = None if name.startswith(".") else reference.find(name)
    inside = [f"{name}.{one}" for one in sorted(reference.below(name))]
    if not known and not entry and not inside:
        raise _unknown(name)
    parts = [f"{known.form}\n\n{known.help}"] if known else []
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
    """Leave; the processes stay where they are."""
    return CommandOutput(leave=True)


def _value(known: Command) -> dict[str, str]:
    return {"name": f".{known.name}", "usage": known.row.usage, "help": known.help}
