"""Work on the database that takes long: in a thread, or a slice at a time, and seen meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from aoshell.nodes.base import Stage

Progress = Callable[[int], None]
"""Told how many messages are done; raises where nobody waits any more."""

T = TypeVar("T")


class _GivenUp(BaseException):
    """Nobody waits for what a thread does."""


class LongWork:
    """What a node is at.

    Attributes:
        stage: for who waits; None while there is nothing to tell.
    """

    def __init__(self) -> None:
        self.stage: Stage | None = None

    @contextmanager
    def seen(self, name: str, process: str, whole: int) -> Iterator[Progress]:
        """Work on a process, in the words of `nodes.base.Stage`, on so many messages."""
        before, self.stage = self.stage, Stage(name, process)

        def progress(done: int) -> None:
            self.stage = Stage(name, process, f"{done:,} of {whole:,} messages")

        try:
            yield progress
        finally:
            self.stage = before


async def in_thread(work: Callable[[Progress], T], progress: Progress) -> T:
    """Run work in a thread; the loop goes on. Cancelled, it ends the work and waits for that."""
    given_up = threading.Event()

    def told(done: int) -> None:
        if given_up.is_set():
            raise _GivenUp
        progress(done)

    running = asyncio.ensure_future(asyncio.to_thread(work, told))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        given_up.set()
        await asyncio.wait({running})
        running.exception()  # it is known
        raise
