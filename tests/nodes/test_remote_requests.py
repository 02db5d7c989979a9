"""How many requests a line costs, and that what it sends is delivered once."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

import pytest
from eventually import in_loop
from eventually import until as holds
from test_remote_hyperbeam import (
    EVAL,
    WASM_MODULE,
    Home,
    evaluate,
    home,
    node_wallet,
    profile,
    server,
    spawn,
    until,
    up,
)

from aoshell.errors import AoError
from aoshell.nodes.remote.feed import FeedSubscription
from aoshell.nodes.remote.hyperbeam.node import HyperBeamNode
from aoshell.nodes.remote.hyperbeam.reading import StuckError
from aoshell.nodes.values import Verify
from aoshell.protocol.commitment import CURRENT

__all__ = ["home", "node_wallet", "profile", "server"]  # fixtures

SELDOM = 3600.0, 3600.0  # seconds between two looks of the feed on its own
SENDS = {"output": {"data": "sent"}, "outbox": {"1": {"target": "T" * 43, "data": "x"}}}


async def delivered(node: HyperBeamNode) -> None:
    while node._deliveries:
        await asyncio.wait([task for _, task in node._deliveries.values()])


async def shown(events: FeedSubscription, slots: list[int]) -> None:
    """Check that these results were shown, each once and in order."""
    came = []
    while len(came) < len(slots):
        event = await anext(events)
        if event.entry and event.entry.result:
            came.append(event.entry.result.slot)
    assert came == slots


async def stuck(events: FeedSubscription) -> list[str]:
    """What was shown of slots that cannot be computed."""
    came = [await anext(events) for _ in range(events.unread)]
    return [event.detail for event in came if "stuck" in event.detail]


def computed(home: Home) -> Counter[str]:
    return Counter(line for line in home.server.asked if "/compute&slot=" in line)


@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize("level", [Verify.OFF, Verify.ON])
@in_loop
async def test_a_line_is_scheduled_and_computed_and_pushed_if_it_sends(
    home: Home, level: Verify, followed: bool
) -> None:
    home.server.sign_all, home.server.evaluations = True, {"send": SENDS}
    async with up(home) as node:
        node.verify, node._feed._pauses = level, SELDOM
        process = await spawn(node, home)
        events = node.subscribe()
        if followed:
            await node.watch(process)
        await evaluate(node, home, process, "1+1")
        await delivered(node)
        at = f"/{process}~process@1.0/"
        whole = "&result-depth+integer=1000" if home.server.profile is CURRENT else ""
        await shown(events, [1] if followed else [])
        for slot, (code, push) in enumerate(
            (("2+2", []), ("send", [f"POST {at}push&slot=3{whole}"]), ("3+3", [])), 2
        ):
            home.server.asked.clear()
            await evaluate(node, home, process, code)
            await delivered(node)
            await shown(events, [slot] if followed else [])
            due = [f"POST {at}schedule", f"GET {at}compute&slot={slot}/results", *push]
            assert home.server.asked == due


@in_loop
async def test_what_comes_back_is_read_and_computed_once(home: Home) -> None:
    """A message to the process itself, whose log the push has made longer."""
    async with up(home) as node:
        node._feed._pauses = SELDOM
        process = await spawn(node, home)
        events = node.subscribe()
        await node.watch(process)
        back = {"1": {"target": process, "data": "2+2", "anchor": "1"}}
        home.server.evaluations = {"send": SENDS | {"outbox": back}}
        home.server.asked.clear()
        await evaluate(node, home, process, "send")
        await delivered(node)
        await shown(events, [1, 2])
        asked = [re.sub(r".*~process@1.0/|[?&/].*", "", line) for line in home.server.asked]
        assert asked == ["schedule", "compute", "push", "compute", "schedule"]
        assert "?from=2&to=2&" in home.server.asked[-1]


@in_loop
async def test_what_others_sent_is_read_and_what_this_session_sent_is_not(home: Home) -> None:
    async with up(home) as node:
        node._feed._pauses = SELDOM
        process = await spawn(node, home)
        events = node.subscribe()
        await node.watch(process)
        home.server.logs[process] += [home.server.logs[process][0]] * 2
        home.server.asked.clear()
        await evaluate(node, home, process, "1+1")
        await shown(events, [1, 2, 3])
        listed = [line for line in home.server.asked if "schedule?" in line]
        assert [re.findall(r"\d+", line[-40:])[:2] for line in listed] == [["1", "2"]]
        assert not any("slot/current" in line for line in home.server.asked)


@in_loop
async def test_what_is_for_a_device_of_the_process_is_not_pushed(home: Home) -> None:
    patch = {"output": {"data": ""}, "outbox": {"1": {"device": "patch@1.0", "cache": "x"}}}
    home.server.evaluations = {"patch": patch}
    async with up(home) as node:
        process = await spawn(node, home)
        await evaluate(node, home, process, "patch")
        await delivered(node)
        assert not any("push&slot" in line for line in home.server.asked)


@in_loop
async def test_an_item_is_pushed_and_computed(home: Home) -> None:
    async with up(home) as node:
        process = await spawn(node, home, WASM_MODULE)
        home.server.asked.clear()
        await evaluate(node, home, process, "1+1")
        at = f"/{process}~process@1.0/"
        assert home.server.asked == [f"POST {at}push", f"GET {at}compute&slot=1/results"]


@in_loop
async def test_a_slot_that_cannot_be_computed_is_asked_for_once(home: Home) -> None:
    async with up(home) as node:
        node._feed._pauses = SELDOM
        process = await spawn(node, home)
        events = node.subscribe()
        await node.watch(process)
        home.server.stuck_at = 1
        with pytest.raises(StuckError):
            await evaluate(node, home, process, "1+1")
        await delivered(node)
        await node._feed.caught_up()
        assert set(computed(home).values()) == {1}
        assert await stuck(events) == []  # the line has told it


@in_loop
async def test_a_slot_of_others_that_cannot_be_computed_is_told_once(home: Home) -> None:
    async with up(home) as node:
        node._feed._pauses = SELDOM
        process = await spawn(node, home)
        events = node.subscribe()
        await node.watch(process)
        home.server.stuck_at = 1
        home.server.logs[process] += [home.server.logs[process][0]] * 2
        await node._feed.caught_up()
        assert set(computed(home).values()) == {1}
        (told,) = await stuck(events)
        assert "this slot fails each time" in told


@in_loop
async def test_the_feed_computes_no_slot_twice(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aoshell.nodes.remote.feed.SHORTEST", 0.02)
    async with up(home) as node:
        process = await spawn(node, home)
        events = node.subscribe()
        await node.watch(process)
        for number in range(3):
            await evaluate(node, home, process, f"{number}+1")
        await node.send(process, await node.sign(home.wallet, process, EVAL, b"7*7"))
        assert len(await until(events, 4)) == 4
        await delivered(node)
        assert set(computed(home).values()) == {1} and len(computed(home)) == 4


@in_loop
async def test_a_line_that_is_given_up_is_asked_for_once_more_and_not_twice(home: Home) -> None:
    """By the feed or by the delivery, whichever comes first."""
    async with up(home) as node:
        node._feed._pauses = SELDOM
        process = await spawn(node, home)
        events = node.subscribe()
        await node.watch(process)
        receipt = await node.send(process, await node.sign(home.wallet, process, EVAL, b"1+1"))
        home.server.silent = "compute"
        asking = asyncio.ensure_future(node.result(process, receipt.slot or 0))
        await holds(lambda: computed(home))
        home.server.silent = ""
        asking.cancel()
        await shown(events, [1])
        await delivered(node)
        assert set(computed(home).values()) == {2}


@in_loop
async def test_what_is_sent_is_delivered_though_nobody_waits(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.nodes.remote.hyperbeam.delivering.UNASKED", 0.05)
    home.server.evaluations = {"send": SENDS}
    async with up(home) as node:
        process = await spawn(node, home)
        await node.send(process, await node.sign(home.wallet, process, EVAL, b"send"))
        await delivered(node)
        assert any(f"/{process}~process@1.0/push&slot=1" in line for line in home.server.asked)


@in_loop
async def test_the_end_of_a_session_waits_for_deliveries(home: Home) -> None:
    home.server.evaluations = {"send": SENDS}
    async with up(home) as node:
        process = await spawn(node, home)
        await evaluate(node, home, process, "send")
        await node.close()
        assert any(f"/{process}~process@1.0/push&slot=1" in line for line in home.server.asked)


@in_loop
async def test_what_was_not_computed_is_not_pushed(home: Home) -> None:
    home.server.evaluations = {"send": SENDS}
    async with up(home) as node:
        process = await spawn(node, home)
        home.server.stuck_at = 1
        with pytest.raises(AoError, match="stuck"):
            await evaluate(node, home, process, "send")
        await delivered(node)
        assert not any("push" in line for line in home.server.asked)
        assert set(computed(home).values()) == {1}


@in_loop
async def test_a_push_is_told_once_whatever_comes_of_it(home: Home) -> None:
    home.server.evaluations = {"send": SENDS}
    async with up(home) as node:
        events = node.subscribe()
        process = await spawn(node, home)
        home.server.faults["push&slot"] = lambda *_: (502, [], b"away")
        await evaluate(node, home, process, "send")
        await delivered(node)
        assert sum("push&slot" in line for line in home.server.asked) == 1
        while (
            "what became of its messages" not in (await asyncio.wait_for(anext(events), 5)).detail
        ):
            pass


@in_loop
async def test_a_kept_result_does_not_outlive_the_rules_it_was_taken_by(home: Home) -> None:
    async with up(home) as node:
        process = await spawn(node, home)
        await evaluate(node, home, process, "1+1")
        home.server.sign_all, node.verify = True, Verify.ON
        await node.results(process)
        assert set(computed(home).values()) == {1, 2}


@in_loop
async def test_a_push_that_goes_in_circles_ends(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a node of 2026 may, where each of two processes waits for the other."""
    monkeypatch.setattr("aoshell.nodes.remote.hyperbeam.delivering.PUSH", 1.0)
    home.server.evaluations, home.server.silent = {"send": SENDS}, "push&slot"
    async with up(home) as node:
        events = node.subscribe()
        process = await spawn(node, home)
        await evaluate(node, home, process, "send")
        assert (await evaluate(node, home, process, "1+1")).output == "2"  # meanwhile
        while (
            "what became of its messages" not in (await asyncio.wait_for(anext(events), 5)).detail
        ):
            pass
        assert sum("push&slot" in line for line in home.server.asked) == 1


@in_loop
async def test_the_end_of_a_session_does_not_wait_for_ever(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.nodes.remote.hyperbeam.delivering.ENDING", 0.2)
    home.server.evaluations, home.server.silent = {"send": SENDS}, "push&slot"
    async with up(home) as node:
        process = await spawn(node, home)
        await evaluate(node, home, process, "send")
        await asyncio.wait_for(node.close(), 5)
