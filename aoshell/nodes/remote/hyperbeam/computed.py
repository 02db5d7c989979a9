"""Results that a node gave a moment ago, so that each slot is computed for one request, whoever
wants it: the line that waits for it, the feed, and the delivery of what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from aoshell.errors import AoError
from aoshell.protocol.message import Result

KEPT = 64  # results
LARGEST = 1 << 20  # bytes of output and messages of one that is kept


class Computed:
    """The newest results of one node, by process and slot."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], Result] = {}
        self._asked: dict[tuple[str, int], asyncio.Future[Result | AoError | None]] = {}
        self._changed = asyncio.Event()
        self._left = False  # nobody asks any more

    def leave(self) -> None:
        """Nobody will ask for a result: end the waits of `begun`, and those to come."""
        self._left = True
        self._changed.set()

    def forget(self) -> None:
        """Keep none, as when answers begin to be verified."""
        self._kept.clear()

    def _keep(self, result: Result) -> None:
        """Keep a result, and drop the oldest."""
        size = len(result.output) + sum(len(one.data) for one in result.messages)
        if size > LARGEST:
            return
        self._kept[result.process, result.slot] = result
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]

    async def ask(self, process: str, slot: int, request: Awaitable[Result]) -> Result:
        """Ask for a result. Others get its answer meanwhile. Raises AoError as the request does."""
        key = process, slot
        ended = self._asked[key] = asyncio.get_running_loop().create_future()
        self._changed.set()
        self._changed = asyncio.Event()
        answer: Result | AoError | None = None
        try:
            answer = await request
            self._keep(answer)
            return answer
        except AoError as error:
            answer = error
            raise
        finally:
            if self._asked.get(key) is ended:
                del self._asked[key]
            ended.set_result(answer)

    async def begun(self, process: str, slot: int, seconds: float) -> None:
        """Wait until a result is asked for or there, or some seconds are over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._left and (process, slot) not in self._asked | self._kept:
                    await self._changed.wait()

    async def answer(self, process: str, slot: int) -> Result | AoError | None:
        """What is kept, or what this moment's request comes to, be it a failure that whoever asked
        is told; None where nobody asks, or gave up."""
        key = process, slot
        while ended := self._asked.get(key):
            answer = await asyncio.shield(ended)
            if answer is not None:
                return answer  # else somebody who waited as well may ask now
        return self._kept.get(key)
