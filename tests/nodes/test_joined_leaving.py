"""`nodes.joined`: the carrier of a home leaves, or a connection to it breaks."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop, turns, until
from joined_shells import ENDLESS, Heard, shell, two
from local_home import Local, plain
from signers import Ed25519
from zygotes import SHARED

from aoshell.errors import AoError
from aoshell.nodes.joined import door, reach, server, verbs
from aoshell.nodes.joined.carrying import Home
from aoshell.nodes.joined.frames import Code
from aoshell.nodes.joined.node import HomeNode
from aoshell.nodes.values import Limits
from aoshell.protocol.ans104 import DataItem


@in_loop
async def test_when_the_carrier_closes_another_one_carries_on(
    folder: Path, signer: Ed25519
) -> None:
    limits = Limits(seconds=10_000)
    async with contextlib.AsyncExitStack() as stack:
        carrier = await HomeNode.open(Home(folder, SHARED), limits, client="a:1")
        joined = await stack.enter_async_context(shell(folder, signer, "b:2"))
        third = await stack.enter_async_context(shell(folder, signer, "c:3"))
        pid = await joined.spawn()
        heard = Heard(joined)
        await joined.node.watch(pid)
        endless = await joined.post(pid, ENDLESS, Action="Eval")
        waiting = asyncio.create_task(joined.node.result(pid, endless.place))
        settling = asyncio.create_task(joined.node.settled(endless.id))
        behind = await third.post(pid, "return 'behind'", Action="Eval")
        later = asyncio.create_task(third.node.result(pid, behind.place))
        await carrier.close()
        assert await joined.value(await joined.spawn(), "return 1") == "1"
        assert await joined.node.cancel(pid, endless.slot or 0)
        assert (await waiting).outcome == "time"
        await settling
        assert plain((await later).output) == "behind"
        await heard.has("behind")
        assert joined.node.limits.seconds == 10_000  # as they were on the node
        reaches = [joined.node._reach, third.node._reach]  # type: ignore[attr-defined]
        assert sorted(one.node is None for one in reaches) == [False, True]


@in_loop
async def test_a_message_whose_receipt_was_lost_is_one_slot(
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(folder, signer) as (carrier, joined):
        pid = await joined.spawn()
        give = server.Guest._give_value
        lost = []

        async def losing(guest: Any, number: int, verb: Any, value: Any) -> None:
            if verb.name in ("send", "spawn") and verb.name not in lost:
                lost.append(verb.name)
                guest._transport.abort()
                return
            await give(guest, number, verb, value)

        monkeypatch.setattr(server.Guest, "_give_value", losing)
        receipt = await joined.post(pid, "N = (N or 0) + 1 return N", Action="Eval")
        assert receipt.slot == 1
        definition = joined.definition()
        spawned = await joined.node.spawn(definition, "twice")
        assert spawned.id == definition.id
        assert lost == ["send", "spawn"]
        assert await carrier.value(pid, "N") == "1"
        assert [info.name for info in await joined.node.processes()].count("twice") == 1


@in_loop
async def test_what_changes_something_is_not_done_twice(
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(folder, signer) as (carrier, joined):
        give = server.Guest._give_value

        async def losing(guest: Any, number: int, verb: Any, value: Any) -> None:
            if verb.name == "warp":
                guest._transport.abort()
            await give(guest, number, verb, value)

        monkeypatch.setattr(server.Guest, "_give_value", losing)
        with pytest.raises(AoError, match="not known") as lost:
            await joined.node.workbench.warp(1000)
        assert lost.value.stage == "join" and lost.value.hint
        monkeypatch.undo()
        assert await carrier.node.workbench.warp(0) == 1000


@in_loop
async def test_each_carrier_is_asked_once_whether_it_takes_what_is_signed(
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def sign(local: Local, process: str) -> DataItem:
        item = await local.node.sign(local.wallet, process, (), b"")  # type: ignore[arg-type]
        assert isinstance(item, DataItem)
        return item

    async def say(local: Local, process: str) -> None:
        await local.node.send(process, await sign(local, process))

    async with shell(folder, signer, "b:2") as joined, shell(folder, signer, "c:3") as other:
        ask = reach.Reach.call

        async def call(self: reach.Reach, verb: Any, *args: Any) -> Any:
            if verb is verbs.TAKES_UNSIGNED and self is other.node._reach:  # type: ignore[attr-defined]
                asked.append(args[0])
            return await ask(self, verb, *args)

        monkeypatch.setattr(reach.Reach, "call", call)
        one, two = await joined.spawn("X = 1"), await joined.spawn("X = 2")
        for process in (one, one, two, one, two):
            await say(other, process)
        assert asked == [one, two]
        item = await sign(other, one)
        await joined.node.delete(one)
        with pytest.raises(AoError):
            await other.node.send(one, item)
        await sign(other, one)
        assert asked == [one, two, one]  # a fork may have come in its place
        await joined.node.close()
        await until(lambda: other.node._reach.node is not None)  # type: ignore[attr-defined]
        await say(other, two)
        assert asked == [one, two, one, two]


@in_loop
async def test_a_verb_that_ends_every_carrier_is_not_asked_for_ever(
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(folder, signer) as (_, joined):
        asked = []

        async def ending(guest: Any, *_: Any) -> None:
            asked.append(1)
            guest._transport.abort()

        monkeypatch.setattr(server.Guest, "_give_value", ending)
        monkeypatch.setattr(reach, "TRIES", 5)
        with pytest.raises(AoError, match="lost 5 times in a row during `processes`"):
            await joined.node.processes()
        assert len(asked) <= reach.TRIES


@in_loop
async def test_a_verb_outlives_as_many_carriers_as_a_home_may_have(
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(folder, signer) as (_, joined):
        give, left = server.Guest._give_value, [None] * door.SHELLS

        async def leaving(guest: Any, *answer: Any) -> None:
            if left:
                left.pop()
                guest._transport.abort()
            else:
                await give(guest, *answer)

        monkeypatch.setattr(server.Guest, "_give_value", leaving)
        assert await joined.node.processes() == []


@in_loop
async def test_what_happened_in_between_is_told_once(folder: Path, signer: Ed25519) -> None:
    async with two(folder, signer) as (carrier, joined):
        pid, other = await joined.spawn(), await joined.spawn()
        heard = Heard(joined)
        await joined.node.watch(pid)
        await joined.eval(pid, "return 'before'")
        sent = f'Send({{Target = "{other}", Action = "Eval", Data = "1"}}) return "sent"'
        joined.node._reach._closed = True  # type: ignore[attr-defined]  # it comes back later
        wire = joined.node._reach._wire  # type: ignore[attr-defined]
        await joined.post(pid, sent, Action="Eval")
        wire._transport.abort()
        await turns()
        await carrier.eval(pid, "return 'in between'")
        joined.node._reach._closed = False  # type: ignore[attr-defined]
        joined.node._reach.lost(wire)  # type: ignore[attr-defined]
        await heard.has("in between")
        await carrier.eval(pid, "return 'after'")
        await heard.has("after")
        mine = [text for text in heard.texts() if text and "New Message" not in text]
        assert mine == ["before", "sent", "in between", "after"]
        # What the line caused at the other process is told, too, when it is looked up.
        await until(lambda: len(heard.texts()) >= 5, f"{heard.texts()} lack what a line caused")
        assert len(heard.texts()) == 5


@in_loop
async def test_nothing_is_written_to_one_that_is_gone(
    folder: Path, signer: Ed25519, caplog: pytest.LogCaptureFixture
) -> None:
    async with two(folder, signer) as (carrier, joined):
        host = carrier.node._reach._carrier._host  # type: ignore[attr-defined]
        (guest,) = host._guests
        wire = joined.node._reach._wire  # type: ignore[attr-defined]
        for side in (guest, wire):
            side._transport.abort()
            for _ in range(50):
                if side is guest:
                    guest.give(Code.MISSED, 0, b"1", [])
                else:
                    wire.post(verbs.CLOCK)
        assert await joined.node.processes() == []
    assert "raised exception" not in caplog.text
