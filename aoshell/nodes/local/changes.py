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
        await future

    def tell(self) -> None:
        """Something has changed on disk."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():  # cancelled: nobody waits any more
                future.set_result(None)
