"""What needs a terminal: .editor and .pad for code of several lines, .more, .names."""

from __future__ import annotations

from aoshell.shell.attached.session import Session
from aoshell.shell.commands import command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.terminal import TerminalFront, terminal_front
from aoshell.shell.outcome import CommandOutput


def _screen(session: Session, instead: str) -> TerminalFront:
    return terminal_front(session, "that needs a terminal", instead)


_TYPED = "in a pipe, code may have several lines as it is"


@command("editor")
async def editor(session: Session, _: Given) -> CommandOutput:
    """Write code of several lines, and evaluate it when it is done.

    Enter always begins the next line. .done evaluates, .cancel discards, .delete takes back the
    line above, .print shows all lines so far.
    """
    return await _evaluated(session, await _screen(session, _TYPED).compose())


@command("pad")
async def pad(session: Session, _: Given) -> CommandOutput:
    """Write code in $EDITOR; it is evaluated when you leave the editor.

    The editor begins with what you wrote last in this session. Code that is empty, or that you did
    not change, is not evaluated.
    """
    return await _evaluated(session, await _screen(session, _TYPED).pad())


async def _evaluated(session: Session, code: str) -> CommandOutput:
    if not code.strip():
        return CommandOutput({"evaluated": False}, note="nothing was evaluated")
    answer = await session.evaluate(await session.naming.in_lua(code), shown=code)
    return CommandOutput(answer=answer, ok=answer.ok)


@command("more")
async def more(session: Session, _: Given) -> CommandOutput:
    """Show the whole of the last answer that was cut, in $PAGER or less.

    An answer of more than two screens stops after one. `pager = true` in the config file shows
    every answer longer than the screen in the pager.
    """
    found = await _screen(session, "in a pipe, answers are shown whole").more()
    return CommandOutput({"shown": found}, note="" if found else "no answer was cut")


@command("names")
async def names(session: Session, _: Given) -> CommandOutput:
    """Read the names of the attached process, for completion.

    On the built-in node this happens after each line. A process on a remote node is asked only by
    this command, with a dry run, which changes nothing.
    """
    count = await _screen(session, "the names are for completion by Tab").learn_names()
    return CommandOutput({"names": count}, text=f"{count} names")
