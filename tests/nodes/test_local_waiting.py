"""`Roots`, `Waiters` and `Retries`, each by itself."""

from __future__ import annotations

import asyncio

import pytest
from eventually import in_loop

from aoshell.errors import AoError
from aoshell.nodes.database_errors import UnusableDatabaseError
from aoshell.nodes.local.log.rows import Logged
from aoshell.nodes.local.waiting import retries
from aoshell.nodes.local.waiting.retries import TRIES, Retries
from aoshell.nodes.local.waiting.roots import Roots
from aoshell.nodes.local.waiting.settling import Waiters

FULL = AoError("cannot be written: database or disk is full", stage="store")


def root(seq: int) -> Logged:
    """A message from outside."""
    return Logged(seq, 1, seq, 0, f"id {seq}", None, None, seq, 0, 0, 0, "", None, b"")


class Watched:
    """A `Retries` whose notices and errors are kept."""

    def __init__(self, awaited: bool = False) -> None:
        self.notices: list[str] = []
        self.errors: list[AoError] = []
        self.retries = Retries(self.notices.append, lambda: awaited, self.errors.append)


@in_loop
async def test_one_who_has_gone_keeps_nobody_else_waiting() -> None:
    roots, waiters = Roots(lambda _: ""), Waiters()
    roots.begin(root(1))
    waits = [asyncio.ensure_future(roots.wait("id 1")) for _ in range(2)]
    waits += [asyncio.ensure_future(waiters.wait(1, 0)) for _ in range(2)]
    await asyncio.sleep(0)
    for gone in waits[::2]:
        gone.cancel()
    await asyncio.sleep(0)
    roots.done(root(1))
    roots.settle(1)
    waiters.release(1, 0)
    await asyncio.gather(*waits[1::2])
    assert not roots.awaited and not waiters


@in_loop
async def test_an_error_reaches_those_whom_it_concerns() -> None:
    roots, waiters = Roots(lambda _: ""), Waiters()
    for seq in (1, 2):
        roots.begin(root(seq))
    waits = [asyncio.ensure_future(roots.wait(f"id {seq}")) for seq in (1, 1, 2)]
    waits += [asyncio.ensure_future(waiters.wait(process, 5)) for process in (1, 1, 2)]
    await asyncio.sleep(0)
    for gone in waits[::3]:
        gone.cancel()
    await asyncio.sleep(0)
    roots.fail(FULL, {1})
    waiters.fail(FULL, 1)
    await asyncio.sleep(0)
    assert [wait.done() for wait in waits] == [True, True, False] * 2
    roots.fail(FULL)
    waiters.fail(FULL)
    for wait in waits[1:3] + waits[4:]:
        with pytest.raises(AoError, match="full"):
            await wait
    assert not roots.awaited and not waiters


@in_loop
async def test_a_call_is_made_once_and_not_after_it_was_cancelled() -> None:
    later, calls = Watched().retries, list[str]()
    later.call_later("kept", lambda: calls.append("first"), 0.01)
    later.call_later("kept", lambda: calls.append("second"), 0)
    later.call_later("cancelled", lambda: calls.append("cancelled"), 0)
    later.cancel("cancelled")
    assert (later.waits("kept"), later.waits("cancelled")) == (True, False)
    while later.waits("kept"):
        await asyncio.sleep(0.005)
    later.call_later("stopped", lambda: calls.append("stopped"), 0)
    later.stop()
    await asyncio.sleep(0.05)
    assert calls == ["first"]


@pytest.mark.parametrize("awaited", [False, True])
@in_loop
async def test_who_waits_gets_the_error_when_retries_have_not_helped(awaited: bool) -> None:
    """If nobody waits, a notice shows the first failure, and no later one."""
    one = Watched(awaited)
    for count in range(1, TRIES + 2):
        assert one.retries.count_failure(FULL) == retries.RETRY
        assert one.notices == ([] if awaited else [str(FULL)])
        assert len(one.errors) == max(0, count - TRIES + 1)
        assert one.retries.lasting_error is (FULL if count >= TRIES else None)
    one.retries.forget_failures()
    assert one.retries.lasting_error is None


@pytest.mark.parametrize("awaited", [False, True])
@in_loop
async def test_a_damaged_database_is_shown_at_once_and_not_tried_again(awaited: bool) -> None:
    one, damaged = Watched(awaited), UnusableDatabaseError("it is damaged", stage="store")
    one.retries.call_again(damaged, "retry", lambda: None)
    assert (one.notices, one.errors) == ([str(damaged)], [damaged])
    assert not one.retries.waits("retry")


@in_loop
async def test_what_fails_is_called_again_until_it_does_not(monkeypatch) -> None:
    monkeypatch.setattr(retries, "RETRY", 0.001)
    one, left = Watched(), [FULL] * 3

    def call() -> None:
        if left:
            raise left.pop()

    one.retries.call_later("retry", call)
    while one.retries.waits("retry"):
        await asyncio.sleep(0.001)
    assert not left and one.retries.failures == 3
