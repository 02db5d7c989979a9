"""Calls that are made later, and again while the disk cannot be written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from eventually import in_loop, until

from aoshell.errors import AoError
from aoshell.nodes.database_errors import UnusableDatabaseError
from aoshell.nodes.local.waiting import retries
from aoshell.nodes.local.waiting.retries import TRIES, Retries

FULL = AoError("disk is full", stage="store")
USELESS = UnusableDatabaseError("not a database", stage="store")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "RETRY", 0.001)


class Told:
    """Retries, their notices, and who gets the error."""

    def __init__(self, *, awaited: bool = False) -> None:
        self.notices: list[str] = []
        self.failed: list[AoError] = []
        self.retries = Retries(self.notices.append, lambda: awaited, self.failed.append)


def failing(times: int, calls: list[int], error: AoError = FULL) -> Callable[[], None]:
    """A call that fails so many times."""

    def call() -> None:
        calls.append(len(calls))
        if len(calls) <= times:
            raise error

    return call


@in_loop
async def test_a_call_is_made_once_and_can_be_asked_for_again() -> None:
    told, calls = Told(), list[int]()
    for number in range(1, 4):
        for _ in range(2):
            told.retries.call_later("sync", failing(0, calls))
        assert told.retries.waits("sync")
        await until(lambda: len(calls) == number)  # noqa: B023 - awaited here
        assert not told.retries.waits("sync")
    assert (told.notices, told.failed) == ([], [])


@in_loop
async def test_what_fails_is_called_again_until_it_can_be_made() -> None:
    told, calls = Told(), list[int]()
    told.retries.call_later("retry", failing(TRIES + 1, calls))
    await until(lambda: len(calls) == TRIES + 2)
    assert not told.retries.waits("retry")
    assert (told.notices, told.failed) == ([str(FULL)], [FULL] * 2)
    assert told.retries.lasting_error is FULL
    told.retries.forget_failures()
    assert told.retries.lasting_error is None


@in_loop
async def test_what_cannot_get_better_is_not_called_again() -> None:
    told, calls = Told(awaited=True), list[int]()
    told.retries.call_later("retry", failing(9, calls, USELESS))
    await until(lambda: calls)
    assert not told.retries.waits("retry")
    assert (told.notices, told.failed) == ([str(USELESS)], [USELESS])


@in_loop
async def test_what_is_stopped_is_not_called() -> None:
    told, calls = Told(), list[int]()
    told.retries.call_later("one", failing(0, calls), 0)
    told.retries.call_later("other", failing(0, calls), 0)
    told.retries.stop()
    await asyncio.sleep(0.01)
    assert calls == [] and not told.retries.waits("one")
