"""What runs while you type: .live, .pause and .watch."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from pathlib import Path

from aoshell.bounded.files import is_file
from aoshell.errors import UsageError
from aoshell.shell.attached.feed import Where
from aoshell.shell.attached.session import Session
from aoshell.shell.code.files import path_of_argument, read_file
from aoshell.shell.code.reloading import Reloader
from aoshell.shell.commands import command, quoted_words
from aoshell.shell.commands.grammar import Given
from aoshell.shell.outcome import CommandOutput


@command("live")
async def live(session: Session, given: Given) -> CommandOutput:
    """Show what arrives at the attached process, and what your lines cause in others.

    This is on at the start. After .pause, what came during the pause is shown first. --where shows
    only messages that have all of these tags, even if they print nothing; * in a VALUE stands for
    anything, @NAME for an id: .live --where Action=*-Notice From=@token. Without --where all are
    shown again.
    """
    where = await _where(session, given["NAME=VALUE…"])
    feed = session.feed
    missed = feed.resume()
    feed.where = where
    value = {"where": dict(where.pairs) if where else None, "missed": missed}
    shown = f"messages with {where} are shown" if where else "what arrives is shown"
    return CommandOutput(value, note=f"{shown}; .pause stops that")


@command("pause")
async def pause(session: Session, _: Given) -> CommandOutput:
    """Show only answers; .live then shows what came, the newest 1,000 notes."""
    session.feed.pause()
    return CommandOutput({"paused": True}, note="what arrives is kept for .live")


async def _where(session: Session, tags: str) -> Where | None:
    pairs = [word.partition("=") for word in quoted_words("live", tags)]
    if not pairs:
        return None
    named = [(name, await session.naming.in_word(value)) for name, _, value in pairs]
    return Where(tuple(named))


@command("watch")
async def watch(session: Session, given: Given) -> CommandOutput:
    """Load files like .load, now and whenever they or the files they require are saved.

    It lists the handlers that change. At a terminal it goes on in the background until .watch off,
    or Ctrl-C on an empty line; in a script until Ctrl-C.
    """
    named = given["FILE…|off"]
    if named == "off":
        ended = await session.end_watch()
        return CommandOutput({"watching": []}, text="nothing is watched" + " any more" * ended)
    files = _files(named)
    value = {"process": session.attached.id, "watching": [str(file) for file in files]}
    for file in files:
        read_file(file)
    reloader = Reloader(session)
    for file in files:
        session.front.feed(await reloader.load(file))
    await session.end_watch()
    if not session.front.asks:
        await reloader.follow(nullcontext())  # this line has the turn already
    session.watching = asyncio.create_task(reloader.follow(session.turn))
    return CommandOutput(value, note=f"watching {', '.join(map(str, files))}; .watch off ends it")


def _files(rest: str) -> list[Path]:
    """The files of an argument; names with spaces are in quotes."""
    if is_file(path_of_argument(rest)):
        return [path_of_argument(rest)]
    words = quoted_words("watch", rest)
    if "" in words:
        raise UsageError(".watch: FILE may not be empty", hint=".help watch")
    return [path_of_argument(word) for word in words]
