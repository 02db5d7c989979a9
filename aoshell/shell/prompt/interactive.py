"""A session at a terminal: the node opens while the prompt's library is imported."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from aoshell.home.folders import Settings
from aoshell.nodes.base import Node
from aoshell.protocol.message import Result
from aoshell.shell.attached.session import Session
from aoshell.shell.ports.front import Front, Patience
from aoshell.shell.start import OpenNode, Start, close_session, open_session

if TYPE_CHECKING:
    from aoshell.shell.prompt.app import Prompt
    from aoshell.shell.prompt.config import Preferences

CONFIG = "config.toml"


class _Later:
    """A front that keeps what it is given until the real one is loaded."""

    def __init__(self) -> None:
        self._front: asyncio.Future[Front] = asyncio.get_running_loop().create_future()
        self._kept: list[tuple[bool, str]] = []  # whether it is a sentence of the shell
        self._node: Node | None = None

    def become(self, front: Front) -> None:
        self._front.set_result(front)
        for is_note, text in self._kept:
            (front.note if is_note else front.feed)(text)
        if self._node:
            front.opened(self._node)

    asks = True

    def opened(self, node: Node) -> None:
        if self._front.done():
            self._front.result().opened(node)
        else:
            self._node = node

    def feed(self, text: str) -> None:
        if self._front.done():
            self._front.result().feed(text)
        else:
            self._kept.append((False, text))

    def note(self, text: str) -> None:
        if self._front.done():
            self._front.result().note(text)
        else:
            self._kept.append((True, text))

    def partial(self, result: Result) -> None:
        self._front.result().partial(result)

    async def confirm(self, question: str) -> bool:
        return await (await self._front).confirm(question)


async def interact(
    start: Start,
    settings: Settings,
    open_node: OpenNode,
    prompt: str,
    *,
    first: tuple[str, ...],
    startup: bool,
    colour: bool,
) -> int:
    """Run the prompt, whose text is on the screen already. Returns the exit code.

    Args:
        first: lines to run before the first typed one.
        startup: whether the start-up files are run before them.

    Raises:
        AoError: the session could not be opened.
    """
    front = _Later()
    opening = asyncio.create_task(open_session(start, settings, open_node, front, Patience.ANSWER))
    try:
        # The node's workers start now, during the import.
        await asyncio.sleep(0)
        app, preferences = await asyncio.to_thread(_prompt_class, settings.config / CONFIG)
        lines, notes = _startup(start, settings) if startup else ([], [])
        screen = app(
            prompt,
            settings.history,
            first=first,
            silent=tuple(lines),
            colour=colour,
            preferences=preferences,
        )
        front.become(screen)
        for note in notes:
            front.feed(note)
        return await screen.run(opening)
    finally:
        await _put_away(opening)


def _prompt_class(file: Path) -> tuple[type[Prompt], Preferences]:
    from aoshell.shell.prompt.app import Prompt
    from aoshell.shell.prompt.config import load_preferences

    return Prompt, load_preferences(file)


def _startup(start: Start, settings: Settings) -> tuple[list[str], list[str]]:
    """Lines of start-up files, and notes on them. Imports their reader only if there are any."""
    if (
        not (settings.config / "startup.aos").exists()
        and not (settings.config / "startup").exists()
    ):
        return [], []
    from aoshell.shell.prompt.startup import startup_lines

    return startup_lines(settings.config, start.reference, start.startup)


async def _put_away(opening: asyncio.Task[Session]) -> None:
    opening.cancel()
    await asyncio.wait({opening})
    if not opening.cancelled() and not opening.exception():
        await close_session(opening.result())
