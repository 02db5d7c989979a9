"""The current stage of a node, for the user, and whether the current task repeats requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

from aoshell.nodes.values import Stage

_silent = ContextVar("silent", default=False)
_once = ContextVar("once", default=False)


def disable_retries() -> None:
    """Disable retries for the current task."""
    _once.set(True)


def tries_left(usual: int) -> int:
    """How often the current task tries a request: `usual`, or once."""
    return 1 if _once.get() else usual


def hide_progress() -> None:
    """Hide from the user what the current task waits for."""
    _silent.set(True)


class Waiting:
    """The current stage of a node. The shell reads it while a line runs."""

    def __init__(self) -> None:
        self.stage: Stage | None = None

    @asynccontextmanager
    async def during(self, name: str, where: str) -> AsyncIterator[Callable[[str], None]]:
        """Set the stage while the block runs. Yields a function that adds a note to it."""
        before = self.stage

        def note(text: str) -> None:
            if not _silent.get():
                self.stage = Stage(name, where, text)

        note("")
        try:
            yield note
        finally:
            if not _silent.get():
                self.stage = before

    def progress(self, done: int, whole: str) -> None:
        """Note how many bytes of a large answer have come.

        Args:
            whole: its Content-Length, "" if there is none.
        """
        if self.stage is not None and done >= 1 << 20 and not _silent.get():
            of = f" of {int(whole) >> 20}" if whole.isdecimal() and len(whole) < 12 else ""
            self.stage = Stage(self.stage.name, self.stage.where, f"{done >> 20}{of} MB")

    def enter_stage(self, name: str, where: str) -> None:
        """Change the stage within the block that runs; its note stays."""
        if self.stage is not None and not _silent.get():
            self.stage = Stage(name, where, self.stage.note)
