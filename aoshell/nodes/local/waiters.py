"""Those who wait for the result of a slot."""

from __future__ import annotations

import asyncio


class Waiters:
    """Futures by process number and slot."""

    def __init__(self) -> None:
        self._futures: dict[tuple[int, int], list[asyncio.Future[None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._futures)

    async def wait(self, process: int, slot: int) -> None:
        """Return once the slot's result is on disk. Raises the AoError given to `fail`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.setdefault((process, slot), []).append(future)
        await future

    def release(self, process: int, slot: int) -> None:
        """Let those go on who wait for a slot."""
        for future in self._futures.pop((process, slot), ()):
            if not future.done():  # cancelled: nobody waits any more
                future.set_result(None)

    def fail(self, error: Exception, process: int | None = None) -> None:
        """Raise an error for those who wait for results of a process, or of any (None)."""
        for key in [key for key in self._futures if process is None or key[0] == process]:
            for future in self._futures.pop(key):
                if not future.done():
                    future.set_exception(error)
