"""From playing to testing: .record."""

from __future__ import annotations

import asyncio

from aoshell.errors import Unsupported
from aoshell.nodes.base import Entry
from aoshell.protocol.message import raw
from aoshell.shell.commands import command, usage
from aoshell.shell.commands.messages import computed_of
from aoshell.shell.commands.processes import local
from aoshell.shell.files import path_of, write_new
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
    write_new(path, raw(source), "record")
    value = {"file": str(path), "processes": processes, "messages": len(entries)}
    return Reply(value, text=f"{path}: {source.count(chr(10))} lines; aoshell test {path} runs it")


def _moment(entry: Entry) -> int:
    placed = entry.message.assignment
    return placed.timestamp if placed else 0
