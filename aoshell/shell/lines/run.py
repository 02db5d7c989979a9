"""Runs one line: Lua in the attached process, or a dot command."""

from __future__ import annotations

from dataclasses import replace

from aoshell.errors import AoError
from aoshell.nodes.values import Verify
from aoshell.scarcity import to_ao_error
from aoshell.shell.attached.session import Session
from aoshell.shell.lines.meant import read_expression, read_word
from aoshell.shell.lines.multiline import is_command
from aoshell.shell.outcome import CommandOutput, LineAnswer, LineFailure, Outcome


async def run_line(session: Session, line: str) -> Outcome:
    """Run a complete line. Cancelling ends the wait only; nothing is taken back.

    Args:
        line: Lua, or a dot command.

    Returns:
        Its outcome; an error is a `LineFailure`, never raised.
    """
    async with session.turn:
        session.sent, session.sending = None, ""
        _follow_pin(session)
        outcome: Outcome
        try:
            line = await read_word(session, line)
            session.commanded, session.looked_back = is_command(line), None
            if session.commanded:
                from aoshell.shell.commands import run_command

                outcome = _dated(session, _with_lines(await run_command(session, line)))
            else:
                outcome = await session.evaluate(await read_code(session, line), shown=line)
            outcome = await _advised(session, outcome)
        except AoError as error:
            outcome = LineFailure(error)
        except Exception as error:
            outcome = LineFailure(to_ao_error(error))
        session.sending = ""  # not after a cancel: `given_up` needs it
        return outcome


async def read_code(session: Session, line: str) -> str:
    """The code that a line of Lua sends. Raises AoError as `Naming.in_lua`."""
    return await session.naming.in_lua(read_expression(line) or line)


def _with_lines(output: CommandOutput) -> CommandOutput:
    """The output with the lines of the file that it asks to run."""
    if output.source is None:
        return output
    from aoshell.shell.lines.sourcing import read_lines

    lines = read_lines(output.source)
    value = {"file": str(output.source), "lines": len(lines)}
    return replace(output, value=value, source=None, then=tuple(lines))


def _dated(session: Session, output: CommandOutput) -> CommandOutput:
    """The output with a note if it read an earlier state because the process was computing."""
    if session.looked_back is None:
        return output
    note = f"as it was before slot {session.looked_back}, which is being computed:"
    return replace(output, note=f"{output.note}\n{note}" if output.note else note)


async def run_beside(session: Session, command: str) -> Outcome:
    """Run a command that only reads, while another line is waited for, without affecting it."""
    from aoshell.shell.commands import run_command

    try:
        session.looked_back = None
        return _dated(session, await run_command(session, command))
    except AoError as error:
        return LineFailure(error)
    except Exception as error:
        return LineFailure(to_ao_error(error))


async def _advised(session: Session, outcome: Outcome) -> Outcome:
    """The outcome with a hint if the line seems to have meant something else."""
    answer = outcome.answer if isinstance(outcome, CommandOutput) else outcome
    if not isinstance(answer, LineAnswer) or (answer.last.ok and answer.last.returned != "nil"):
        return outcome
    from aoshell.shell.help.mistakes import advise

    advised = replace(answer, advice=await advise(session, answer))
    return replace(outcome, answer=advised) if isinstance(outcome, CommandOutput) else advised


def _follow_pin(session: Session) -> None:
    node = session.node.remote
    if node and node.verify is Verify.ATTESTED:
        from aoshell.shell.attestation.holding import follow_pin

        if notice := follow_pin(session, node):
            session.front.feed(notice)
