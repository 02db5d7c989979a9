"""Ctrl-C while a coroutine runs: at every moment, and more than once."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from aoshell import interrupts
from aoshell.interrupts import run_on

LINES = 400  # of asyncio, more than run from the first Ctrl-C to the end of the loop


@contextmanager
def default() -> Iterator[None]:
    """Python's own handler, whatever runs the tests has set."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def pressed_twice(second: int) -> Iterator[Callable[[], None]]:
    """Ctrl-C comes at the next line of asyncio once the block's value is called, and again so many
    lines behind it."""
    count = -1

    def count_line(_frame: FrameType, event: str, _value: object) -> Any:
        nonlocal count
        if event == "line" and count >= 0:
            if count in (0, second):
                signal.raise_signal(signal.SIGINT)
            count += 1
        return count_line

    def trace(frame: FrameType, _event: str, _value: object) -> Any:
        return count_line if asyncio.__name__ in frame.f_globals.get("__name__", "") else None

    def begin() -> None:
        nonlocal count
        count = max(count, 0)

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield begin
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("first", range(1, 11))
def test_a_second_one_at_any_line_of_the_loop(first: int) -> None:
    """What runs puts away what it began, and the run ends: no call of the loop is lost."""
    put_away = 0

    async def one(begin: Callable[[], None]) -> None:
        nonlocal put_away
        try:
            while True:
                await asyncio.sleep(0)
                begin()
        finally:
            put_away += 1

    async def two(begin: Callable[[], None]) -> None:
        await asyncio.gather(one(begin), one(begin))

    with default():
        for second in range(first, LINES, 10):
            put_away = 0
            with pytest.raises(KeyboardInterrupt), pressed_twice(second) as begin:
                interrupts.run(two(begin))
            assert put_away == 2, second


def test_each_one_cancels_what_still_runs() -> None:
    """Who puts something away is not waited for for ever."""
    cancelled = 0

    async def stubborn() -> None:
        nonlocal cancelled
        for _ in range(3):
            try:
                asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1
        raise asyncio.CancelledError

    with default(), pytest.raises(KeyboardInterrupt):
        interrupts.run(stubborn())
    assert cancelled == 3


def test_it_reaches_what_the_runner_waits_for_at_its_end() -> None:
    ended, tasks = [], []

    async def stays() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

    async def leaves() -> int:
        tasks.append(asyncio.create_task(stays()))
        await asyncio.sleep(0)
        return 7

    with default():
        assert interrupts.run(leaves()) == 7
    assert ended == [True]


def test_it_breaks_off_what_keeps_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one, once the loop has not turned for a while."""
    monkeypatch.setattr(interrupts, "_BLOCKED", 0.0)
    lines = []

    async def computes() -> None:
        signal.raise_signal(signal.SIGINT)
        lines.append("went on")
        while True:
            signal.raise_signal(signal.SIGINT)

    with default(), pytest.raises(KeyboardInterrupt):
        interrupts.run(computes())
    assert lines == ["went on"]


def test_a_result_is_given_though_it_came() -> None:
    """What was done is done."""

    async def done() -> int:
        signal.raise_signal(signal.SIGINT)
        return 7

    with default():
        assert interrupts.run(done()) == 7


def test_who_is_cancelled_by_others_was_not_interrupted() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with default(), pytest.raises(asyncio.CancelledError):
        interrupts.run(cancelled())


def test_what_is_kept_ends_the_next_coroutine() -> None:
    """One, as it begins; the coroutine that puts things away behind it runs."""
    ran = []

    async def work(name: str) -> None:
        await asyncio.sleep(0)
        ran.append(name)

    before = signal.getsignal(signal.SIGINT)
    with default(), interrupts.kept():
        interrupts.run(work("first"))
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.run(work("second"))
        interrupts.run(work("third"))
    assert ran == ["first", "third"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_parent_that_ignores_it_has_its_way() -> None:
    async def works() -> int:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
        return 7

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert interrupts.run(works()) == 7
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_signal_while_a_runner_begins_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that comes before the work has begun is not forgotten."""
    take_over = signal.signal

    def taken_over(number: int, handler: object) -> object:
        before = take_over(number, handler)  # type: ignore[arg-type]
        if callable(handler) and handler is not signal.default_int_handler:
            signal.raise_signal(signal.SIGINT)
        return before

    async def work() -> None:
        await asyncio.sleep(60)

    with default(), asyncio.Runner() as runner:
        monkeypatch.setattr(signal, "signal", taken_over)
        with pytest.raises(KeyboardInterrupt):
            run_on(runner, work())
        monkeypatch.undo()
