"""The feed of a remote node by itself: order, pauses, and what it remembers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eventually import turns, until

from aoshell.errors import AoError
from aoshell.nodes.remote import feed as feeds
from aoshell.nodes.remote.feed import FeedStep, RemoteFeed
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.remote.results import from_json
from aoshell.nodes.values import Event, LogEntry
from aoshell.protocol.message import Assignment, Message

NODE, PROCESS = "https://node.example", "p" * 43


def entry(slot: int, output: str = "out", root: str = "") -> LogEntry:
    place = Assignment(PROCESS, slot, 0, 0, 0, "")
    message = Message(f"id {slot}", "o", "o", PROCESS, (), b"", "", root, place)
    return LogEntry(message, from_json(PROCESS, slot, {"Output": {"data": output}}, 0.0))


class Log:
    """A process that grows; its cursor is the last slot."""

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []
        self.looks: list[float] = []
        self.trouble: AoError | None = None

    async def page(self, process: str, cursor: Any) -> Sequence[FeedStep]:
        assert process == PROCESS
        self.looks.append(asyncio.get_running_loop().time())
        if self.trouble:
            raise self.trouble
        if cursor is None:
            return [FeedStep(len(self.entries) - 1)]
        return [
            FeedStep(slot, self.entries[slot]) for slot in range(cursor + 1, len(self.entries))
        ][:3]

    def grow(self, count: int) -> None:
        self.entries += [entry(len(self.entries) + n) for n in range(count)]


Test = Callable[[RemoteFeed, Log, Book], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., None]:
    def running(test: Test, log: Log | None = None, *, longest: float = 0.04) -> None:
        async def whole() -> None:
            grown = log or Log()
            book = Book(tmp_path / "book.db")
            feed = RemoteFeed(grown.page, book, NODE, shortest=0.01, longest=longest)
            try:
                await asyncio.wait_for(test(feed, grown, book), 60)
            finally:
                await feed.close()
                book.close()

        asyncio.run(whole())

    return running


def slots(events: Sequence[Event]) -> list[int]:
    return [event.entry.result.slot for event in events if event.entry and event.entry.result]


def test_all_in_order_from_now_on(run: Any) -> None:
    async def test(feed: RemoteFeed, log: Log, book: Book) -> None:
        log.grow(5)
        subscription = feed.subscribe()
        await feed.watch(PROCESS)
        await feed.watch(PROCESS)  # once is enough
        log.grow(20)
        assert slots([await anext(subscription) for _ in range(20)]) == [*range(5, 25)]
        assert book.get(NODE, "cursor", PROCESS) == 23  # the last one may not have been shown

    run(test)


def test_it_goes_on_where_it_was_left(run: Any) -> None:
    log = Log()

    async def first(feed: RemoteFeed, log: Log, _: Book) -> None:
        subscription = feed.subscribe()
        await feed.watch(PROCESS)
        log.grow(4)
        assert slots([await anext(subscription) for _ in range(3)]) == [0, 1, 2]

    async def second(feed: RemoteFeed, log: Log, _: Book) -> None:
        log.grow(1)
        subscription = feed.subscribe()
        await feed.watch(PROCESS)
        assert slots([await anext(subscription) for _ in range(3)]) == [2, 3, 4]

    run(first, log)
    run(second, log)


def test_what_was_answered_does_not_come_once_more(run: Any) -> None:
    log = Log()

    async def first(feed: RemoteFeed, log: Log, _: Book) -> None:
        subscription = feed.subscribe()
        await feed.watch(PROCESS)
        log.grow(6)
        for place in ("id 0", "id 2", 3):
            feed.answered(PROCESS, place)
        assert slots([await anext(subscription)]) == [0]  # this session may wait for it

    async def second(feed: RemoteFeed, _: Log, book: Book) -> None:
        subscription = feed.subscribe()
        await feed.watch(PROCESS)
        assert slots([await anext(subscription) for _ in range(3)]) == [1, 4, 5]
        for n in range(500):
            feed.answered(PROCESS, n)
        assert len(book.get(NODE, "answered", PROCESS)) == feeds.REMEMBERED

    run(first, log)
    run(second, log)


def test_nothing_is_asked_while_nobody_listens(run: Any) -> None:
    async def test(feed: RemoteFeed, log: Log, _: Book) -> None:
        await feed.watch(PROCESS)
        log.grow(2)
        await asyncio.sleep(0.1)
        assert len(log.looks) == 1
        assert slots([await anext(feed.subscribe())]) == [0]

    run(test)


def test_idle_it_looks_ever_more_seldom(run: Any) -> None:
    async def test(feed: RemoteFeed, log: Log, _: Book) -> None:
        subscription = feed.subscribe()
        await feed.watch(PROCESS)

        def pauses() -> list[float]:
            return [b - a for a, b in zip(log.looks[1:], log.looks[2:], strict=False)]

        await until(lambda: len(log.looks) > 3 and pauses()[-1] > 0.3)
        assert pauses()[-1] > 2 * min(pauses())
        looks, woken = len(log.looks), time.monotonic()
        feed.wake(PROCESS)
        await until(lambda: len(log.looks) > looks)  # something is about to happen there
        assert time.monotonic() - woken < pauses()[-2]
        log.grow(1)
        await anext(subscription)

    run(test, longest=1.0)


def test_who_does_not_read_is_not_buried(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "UNREAD", 10)

    async def test(feed: RemoteFeed, log: Log, _: Book) -> None:
        subscription = feed.subscribe()
        await feed.watch(PROCESS)
        log.grow(200)
        await until(lambda: subscription.unread > 10)
        await asyncio.sleep(0.1)
        assert 10 < subscription.unread < 100
        assert slots([await anext(subscription) for _ in range(200)]) == [*range(200)]

    run(test)


def test_trouble_is_told_once(run: Any) -> None:
    async def test(feed: RemoteFeed, log: Log, _: Book) -> None:
        subscription = feed.subscribe()
        await feed.watch(PROCESS)
        log.trouble = AoError("it is down", stage="connect")
        log.grow(1)
        first = await anext(subscription)
        await asyncio.sleep(0.1)
        log.trouble = None
        rest = [await anext(subscription) for _ in range(2)]
        assert [first.kind, rest[0].kind, rest[1].kind] == ["notice", "notice", "result"]
        assert "it is down (connect)" in first.detail

    run(test)


def test_a_process_that_cannot_be_asked_for_is_not_watched(run: Any) -> None:
    async def test(feed: RemoteFeed, log: Log, book: Book) -> None:
        log.trouble = AoError("unknown", stage="schedule")
        with pytest.raises(AoError, match="unknown"):
            await feed.watch(PROCESS)
        assert book.get(NODE, "cursor", PROCESS) is None
        log.trouble = None
        await feed.watch(PROCESS)

    run(test)


def test_what_an_event_says(run: Any) -> None:
    async def test(feed: RemoteFeed, log: Log, _: Book) -> None:
        subscription = feed.subscribe()
        await feed.watch(PROCESS)
        log.entries += [entry(0, ""), entry(1, root="root")]
        quiet, loud = await anext(subscription), await anext(subscription)
        assert (quiet.kind, quiet.process, quiet.root, quiet.quiet) == (
            "result",
            PROCESS,
            "id 0",
            True,
        )
        assert (loud.root, loud.quiet) == ("root", False)

    run(test)


def test_an_end(run: Any) -> None:
    async def test(feed: RemoteFeed, log: Log, _: Book) -> None:
        subscription, other = feed.subscribe(), feed.subscribe()
        await feed.watch(PROCESS)
        await subscription.aclose()
        assert [event async for event in subscription] == []
        log.grow(1)
        assert slots([await anext(other)]) == [0]
        await feed.close()
        assert [event async for event in other] == []

    run(test)


def test_it_ends_though_it_is_woken_in_the_same_moment(run: Any) -> None:
    async def test(feed: RemoteFeed, log: Log, _: Book) -> None:
        feed.subscribe()
        await feed.watch(PROCESS)
        await until(lambda: len(log.looks) > 1)
        await turns()  # it rests
        feed.wake(PROCESS)
        await asyncio.wait_for(feed.close(), 10)

    run(test, longest=3600.0)


def test_cron_results_of_a_slot_that_was_answered_still_come(run: Any) -> None:
    async def test(feed: RemoteFeed, log: Log, book: Book) -> None:
        book.put(NODE, "answered", PROCESS, [0])
        subscription = feed.subscribe()
        await feed.watch(PROCESS)
        slot, cron = entry(0, "slot"), entry(0, "tick")
        place = Assignment(PROCESS, 0, 1, 0, 0, "")
        log.entries = [slot, cron._replace(message=replace(cron.message, id="", assignment=place))]
        event = await anext(subscription)
        assert event.entry and event.entry.result and event.entry.result.output == "tick"

    run(test)
