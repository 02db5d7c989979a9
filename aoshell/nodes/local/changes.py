"""Waiting for the log to change."""

from __future__ import annotations

import asyncio


class Changes:
    """Those who wait until the node has taken a message, or taken one back."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Return at the next change."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            if future in self._waiting:  # nobody waits any more
                self._waiting.remove(future)

    def tell(self) -> None:
        """Something has changed on disk."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
