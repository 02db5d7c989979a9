"""Work on the database that takes long: in a thread, or a slice at a time, and seen meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from aoshell.nodes.values import Stage

Progress = Callable[[int], None]
"""Told how many messages are done; raises where nobody waits any more."""

T = TypeVar("T")


class _GivenUpError(BaseException):
    """Nobody waits for what a thread does."""


class LongWork:
    """What a node is at.

    Attributes:
        stage: for who waits; None while there is nothing to tell.
    """

    def __init__(self) -> None:
        self.stage: Stage | None = None

    @contextmanager
    def seen(self, name: str, where: str, whole: int = 0) -> Iterator[Progress]:
        """Work that is seen while the block runs, in the words of `nodes.base.Stage`.

        Args:
            whole: how many messages it is about, 0 where that is not known.
        """
        before, self.stage = self.stage, Stage(name, where)
        of = f" of {whole:,}" if whole else ""

        def progress(done: int) -> None:
            self.stage = Stage(name, where, f"{done:,}{of} messages")

        try:
            yield progress
        finally:
            self.stage = before


async def run_in_thread(work: Callable[[Progress], T], progress: Progress) -> T:
    """Run work in a thread; the loop goes on. Cancelled, it ends the work and waits for that."""
    given_up = threading.Event()

    def told(done: int) -> None:
        if given_up.is_set():
            raise _GivenUpError
        progress(done)

    running = asyncio.ensure_future(asyncio.to_thread(work, told))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        given_up.set()
        await asyncio.wait({running})
        running.exception()  # it is known
        raise
