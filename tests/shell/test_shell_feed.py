"""The feed: what is told, when, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from eventually import until
from shell_typing import Typing, Use

from aoshell.errors import AoError
from aoshell.nodes.values import Event, LogEntry
from aoshell.protocol.message import Assignment, Message, Result, tags_of
from aoshell.shell.attached import feed
from aoshell.shell.attached.feed import FeedView, Where

MINE = "M" * 43


def entry(number: int, output: str, *, id: str = "", **tags: str) -> LogEntry:
    placed = Assignment(MINE, number, 0, 1_700_000_000_000 + number, 1, "")
    message = Message(
        id or f"{number:043}", "O" * 43, "F" * 43, MINE, tags_of(tags.items()), b"", "", "", placed
    )
    given: tuple[Any, ...] = (MINE, number, 0, "ok", output, "", "", (), (), False, (), 1.0, 10)
    return LogEntry(message, Result(*given))


class Events:
    """A node that tells what it is given."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue()

    def put(self, found: LogEntry, process: str = MINE, root: str = "") -> None:
        quiet = not found.result or not found.result.output
        self.queue.put_nowait(Event("result", process, root, quiet=quiet, load=lambda: found))

    async def find(self, reference: str) -> None:
        raise AoError(f"there is no {reference}", stage="find")

    async def subscribe(self) -> AsyncIterator[Event]:
        while True:
            yield await self.queue.get()


class Following:
    """A feed that follows such a node, and what it has shown."""

    def __init__(self) -> None:
        self.events = Events()
        self.shown: list[str] = []
        node: Any = self.events
        self.feed = FeedView(node, self.shown.append, self.name_of)
        self.feed.attach(MINE, "mine")

    async def name_of(self, id: str) -> str:
        raise AoError(f"there is no {id}", stage="find")

    @property
    def text(self) -> str:
        return "\n".join(self.shown)

    async def seen(self, text: str) -> None:
        await until(lambda: text in self.text, text)


def following(body: Callable[[Following], Awaitable[None]]) -> None:
    async def run() -> None:
        on = Following()
        task = asyncio.create_task(on.feed.follow())
        try:
            await asyncio.wait_for(body(on), 60)
        finally:
            task.cancel()

    asyncio.run(run())


def test_each_is_told_once_and_in_order() -> None:
    async def body(on: Following) -> None:
        for number in (1, 2, 2, 3, 1):
            on.events.put(entry(number, f"said {number}"))
        await on.seen("said 3")
        assert on.text == "said 1\nsaid 2\nsaid 3"

    following(body)


def test_the_results_that_passed_are_remembered_within_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "_SEEN", 3)

    async def body(on: Following) -> None:
        for number in (1, 2, 3, 4, 5, 5, 3, 1):  # 3…5 are remembered, 1 is forgotten
            on.events.put(entry(number, f"said {number}"))
        whole = "said 1\nsaid 2\nsaid 3\nsaid 4\nsaid 5\nsaid 1"
        await until(lambda: on.text == whole)
        assert len(on.feed._seen) == 3

    following(body)


def test_cron_messages_have_no_id() -> None:
    async def body(on: Following) -> None:
        for number in (1, 2):
            found = entry(number, "tick")
            message = Message("", "", "", "", (), b"", assignment=found.message.assignment)
            on.events.put(LogEntry(message, found.result))
        await until(lambda: on.text == "tick\ntick")

    following(body)


def test_pausing_keeps_the_newest() -> None:
    async def body(on: Following) -> None:
        on.feed.pause()
        on.feed.pause()
        for number in range(1, 1501):
            on.events.put(entry(number, f"said {number}"))
        await on.feed.caught_up()
        assert on.shown == [] and on.feed.paused
        assert on.feed.resume() == 1500
        on.feed.release()
        lines = on.text.split("\n")
        assert lines[0] == "500 older notes are not shown: .messages"
        assert (lines[1], lines[-1], len(lines)) == ("said 501", "said 1500", 1001)
        assert not on.feed.paused and on.feed.resume() == 0
        on.events.put(entry(1501, "more"))
        await on.seen("more")
        assert on.shown[-1] == "more"

    following(body)


def test_only_what_is_asked_for() -> None:
    async def body(on: Following) -> None:
        on.feed.where = Where((("action", "*-Notice"), ("From", "F*")))
        on.events.put(entry(1, "", Action="Debit-Notice"))
        on.events.put(entry(2, "loud", Action="Transfer"))
        on.events.put(entry(3, "loud", Action="Credit-Notice"))
        on.feed.expect("root")
        on.events.put(entry(4, "", Action="Credit-Notice"), "P", "root")
        on.events.put(entry(5, "", Action="Credit-Notice"), "P", "elsewhere")
        await on.seen("P │ ")
        assert on.text.split("\n") == [
            "slot 1 │ Debit-Notice from FFFFFFFF…",
            "slot 3 │ Credit-Notice from FFFFFFFF…",
            "       │ loud",
            "P │ Credit-Notice from FFFFFFFF…",
        ]

    following(body)


@pytest.mark.parametrize(
    ("pairs", "fits"),
    [
        ((("Action", "Ping"),), True),
        ((("ACTION", "P*g"),), True),
        ((("Action", "ping"),), False),
        ((("Action", "Ping"), ("X", "2")), True),
        ((("Action", "Ping"), ("X", "3")), False),
        ((("Y", "*"),), False),
        ((("Owner", "O" * 43),), True),
    ],
)
def test_where(pairs: tuple[tuple[str, str], ...], fits: bool) -> None:
    tags = tags_of((("Action", "Ping"), ("X", "1"), ("X", "2")))
    message = Message("i", "O" * 43, "F" * 43, MINE, tags, b"")
    assert Where(pairs)(message) is fits


def test_a_thousand_a_second_leave_room_for_keys() -> None:
    async def body(on: Following) -> None:
        for number in range(20_000):
            on.events.put(entry(number, f"said {number}"))
        turns = 0
        while not on.events.queue.empty():
            await asyncio.sleep(0)
            turns += 1
        await on.seen("said 19999")
        assert on.text.count("\n") == 19_999
        assert turns > 4  # keys had their turn meanwhile
        assert len(on.shown) < 200  # the screen is drawn a few times a second

    following(body)


def test_events_are_read_before_a_line_is_given_up() -> None:
    async def body(on: Following) -> None:
        for number in range(5_000):
            on.events.put(entry(number, f"said {number}"))
        await on.feed.caught_up()
        assert on.events.queue.empty()

    following(body)


def test_commands(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        send = 'Send({Target = ao.id, Action = "%s"})'
        assert (await typed.value(".pause")) == {"paused": True}
        await typed(send % "One")
        assert typed.front.said == []
        assert (await typed.value(".live"))["missed"] == 1
        assert "Action = " in await typed.heard("One")
        value = await typed.value('.live --where Action=T* "Type=Mess*"')
        assert value == {"where": {"Action": "T*", "Type": "Mess*"}, "missed": 0}
        await typed(send % "One")
        await typed(send % "Two")
        said = await typed.heard("Two from")
        assert "One" not in said
        assert (await typed.value(".live"))["where"] is None
        await typed(send % "One")
        await typed.heard("One")

    typing(body)


@pytest.mark.parametrize(
    "line",
    [".pause x", ".live x", ".live --where", ".live --where x", ".live --where =x", '.live "'],
)
def test_bad_input(typing: Use, line: str) -> None:
    async def body(typed: Typing) -> None:
        assert "\n  → " in await typed.error(line)
        assert not typed.session.feed.paused and typed.session.feed.where is None

    typing(body)
