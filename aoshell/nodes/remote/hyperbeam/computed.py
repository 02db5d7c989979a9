"""Results that a node gave a moment ago, so that each slot is computed for one request, whoever
wants it: the line that waits for it, the feed, and the delivery of what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from aoshell.errors import AoError
from aoshell.protocol.message import Result

KEPT = 64  # results
LARGEST = 1 << 20  # bytes of output and messages of one that is kept


class Computed:
    """The newest results of one node, by process and slot."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], Result] = {}
        self._asked: dict[tuple[str, int], asyncio.Future[bool]] = {}
        self._changed = asyncio.Event()

    def get(self, process: str, slot: int) -> Result | None:
        """A result, None where it is not kept."""
        return self._kept.get((process, slot))

    def forget(self) -> None:
        """Keep none, as when answers begin to be verified."""
        self._kept.clear()

    def keep(self, result: Result) -> None:
        """Keep a result, and drop the oldest."""
        size = len(result.output) + sum(len(one.data) for one in result.messages)
        if size > LARGEST:
            return
        self._kept[result.process, result.slot] = result
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]

    @contextmanager
    def asking(self, process: str, slot: int) -> Iterator[None]:
        """While a result is asked for."""
        key = process, slot
        ended = self._asked[key] = asyncio.get_running_loop().create_future()
        self._changed.set()
        self._changed = asyncio.Event()
        answered = False
        try:
            yield
            answered = True
        except AoError:
            answered = True
            raise
        finally:
            if self._asked.get(key) is ended:
                del self._asked[key]
            ended.set_result(answered)

    async def begun(self, process: str, slot: int, seconds: float) -> None:
        """Wait until a result is asked for or there, or some seconds are over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (process, slot) not in self._asked | self._kept:
                    await self._changed.wait()

    async def settled(self, process: str, slot: int) -> bool:
        """Wait while a result is being asked for.

        Returns:
            Whether somebody asked, and the node answered, be it with a failure.
        """
        ended = self._asked.get((process, slot))
        return ended is not None and await asyncio.shield(ended)
