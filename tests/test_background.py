"""Work in a thread that the end of the program does not wait for."""

from __future__ import annotations

import asyncio
import threading

import pytest

from aoshell.interrupts import in_background


def test_the_end_does_not_wait_for_it() -> None:
    """Were it waited for, this would not end."""
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait()

    async def give_up() -> None:
        waiting = in_background(work)
        await asyncio.to_thread(begun.wait)
        waiting.cancel()

    try:
        asyncio.run(give_up())
        assert not go_on.is_set()
    finally:
        go_on.set()


def test_what_it_returns_and_raises() -> None:
    def failing() -> None:
        raise ValueError("no")

    async def both() -> None:
        assert await in_background(lambda: 5) == 5
        with pytest.raises(ValueError, match="no"):
            await in_background(failing)

    asyncio.run(both())
