"""Long work on the database, in a thread or in slices, with its progress for the prompt."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from aoshell.nodes.values import Stage

Progress = Callable[[int], None]
"""Called with the number of messages done; raises if the work was cancelled."""

T = TypeVar("T")


class _GivenUpError(BaseException):
    """Ends cancelled work; not an Exception, so that the work does not catch it."""


class LongWork:
    """The long work of a node; there may be several at a time."""

    def __init__(self) -> None:
        self._stages: dict[object, Stage] = {}

    @property
    def stage(self) -> Stage | None:
        """The work that began last, for the prompt; None if there is none."""
        return next(reversed(self._stages.values()), None)

    @contextmanager
    def seen(self, name: str, where: str, whole: int = 0) -> Iterator[Progress]:
        """Show work as a stage while the block runs; see `nodes.values.Stage`.

        Args:
            whole: number of messages, 0 if not known.
        """
        work = object()
        self._stages[work] = Stage(name, where)
        of = f" of {whole:,}" if whole else ""

        def progress(done: int) -> None:
            self._stages[work] = Stage(name, where, f"{done:,}{of} messages")

        try:
            yield progress
        finally:
            del self._stages[work]


async def run_in_thread(work: Callable[[Progress], T], progress: Progress) -> T:
    """Run work in a thread while the loop goes on. If cancelled, stop the work and wait for it."""
    given_up = threading.Event()

    def report(done: int) -> None:
        if given_up.is_set():
            raise _GivenUpError
        progress(done)

    running = asyncio.ensure_future(asyncio.to_thread(work, report))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        given_up.set()
        await asyncio.wait({running})
        running.exception()  # taken, or asyncio would log it as never retrieved
        raise
