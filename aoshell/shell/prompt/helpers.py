"""Helps while a line is typed: completion, signatures, toolbar. Loaded after the prompt is
shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.key_binding.vi_state import InputMode

from aoshell.errors import AoError
from aoshell.nodes.values import ProcessInfo
from aoshell.shell.attached.session import Session
from aoshell.shell.lines.multiline import is_command
from aoshell.shell.outcome import Outcome
from aoshell.shell.prompt import toolbar
from aoshell.shell.prompt.names import Keeper, read_names
from aoshell.shell.prompt.offering import Offering

_MODES = {
    InputMode.INSERT: "INSERT",
    InputMode.NAVIGATION: "NORMAL",
    InputMode.REPLACE: "REPLACE",
    InputMode.REPLACE_SINGLE: "REPLACE",
    InputMode.INSERT_MULTIPLE: "INSERT",
}


class Helpers:
    """Learns about the session from its lines, and asks the node for the rest between them.

    Args:
        invalidate: causes the screen to be drawn again.
        idle: whether no line runs.
        opens: whether the menu opens by itself.
    """

    def __init__(
        self,
        buffer: Buffer,
        invalidate: Callable[[], None],
        idle: Callable[[], bool],
        *,
        opens: Callable[[], bool],
    ) -> None:
        self._buffer, self._invalidate = buffer, invalidate
        self._names = Keeper(idle)
        self._offering = Offering(buffer, self._names, opens=opens)
        self._facts = toolbar.ToolbarFacts()
        self._asking: asyncio.Task[None] | None = None
        self._typed: tuple[str, int, int] | None = None
        self._signature = ""

    def tab(self, session: Session | None) -> None:
        """Complete what stands before the cursor."""
        self._offering.tab(session)

    def look(self, session: Session) -> None:
        """When nothing runs: read what has changed."""
        self._names.later(session)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(session))

    def stop(self) -> None:
        """Called when a line begins to run, or the shell ends."""
        self._offering.close()
        self._names.stop()
        if self._asking:
            self._asking.cancel()
            self._asking = None

    def learn(self, session: Session, line: str, outcome: Outcome) -> None:
        """Learn from a line and its outcome."""
        if session.process:
            self._attach(session.process)
        self._facts.learn(outcome)
        if outcome.ok and not is_command(line):
            self._names.of(session).learn(line)

    async def read(self, session: Session) -> int:
        """Read the names of the attached process. Returns how many globals it has.

        Raises:
            AoError: it cannot be asked.
        """
        names = self._names.of(session)
        await read_names(session, names)
        return len(names.at(()))

    def below(self, session: Session | None, prompt: str, columns: int) -> tuple[str, str]:
        """The class and text of the line below the prompt: a signature, else the toolbar."""
        kind, text = self.signature(session, columns)
        if text:
            return kind, text
        if session and session.process:
            self._attach(session.process)
            self._facts.identity = session.identity
            self._facts.attestation = session.attestation
        return "toolbar", toolbar.line(self._facts, prompt, columns, _mode())

    def _attach(self, process: ProcessInfo) -> None:
        self._facts.attach(process)

    def signature(self, session: Session | None, columns: int) -> tuple[str, str]:
        """The signature of the call that is being typed."""
        typed = (self._buffer.text, self._buffer.cursor_position, columns)
        if typed != self._typed:
            self._typed = typed
            before = self._buffer.document.text_before_cursor
            self._signature = toolbar.signature(before, self._names.of(session), columns)
        return "signature", self._signature

    async def _ask(self, session: Session) -> None:
        before = (self._facts.node, self._facts.wallet)
        facts = self._facts
        # Lines wait for a wallet that is being made; the toolbar does not.
        if session.identities.ready:
            facts.wallet = await _or_empty(_address(session))
        if facts.node is None:
            with suppress(AoError):  # then the toolbar omits it
                facts.node = await session.node.info()
        if before != (facts.node, facts.wallet):
            self._invalidate()


async def _address(session: Session) -> str:
    return (await session.wallet()).address


async def _or_empty(asked: Coroutine[Any, Any, str]) -> str:
    try:
        return await asked
    except AoError:
        return ""


def _mode() -> str:
    app = get_app()
    return _MODES.get(app.vi_state.input_mode, "") if app.editing_mode == EditingMode.VI else ""
