"""The shell itself: .help, .exit."""

from __future__ import annotations

from aoshell.shell.commands import Command, command, find, registry, usage
from aoshell.shell.outcome import Reply
from aoshell.shell.session import Session


@command("help", "[COMMAND]")
async def help_(_: Session, rest: str) -> Reply:
    """Say what the commands do."""
    if rest:
        known = find(rest)
        return Reply(_value(known), text=f"{_form(known)}\n\n{known.help}")
    forms = {name: _form(known) for name, known in registry().items()}
    width = max(map(len, forms.values()))
    lines = [
        f"{forms[name]:{width}}  {known.help.splitlines()[0]}" for name, known in registry().items()
    ]
    lines += ["", "Whatever else is typed is Lua, evaluated in the attached process."]
    return Reply([_value(known) for known in registry().values()], text="\n".join(lines))


@command("exit")
async def exit_(_: Session, rest: str) -> Reply:
    """Leave; the processes stay where they are."""
    if rest:
        raise usage("exit")
    return Reply(leave=True)


def _form(known: Command) -> str:
    return f".{known.name} {known.usage}".rstrip()


def _value(known: Command) -> dict[str, str]:
    return {"name": f".{known.name}", "usage": known.usage, "help": known.help}
