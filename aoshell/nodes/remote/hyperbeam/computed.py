"""A cache of a node's newest results, so that each slot is requested only once for all who need it:
the waiting line, the feed, and the delivery of its messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from aoshell.errors import AoError
from aoshell.protocol.message import Result

KEPT = 64  # results
LARGEST = 1 << 20  # bytes of output and messages; larger results are not kept


class ComputedResults:
    """The newest results of one node, by process and slot."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], Result] = {}
        self._asked: dict[tuple[str, int], asyncio.Future[Result | AoError | None]] = {}
        self._changed = asyncio.Event()
        self._left = False  # whether no more requests will come

    def leave(self) -> None:
        """No more requests will come: end the present and later waits of `begun`."""
        self._left = True
        self._changed.set()

    def forget(self) -> None:
        """Empty the cache, as when answers begin to be verified."""
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
        """Make a request for a result, and share its answer. Raises AoError as the request does."""
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
        """Wait until a result is requested or cached, at most `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._left and (process, slot) not in self._asked | self._kept:
                    await self._changed.wait()

    async def answer(self, process: str, slot: int) -> Result | AoError | None:
        """The cached result, or the result or error of the request under way; None if there is no
        request, or it was cancelled."""
        key = process, slot
        while ended := self._asked.get(key):
            answer = await asyncio.shield(ended)
            if answer is not None:
                return answer  # else it was cancelled, and another waiting call may have asked
        return self._kept.get(key)
