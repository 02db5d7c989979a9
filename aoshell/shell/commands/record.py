"""From playing to testing: .record."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aoshell.errors import AoError, Unsupported
from aoshell.nodes.base import Entry
from aoshell.protocol.message import raw
from aoshell.shell.commands import command, usage
from aoshell.shell.commands.code import path_of
from aoshell.shell.commands.messages import computed_of
from aoshell.shell.commands.processes import local
from aoshell.shell.outcome import Reply
from aoshell.shell.session import Session


@command("record", "FILE", file=True)
async def record(session: Session, rest: str) -> Reply:
    """Write what you did in this session as a Lua test, for aoshell test.

    The test makes the processes that your lines and messages went to anew, sends what was sent to
    them from outside since they were made, and expects the answers that came. FILE must be new; a
    name like my_test.lua lets aoshell test find it.
    """
    if not rest:
        raise usage("record")
    local(session)
    if session.record is None:
        raise Unsupported("this session has nothing to record with", hint="aoshell NAME has")
    processes = list(session.visited) or [session.attached.id]
    entries = [entry for process in processes async for entry in computed_of(session, process)]
    entries.sort(key=_moment)
    path = path_of(rest)
    source = await asyncio.to_thread(session.record, entries)
    _write(path, raw(source))
    value = {"file": str(path), "processes": processes, "messages": len(entries)}
    return Reply(value, text=f"{path}: {source.count(chr(10))} lines; aoshell test {path} runs it")


def _moment(entry: Entry) -> int:
    placed = entry.message.assignment
    return placed.timestamp if placed else 0


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise AoError(
            f"{path} exists already", stage="record", hint="name a file that does not"
        ) from None
    except OSError as error:
        raise AoError(
            f"{path} cannot be written: {error.strerror or error}", stage="record"
        ) from error
