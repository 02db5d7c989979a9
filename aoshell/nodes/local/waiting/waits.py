"""Futures of waiting calls, by keys."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Waits(Generic[K]):
    """Waits by key. A cancelled wait leaves nothing behind."""

    def __init__(self) -> None:
        self._futures: dict[K, list[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        """Number of keys with waits."""
        return len(self._futures)

    def __contains__(self, key: K) -> bool:
        return key in self._futures

    def __iter__(self) -> Iterator[K]:
        """The keys with waits now; they may be released during the iteration."""
        return iter(list(self._futures))

    async def wait(self, key: K) -> None:
        """Return at the next `release` of a key. Raises the error given to `fail`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.setdefault(key, []).append(future)
        try:
            await future
        finally:
            waiting = self._futures.get(key, [])
            if future in waiting:  # the wait was cancelled
                waiting.remove(future)
                if not waiting:
                    del self._futures[key]

    def release(self, key: K) -> None:
        """End the waits for a key."""
        for future in self._futures.pop(key, ()):
            if not future.done():  # else the wait was cancelled
                future.set_result(None)

    def fail(self, key: K, error: Exception) -> None:
        """End the waits for a key with an error."""
        for future in self._futures.pop(key, ()):
            if not future.done():
                future.set_exception(error)
