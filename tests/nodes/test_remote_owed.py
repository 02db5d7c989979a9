"""Messages that a killed or interrupted shell leaves undelivered: the next one shows them."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

import pytest
from eventually import in_loop
from eventually import until as holds
from hyper_server import Reply, Request, serving
from rsa_keys import wallet
from test_remote_hyperbeam import EVAL, Home, evaluate, home, node_wallet, profile, server, spawn

from aoshell.errors import AoError
from aoshell.nodes.remote.hyperbeam.node import HyperBeamNode
from aoshell.nodes.remote.hyperbeam.owed import OWED

__all__ = ["home", "node_wallet", "profile", "server", "wallet"]  # fixtures


def sends(target: str) -> dict[str, object]:
    ping = {"target": target, "data": "x", "action": "Ping", "anchor": "1"}
    return {"output": {"data": "sent"}, "outbox": {"1": ping}}


async def left(home: Home, code: str = "send") -> tuple[str, str]:
    """A process and the target of what it sent, after a shell was killed before it delivered."""
    node = home.open()
    process, target = await spawn(node, home), await spawn(node, home)
    home.server.evaluations = {"send": sends(target)}
    await node.send(process, await node.sign(home.wallet, process, EVAL, code.encode()))
    await ended(node)
    return process, target


async def ended(node: HyperBeamNode) -> None:
    """Close as Ctrl-C does, without a wait."""
    closing = asyncio.ensure_future(node.close())
    await asyncio.sleep(0)
    closing.cancel()
    with suppress(asyncio.CancelledError):
        await closing


async def told(home: Home, process: str, place: int | str | None = None) -> list[str]:
    """What the next shell shows of it."""
    node = home.open()
    try:
        events = node.subscribe()
        if place is None:
            await node.watch(process)
        else:
            await node.result(process, place)
        came = [await anext(events) for _ in range(events.unread)]
        return [event.detail for event in came if event.kind == "undelivered"]
    finally:
        await node.close()


@in_loop
async def test_what_was_left_is_told_once(home: Home) -> None:
    async with serving(home.server):
        process, target = await left(home)
        (said,) = await told(home, process)
        assert said == (
            f"slot 1: Ping to {target[:8]}…: not delivered, as nobody waited for it;"
            " .deliver 1 has the node deliver it"
        )
        assert await told(home, process) == []
        assert len(home.server.logs[target]) == 1


@in_loop
async def test_it_is_told_once_though_the_feed_comes_by_it_meanwhile(home: Home) -> None:
    async with serving(home.server):
        process, _ = await left(home)
        node = home.open()
        node._book.put(node.endpoint, "cursor", process, 0)
        events = node.subscribe()
        await node.watch(process)
        await node._feed.caught_up()
        came = [await anext(events) for _ in range(events.unread)]
        assert sum(event.kind == "undelivered" for event in came) == 1
        await node.close()


@in_loop
async def test_it_is_delivered_on_request_and_once(home: Home) -> None:
    async with serving(home.server):
        process, target = await left(home)
        node = home.open()
        try:
            assert await node.deliver(process, 1) == 1
            assert len(home.server.logs[target]) == 2
            home.server.asked.clear()
            with pytest.raises(AoError, match=r"Ping to .*: it has arrived already"):
                await node.deliver(process, 1)
            own = [path for path in home.server.asked if f"{process}~process@1.0/schedule" in path]
            assert len(own) == 1, own
            assert len(home.server.logs[target]) == 2
            await node.deliver(process, 1, again=True)
            assert len(home.server.logs[target]) == 3
        finally:
            await node.close()
        assert await told(home, process) == []


@in_loop
async def test_what_arrived_or_sends_nothing_is_not_told(home: Home) -> None:
    async with serving(home.server):
        process, target = await left(home)
        home.server.push(process, 1)
        assert len(home.server.logs[target]) == 2
        assert await told(home, process) == []
        process, _ = await left(home, "1+1")
        assert await told(home, process) == []


@in_loop
async def test_a_message_that_never_arrived_is_told(home: Home) -> None:
    async with serving(home.server):
        node = home.open()
        process = await spawn(node, home)
        home.server.silent = "/schedule"
        item = await node.sign(home.wallet, process, EVAL, b"1+1")
        sending = asyncio.ensure_future(node.send(process, item))
        await holds(lambda: node.has_left(item.id))
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        await ended(node)
        home.server.silent = ""
        fault = home.server.faults
        fault["schedule.from"] = lambda *_: (500, [], b"")
        assert "it is not known whether" in (await told(home, process))[0]
        fault.clear()
        node = home.open()
        node._owed.begin(process, item.id)
        await node.close()
        (said,) = await told(home, process)
        assert said.endswith("is not in the log") and item.id in said


@in_loop
async def test_a_message_that_arrived_though_it_was_given_up_is_told_when_the_feed_has_it(
    home: Home,
) -> None:
    async with serving(home.server):
        node = home.open()
        process, target = await spawn(node, home), await spawn(node, home)
        home.server.evaluations = {"send": sends(target)}
        events = node.subscribe()
        await node.watch(process)
        item = await node.sign(home.wallet, process, EVAL, b"send")
        sending = asyncio.ensure_future(node.send(process, item))

        def given_up(_request: Request, reply: Reply) -> Reply:
            sending.cancel()
            return reply

        home.server.faults["POST .*schedule"] = given_up
        await asyncio.wait({sending})
        assert sending.cancelled()
        node._feed.wake(process)
        while "undelivered" not in (event := await anext(events)).kind:
            pass
        assert ".deliver 1 has the node deliver it" in event.detail
        await node.close()


@in_loop
async def test_the_result_of_a_line_that_was_given_up_tells_it_too(home: Home) -> None:
    async with serving(home.server):
        process, _ = await left(home)
        (said,) = await told(home, process, 1)
        assert ".deliver 1 has the node deliver it" in said


@in_loop
async def test_what_another_shell_delivers_is_not_told(home: Home) -> None:
    async with serving(home.server):
        process, _ = await left(home)
        node = home.open()
        (fact,) = node._book.all(node.endpoint, OWED).items()
        node._book.put(node.endpoint, OWED, fact[0], fact[1] | {"shell": os.getppid()})
        await node.close()
        assert await told(home, process) == []


@in_loop
async def test_nothing_is_owed_of_lines_that_ended(home: Home) -> None:
    async with serving(home.server):
        node = home.open()
        process, target = await spawn(node, home), await spawn(node, home)
        home.server.evaluations = {"send": sends(target)}
        for code in ("send", "1+1"):
            await evaluate(node, home, process, code)
        await holds(lambda: not node._deliveries)
        assert node._book.all(node.endpoint, OWED) == {}
        await node.close()
