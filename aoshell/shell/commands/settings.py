"""Settings and lines of the prompt: .set, .history, .source."""

from __future__ import annotations

from aoshell.shell.attached.session import Session
from aoshell.shell.code.files import path_of_argument
from aoshell.shell.commands import command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.terminal import TerminalFront, terminal_front
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.table import Table

MOST = 20  # entries that .history shows; with a word, five times as many


def _prompt(session: Session) -> TerminalFront:
    return terminal_front(session, "only a prompt at a terminal has that", "aoshell NAME opens one")


@command("set")
async def set_(session: Session, given: Given) -> CommandOutput:
    """Show the settings of the prompt, or change one for this session.

    For all later sessions, set it in config.toml: [shell] has these names.
    """
    front = _prompt(session)
    note, name = "", given["SETTING"]
    if name:
        line = front.change(name, given["CHOICE"])
        note = f"for this session; in [shell] of config.toml it would be: {line}"
    found = front.settings()
    if name:
        found = [one for one in found if one[0] == name]
    table = Table(("SETTING", "VALUE", "MAY BE"), tuple(found))
    return CommandOutput({name: value for name, value, _ in found}, table=table, note=note)


@command("history")
async def history(session: Session, given: Given) -> CommandOutput:
    """Show the newest lines that were typed in all sessions; with words, those that contain them.

    Ctrl-R searches the same lines, and brings one back.
    """
    rest = given["WORD…"]
    found = _prompt(session).past(rest, MOST * 5 if rest else MOST)
    found.reverse()
    text = "\n".join(line.replace("\n", "\n    ") for line in found)
    nothing = f"no line has {rest}" if rest else "nothing was typed yet"
    return CommandOutput(found, text=text or nothing)


@command("source")
async def source(session: Session, given: Given) -> CommandOutput:
    """Run the lines of a file, Lua and dot commands, as if they were typed here.

    In the file, .source includes another one, from the folder of the file. To evaluate a file of
    Lua as one program, use .load.
    """
    del session
    return CommandOutput(source=path_of_argument(given["FILE"]))
