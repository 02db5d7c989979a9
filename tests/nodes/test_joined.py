"""`nodes.joined`: two shells on one home, in one process, over a real socket."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop, turns, until
from joined_shells import ENDLESS, Heard, shell, two
from local_home import COUNTER, plain
from signers import Ed25519

from aoshell.errors import AoError, UnsupportedError, UsageError
from aoshell.nodes.joined import reach, server
from aoshell.nodes.values import Limits, NameTakenError, NotFoundError
from aoshell.protocol.message import Message


@in_loop
async def test_a_joined_shell_does_what_a_carrier_does(folder: Path, signer: Ed25519) -> None:
    async with two(folder, signer) as (carrier, joined):
        pid = await joined.spawn(COUNTER, name="counter")
        assert plain((await joined.eval(pid, "X = 1 return X + 1")).output) == "2"
        assert await carrier.value(pid, "X") == "1"
        await joined.send(pid, Action="Add")
        a, b = carrier.node, joined.node
        assert await a.processes() == await b.processes()
        assert await a.find("counter") == await b.find("counter")
        assert await a.slots(pid) == await b.slots(pid)
        assert await a.results(pid) == await b.results(pid)
        assert await a.schedule(pid, 0, 9) == await b.schedule(pid, 0, 9)
        assert await a.result(pid, 1) == await b.result(pid, 1)
        assert await a.undelivered() == await b.undelivered()
        assert await a.export(pid) == await b.export(pid)
        assert await a.fetch("aos") == await b.fetch("aos")
        assert await a.now(pid, "") == await b.now(pid, "")
        assert a.newest == b.newest and a.limits == b.limits
        last = (await a.results(pid))[-1].message.id
        assert await a.workbench.trace(last) == await b.workbench.trace(last)
        for begin in (last, last[:8], "x", "_" * 43):
            there = await a.workbench.find_messages(begin)
            assert list(there) == list(await b.workbench.find_messages(begin))
            found = [last] if last.startswith(begin) and begin != "x" else []
            assert [one.id for one in there] == found
        asked = Message("", joined.wallet.address, joined.wallet.address, pid, (), b"")
        assert (await b.dryrun(pid, asked)).ok
        assert (await b.workbench.at(pid, 1, asked)).ok
        await b.workbench.mark(pid, "here")
        assert await a.workbench.marks(pid) == {"here": 3} == await b.workbench.marks(pid)
        twin = await b.workbench.fork(pid, None, "twin")
        assert twin.name == "twin"
        assert Path(await b.workbench.undo(twin.id, 2)).is_file()
        assert (await b.rename(twin.id, "double")).name == "double"
        assert (await a.find("double")).id == twin.id
        exported = await b.export(twin.id)
        await b.delete(twin.id)
        assert (await b.restore(exported, "x")).name == "x"
        await b.workbench.pause(pid, True)
        assert await b.workbench.queued(pid) == []
        await b.workbench.pause(pid, False)
        assert await b.workbench.warp(5000) == 5000
        mocked = await b.workbench.mock("m" * 43, b"", "mocked")
        assert (await a.find("mocked")).id == mocked.id
        for node in (a, b):  # nothing is signed for a stand-in: its id is somebody else's
            item = await node.sign(joined.wallet, mocked.id, (), b"hi")
            assert isinstance(item, Message) and item.owner == joined.wallet.address
            receipt = await node.send(mocked.id, item)
            assert (await node.result(mocked.id, receipt.place)).ok
            await node.settled(receipt.id)
            assert await node.send(mocked.id, item) == receipt
        assert await b.verify_log(pid) == []
        info = await b.info()
        assert info.details["carried by"] == f"pid {os.getpid()}"
        assert (await a.info()).details["carried by"] == f"pid {os.getpid()} (this one)"


@in_loop
async def test_of_two_that_want_a_name_one_gets_it(folder: Path, signer: Ed25519) -> None:
    async with two(folder, signer) as (carrier, joined):
        item = carrier.definition()
        receipt = await carrier.node.spawn(item, "mine", unique=True)
        for other in (joined, carrier):
            with pytest.raises(NameTakenError, match="a process called mine"):
                await other.node.spawn(other.definition(Nonce="2"), "mine", unique=True)
        assert await joined.node.spawn(item, "mine", unique=True) == receipt  # sent once more
        assert len(await joined.node.processes()) == 1


@in_loop
async def test_errors_are_the_same_from_afar(folder: Path, signer: Ed25519) -> None:
    async with two(folder, signer) as (carrier, joined):
        pid = await carrier.spawn()

        async def fails(kind: type[AoError], call: str, *args: Any, bench: bool = False) -> None:
            told = []
            for node in (carrier.node, joined.node):
                with pytest.raises(kind) as failed:
                    await getattr(node.workbench if bench else node, call)(*args)
                told.append((type(failed.value), str(failed.value), failed.value.stage))
            assert told[0] == told[1]

        await fails(NotFoundError, "find", "nobody")
        await fails(AoError, "result", pid, 99)
        await fails(UsageError, "set_limits", Limits(seconds=0))
        await fails(UsageError, "undo", pid, 0, bench=True)
        await fails(UnsupportedError, "evidence", b"")
        await fails(AoError, "restore", b"no export")


@in_loop
async def test_a_message_that_somebody_else_changed_is_refused(
    folder: Path, signer: Ed25519
) -> None:
    async with two(folder, signer) as (_, joined):
        pid = await joined.spawn()
        item = joined.item(pid, "1", Action="Eval")
        object.__setattr__(item, "data", b"2")
        with pytest.raises(AoError, match="signature") as refused:
            await joined.node.send(pid, item)
        assert refused.value.stage == "verify"
        assert await joined.node.slots(pid) == 1


@in_loop
async def test_a_wait_that_is_given_up_is_given_up_there(folder: Path, signer: Ed25519) -> None:
    async with two(folder, signer, Limits(seconds=10_000)) as (carrier, joined):
        pid = await joined.spawn()
        receipt = await joined.post(pid, ENDLESS, Action="Eval")
        waiting = asyncio.create_task(joined.node.result(pid, receipt.place))
        host = carrier.node._reach._carrier._host  # type: ignore[attr-defined]
        (guest,) = host._guests
        await until(lambda: guest._calls)
        waiting.cancel()
        await until(lambda: not guest._calls)
        assert await joined.node.cancel(pid, receipt.slot or 0)
        assert (await joined.node.result(pid, receipt.place)).outcome == "time"
        assert await joined.value(pid, "1") == "1"


@in_loop
async def test_a_message_on_its_way_is_sent_whole_or_not_at_all(
    folder: Path, signer: Ed25519
) -> None:
    """A caller that gives up has the receipt, so Ctrl-C stops this line, not the line before."""
    async with two(folder, signer) as (_, joined):
        pid = await joined.spawn()
        came: list[Any] = []

        async def line() -> None:
            came.append(await joined.node.send(pid, joined.item(pid, "1", Action="Eval")))
            await joined.node.result(pid, came[0].place)
            came.append("answered")

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await line()
        for _ in range(2):
            task = asyncio.create_task(line())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        receipts = [one for one in came if one != "answered"]
        assert len(receipts) == await joined.node.slots(pid) - 1
        assert "answered" not in came


@in_loop
async def test_a_message_given_up_before_it_is_taken_is_not_computed(
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "FINISHING", 0.0)
    async with two(folder, signer, Limits(seconds=10_000)) as (_, joined):
        pid = await joined.spawn()
        receipts: list[Any] = []

        async def line() -> None:
            receipts.append(await joined.node.send(pid, joined.item(pid, ENDLESS, Action="Eval")))

        for _ in range(5):
            task = asyncio.create_task(line())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
        for receipt in receipts:  # they were faster: who has a receipt can stop the line
            await joined.node.cancel(pid, receipt.slot)
        assert await joined.value(pid, "1") == "1"  # nothing endless is before it


@in_loop
async def test_each_shell_hears_of_its_own_and_of_what_it_watches(
    folder: Path, signer: Ed25519
) -> None:
    async with two(folder, signer) as (carrier, joined):
        pid, other = await carrier.spawn(), await carrier.spawn()
        heard = Heard(joined)
        await joined.eval(pid, "return 'mine'")
        await carrier.eval(other, "return 'unwatched'")
        await joined.node.watch(other)
        await carrier.eval(other, "return 'watched'")
        await heard.has("watched")
        assert heard.texts() == ["mine", "watched"]


@in_loop
async def test_a_result_is_told_before_its_answer(folder: Path, signer: Ed25519) -> None:
    async with two(folder, signer) as (_, joined):
        pid = await joined.spawn()
        heard = Heard(joined)
        for number in range(5):
            result = await joined.eval(pid, f"return {number}")
            await turns()
            assert heard.texts()[-1] == plain(result.output)


@in_loop
async def test_a_slow_reader_misses_events_and_then_looks_them_up(
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "UNREAD", 200_000)
    async with two(folder, signer) as (carrier, joined):
        pid = await carrier.spawn()
        heard = Heard(joined)
        await joined.node.watch(pid)
        wire = joined.node._reach._wire  # type: ignore[attr-defined]
        wire._transport.pause_reading()
        (guest,) = carrier.node._reach._carrier._host._guests  # type: ignore[attr-defined]
        sent = 0
        while guest._missed < 3:
            await carrier.eval(pid, f"return '{sent} ' .. string.rep('x', 100000)")
            sent += 1
        assert guest._transport.get_write_buffer_size() < 1 << 20
        wire._transport.resume_reading()
        await until(lambda: len(heard.texts()) == sent)
        assert {int(text.split()[0]) for text in heard.texts()} == set(range(sent))
        await carrier.eval(pid, "return 'and on'")
        await heard.has("and on")


@in_loop
async def test_limits_are_the_nodes_and_others_are_said(folder: Path, signer: Ed25519) -> None:
    async with (
        shell(folder, signer, limits=Limits(seconds=3)) as carrier,
        shell(folder, signer, "b:2", Limits(seconds=7, memory=64 << 20)) as joined,
        shell(folder, signer, "c:3") as third,
    ):
        heard, silent = Heard(joined), Heard(third)
        await until(heard.notices)
        (notice,) = heard.notices()
        assert "seconds is 3, not 7, memory is 512 MB, not 64 MB;" in notice
        assert str(os.getpid()) in notice
        assert joined.node.limits == Limits(seconds=3) == third.node.limits
        await joined.node.set_limits(Limits(seconds=5))
        assert carrier.node.limits.seconds == 5 == joined.node.limits.seconds
        await until(lambda: third.node.limits.seconds == 5)
        await carrier.node.set_limits(Limits(seconds=6))
        await until(lambda: joined.node.limits.seconds == 6)
        assert not silent.notices()


@in_loop
async def test_a_large_export_comes_whole(folder: Path, signer: Ed25519) -> None:
    async with two(folder, signer) as (carrier, joined):
        pid = await joined.spawn()
        body = os.urandom(600_000).hex()
        await joined.post(pid, body, Action="Keep")
        await joined.eval(pid, "1")
        exported = await joined.node.export(pid)
        assert exported == await carrier.node.export(pid) and len(exported) > 300_000
        await joined.node.delete(pid)
        back = await joined.node.restore(exported, "back")
        assert (await joined.node.schedule(back.id, 1, 1))[0].data.decode() == body
