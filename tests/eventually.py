"""Waiting for what comes. A test never waits for a moment: on a loaded machine it is too short."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any

SECONDS = 60.0  # before what does not come counts as missing
_TURNS = 100  # of the loop, in which all that is ready has run


async def until(holds: Callable[[], object], what: str = "") -> None:
    """Let the loop turn until something holds. Raises AssertionError, with `what`."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, what or "it does not come"
        await asyncio.sleep(0.005)


async def turns() -> None:
    """Let run what is ready, and what that makes ready."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """An async test as a plain one, ended when it hangs."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def limited() -> None:
            await asyncio.wait_for(test(*args, **kwargs), SECONDS)

        asyncio.run(limited())

    return run
