"""Answers commands that only read at once, while a line runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from aoshell.shell.attached.session import Session
from aoshell.shell.commands.reading import only_reads
from aoshell.shell.lines.meant import asks_for_help, read_word
from aoshell.shell.lines.run import run_beside
from aoshell.shell.outcome import Outcome


class Screenful(Protocol):
    """Where answers are shown."""

    async def answer(self, line: str, outcome: Outcome) -> None:
        """Show a line with its prompt, and the outcome."""

    def queue(self, line: str) -> None:
        """Run a line when its turn comes."""


class Beside:
    """Runs these commands.

    Args:
        session: returns the session, which exists while a line runs.
    """

    def __init__(self, screen: Screenful, session: Callable[[], Session | None]) -> None:
        self._screen, self._session = screen, session
        self._running: set[asyncio.Task[None]] = set()

    def run(self, line: str) -> None:
        """Answer a line for which `may_read` is true."""
        if session := self._session():
            task = asyncio.create_task(self._run(session, line))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    def stop(self) -> bool:
        """Give up those that run. Returns whether any ran."""
        for task in self._running:
            task.cancel()
        return bool(self._running)

    async def _run(self, session: Session, line: str) -> None:
        command = await read_word(session, line)
        if not only_reads(command):  # the process has a global of that name
            self._screen.queue(line)
            return
        await self._screen.answer(line, await run_beside(session, command))


def may_read(line: str) -> bool:
    """Whether a line only reads, unless its word is a global of the process."""
    return only_reads(line) or asks_for_help(line)
