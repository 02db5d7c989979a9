"""Signs the typed line when the user pauses after text that can be sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from aoshell.shell.attached.session import Session
from aoshell.shell.lines.run import read_code
from aoshell.shell.prompt.entry import PromptInput

PAUSE = 0.15  # seconds without a key, after which a line is signed
MOST_TYPED = 10_000  # characters of a line that is signed ahead
MOST_SIGNED = 100  # texts that are signed before one is entered


class SigningAhead:
    """Makes one signature at a time, and one for each text.

    Args:
        entry: what is typed.
        session: that it goes to, None before there is one.
        idle: whether no line runs.
    """

    def __init__(
        self, entry: PromptInput, session: Callable[[], Session | None], idle: Callable[[], bool]
    ) -> None:
        self._entry, self._session, self._idle = entry, session, idle
        self._due: asyncio.TimerHandle | None = None
        self._making: asyncio.Task[None] | None = None
        self._signed: set[int] = set()  # hashes of texts
        self._entered = False

    def changed(self) -> None:
        """Called when the text changes: what was signed will not be sent."""
        if self._entered:
            return
        self._drop()
        if not self._entry.empty:
            with suppress(RuntimeError):  # no loop runs: it is not a user who fills the line
                self._due = asyncio.get_running_loop().call_later(PAUSE, self._begin)

    def entered(self) -> None:
        """Called when the typed line will run: its signature stays until then."""
        self._entered = True
        self._stop()
        self._signed.clear()

    def ended(self) -> None:
        """Called when a line has run, or the shell ends."""
        self._entered = False
        self._drop()

    def _drop(self) -> None:
        self._stop()
        if self._making:
            self._making.cancel()
            self._making = None
        if session := self._session():
            session.ahead.forget()

    def _stop(self) -> None:
        if self._due:
            self._due.cancel()
            self._due = None

    def _begin(self) -> None:
        self._due = None
        session, line = self._session(), self._entry.line if self._idle() else ""
        if not session or not line or len(line) > MOST_TYPED or hash(line) in self._signed:
            return
        if len(self._signed) < MOST_SIGNED:
            self._signed.add(hash(line))
            self._making = asyncio.create_task(self._sign(session, line))

    async def _sign(self, session: Session, line: str) -> None:
        with suppress(Exception):  # sending the line shows the error
            await session.sign_ahead(await read_code(session, line))
