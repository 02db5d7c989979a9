"""What a node is waited for, and how patiently."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

from aoshell.nodes.values import Stage

_silent = ContextVar("silent", default=False)
_once = ContextVar("once", default=False)


def impatiently() -> None:
    """What this task asks from now on it asks once."""
    _once.set(True)


def tries_left(usual: int) -> int:
    """How often this task asks."""
    return 1 if _once.get() else usual


def silently() -> None:
    """What this task waits for from now on is not for the user to see."""
    _silent.set(True)


class Waiting:
    """What a node is waiting for now; the shell looks at it while a line runs."""

    def __init__(self) -> None:
        self.stage: Stage | None = None

    @asynccontextmanager
    async def during(self, name: str, where: str) -> AsyncIterator[Callable[[str], None]]:
        """A stage, for as long as the block runs; call what it gives to add a note."""
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
        """Note how much of a large answer is there; `whole` as its length was announced."""
        if self.stage is not None and done >= 1 << 20 and not _silent.get():
            of = f" of {int(whole) >> 20}" if whole.isdecimal() and len(whole) < 12 else ""
            self.stage = Stage(self.stage.name, self.stage.where, f"{done >> 20}{of} MB")

    def pass_through(self, name: str, where: str) -> None:
        """Name another stage within the block that runs."""
        if self.stage is not None and not _silent.get():
            self.stage = Stage(name, where, self.stage.note)
