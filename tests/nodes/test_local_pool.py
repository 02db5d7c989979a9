"""More processes than workers, workers that die, too little memory: nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from eventually import in_loop, until
from local_home import tags

from aoshell.errors import AoError
from aoshell.nodes.local.workers import live, room
from aoshell.nodes.values import Limits
from aoshell.protocol.message import Message


@in_loop
async def test_a_message_whose_workers_are_killed_is_held_and_has_no_outcome(opening):
    """The kernel kills workers when memory runs out, which is not the fault of the message."""
    async with opening(Limits(seconds=60)) as local:
        pid = await local.spawn()
        await local.eval(pid, "X = 1")
        line = await local.post(pid, "X = 2 for i = 1, 1e8 do end return X", Action="Eval")
        result = asyncio.ensure_future(local.node.result(pid, line.slot))
        killed = set()
        while not result.done():
            for worker in local.workers():
                if worker.pid and worker.pid not in killed:
                    await asyncio.sleep(0.05)  # until it has parked, and computes
                    killed.add(worker.pid)
                    worker.stop_computing()
            await asyncio.sleep(0.005)
        with pytest.raises(AoError, match=f"process {pid}: .*(from outside 3 times|stays up)"):
            await result
        assert (
            local.engine.store.at_slot(local.engine.processes.look_up(pid).number, line.slot)[1]
            is None
        )
        assert await local.value(pid, "X .. #Errors") == "20"  # the held one has been computed
        assert (await local.node.result(pid, line.slot)).outcome == "ok"
        assert await local.node.verify_log(pid) == []


@in_loop
async def test_a_zygote_that_dies_is_replaced(opening):
    async with opening() as local:
        pid = await local.spawn()
        os.kill(local.engine.supervisor._zygotes["lua"].pid, signal.SIGKILL)
        other = await local.spawn()
        assert await local.value(pid, "1 + 1") == await local.value(other, "1 + 1") == "2"


@in_loop
async def test_what_was_sent_to_a_slow_worker_holds_up_nobody_else(opening, monkeypatch):
    """Its messages were sent ahead before the first slow one was answered."""
    monkeypatch.setattr(live, "TURN_SECONDS", 0.1)
    async with opening(Limits(workers=1)) as local:
        slow, other = await local.spawn("N = 0"), await local.spawn("N = 0")
        code = "for i = 1, 2e6 do end N = N + 1"
        sent = [await local.post(slow, code, Action="Eval") for _ in range(60)]
        waited = asyncio.ensure_future(local.node.result(slow, sent[-1].slot))
        await local.node.result(slow, sent[0].slot)
        assert await local.value(other, "N") == "0"
        assert not waited.done()
        assert (await waited).ok and await local.value(slow, "N") == "60"
        assert await local.node.verify_log(slow) == []


@in_loop
async def test_more_processes_than_workers_take_turns(opening, monkeypatch):
    monkeypatch.setattr(room, "MAX_LIVE", 3)
    async with opening() as local:
        pids = [await local.spawn("N = 0") for _ in range(6)]
        for turn in range(3):
            sent = [
                await local.post(pid, f"N = N + {turn} return N", Action="Eval") for pid in pids
            ]
            for receipt in sent:
                result = await local.node.result(receipt.process, receipt.slot)
                assert result.output == str(sum(range(turn + 1)))
            assert len(local.workers()) <= 3
        ring = "".join(
            'Handlers.add("Go", "Go", function(msg) N = N + 1 if tonumber(msg.Data) > 0 then '
            'Send({Target = Next, Action = "Go", Data = tostring(tonumber(msg.Data) - 1)}) end end)'
        )
        for pid, following in zip(pids, [*pids[1:], pids[0]], strict=True):
            await local.eval(pid, f"N = 0 Next = '{following}' {ring}")
        await local.send(pids[0], "23", Action="Go")
        assert [await local.value(pid, "N") for pid in pids] == ["4"] * 6
        for pid in pids:
            assert await local.node.verify_log(pid) == []


@in_loop
async def test_the_pool_keeps_nothing_for_a_process_that_is_put_away(opening, monkeypatch):
    monkeypatch.setattr(room, "MAX_LIVE", 2)
    async with opening() as local:
        pids, me = [await local.spawn() for _ in range(8)], local.wallet.address
        for pid in pids:
            assert await local.value(pid, "1 + 1") == "2"
            line = Message("", me, me, "", tags(Action="Eval"), b"1 + 1")
            assert (await local.node.dryrun(pid, line)).ok
        pool = local.engine.computer
        kept = (pool._live, pool._queues, pool._dries, pool._waiting, pool._failures, pool._held)
        assert max(map(len, kept)) <= 2


@in_loop
async def test_a_process_that_waits_keeps_its_wait_when_put_away(opening, monkeypatch):
    monkeypatch.setattr(room, "MAX_LIVE", 2)
    async with opening() as local:
        pid = await local.spawn()
        line = await local.eval(pid, 'Got = Receive({Action = "Answer"}).Data return Got')
        assert line.suspended
        assert (await local.node.find(pid)).waiting == 1
        for _ in range(3):
            await local.spawn()
        await until(lambda: not local.engine.computer.is_live(1))
        answer = await local.send(pid, "42", Action="Answer")
        assert len(answer.resumed) == 1 and answer.output == "42"
        assert (await local.node.find(pid)).waiting == 0


@in_loop
async def test_a_process_that_cannot_be_replayed_says_so_and_goes_on_when_it_can(opening):
    async with opening() as local:
        pid = await local.spawn()
        await local.eval(pid, "Big = string.rep('x', 64 << 20)")
    async with opening(Limits(memory=16 << 20)) as local:
        other = await local.spawn()
        with pytest.raises(AoError, match="its log cannot be computed again within 32 MB"):
            await local.eval(pid, "N = (N or 0) + 1")
        assert await local.value(other, "1 + 1") == "2"
        await local.node.set_limits(Limits())
        assert await local.value(pid, "N = N + 1 return N") == "2"
        assert await local.value(pid, "#Big") == str(64 << 20)
        assert [e.result.outcome for e in await local.entries(pid)] == ["ok"] * 5


@in_loop
async def test_a_changed_memory_limit_holds_for_processes_that_run(opening):
    async with opening(Limits(memory=64 << 20)) as local:
        pid = await local.spawn()
        big = "local t = {} for i = 1, 200 do t[i] = ('x'):rep(100000) .. i end return #t"
        assert await local.value(pid, "N = 7 return N") == "7"
        for megabytes, fits in ((16, False), (64, True)):
            await local.node.set_limits(Limits(memory=megabytes << 20))
            result = await local.eval(pid, big)
            assert result.ok is fits, result
            assert fits or f"may use {megabytes} MB" in result.error
            assert await local.value(pid, "N") == "7"


@in_loop
async def test_nobody_waits_for_a_process_that_cannot_be_computed(opening, monkeypatch):
    async with opening() as local:
        pid = await local.spawn()
    async with opening() as local:

        def no_code(*_args):
            raise AoError("its code is gone", stage="store")

        monkeypatch.setattr(local.engine.loader, "find_code", no_code)
        early = await local.post(pid, "1", Action="Eval")
        for _ in range(2):  # while it is given up, and behind that
            with pytest.raises(AoError, match="its code is gone"):
                await local.node.result(pid, early.slot)
            with pytest.raises(AoError, match="its code is gone"):
                await local.node.settled(early.id)
        monkeypatch.undo()
        assert await local.value(pid, "return 2") == "2"
        await local.node.settled(early.id)
