"""A dry run leaves no trace at all."""

from __future__ import annotations

import asyncio

import pytest
from eventually import in_loop, until
from local_home import KINDS, NOBODY, SMALL, plain, tags

from aoshell.errors import AoError
from aoshell.protocol.message import Message, Result


def unsigned(data: str, **values: str) -> Message:
    named = tags(Data_Protocol="ao", Type="Message", **values)
    return Message("", NOBODY, NOBODY, "", named, data.encode())


def owned(local, data: str) -> Message:
    me = local.wallet.address
    return Message("", me, me, "", tags(Action="Eval"), data.encode())


async def under_way(local, pid: str, code: str) -> asyncio.Task[Result]:
    """A dry run that a worker has."""
    dry = asyncio.ensure_future(local.node.dryrun(pid, owned(local, code)))
    number, live = local.engine.processes.find(pid).number, local.engine.computer._live
    await until(lambda: number in live and live[number]._dries.are_sent)
    return dry


@in_loop
async def test_a_dry_run_changes_nothing(opening):
    async with opening() as local:
        pid = await local.spawn()
        await local.eval(pid, "Count = 1")
        log = await local.messages(pid)
        code = "Count = Count + 1 Send({Target = ao.id, Data = 'x'}) return Count .. ' ' .. #Inbox"
        for _ in range(3):
            result = await local.node.dryrun(pid, owned(local, code))
            assert (result.outcome, result.output, len(result.messages)) == ("ok", "2 1", 1)
        assert await local.messages(pid) == log
        assert await local.node.slots(pid) == 2
        assert await local.value(pid, "Count .. ' ' .. #Inbox") == "1 1"
        assert await local.node.verify_log(pid) == []


@in_loop
async def test_a_dry_run_is_told_so_and_has_the_time_of_the_clock(opening):
    async with opening() as local:
        pid = await local.spawn(
            'Handlers.add("What", "What", function(msg) print(table.concat({ '
            'tostring(msg["Read-Only"]), msg.Timestamp, msg["Block-Height"], tostring(msg.Id), '
            'msg.From, os.time() }, " ")) end)'
        )
        await local.eval(pid, "1")
        last = (await local.messages(pid))[-1].assignment
        await local.node.workbench.warp(86_400_000)
        result = await local.node.dryrun(pid, unsigned("", Action="What"))
        read_only, timestamp, height, message_id, sender, now = result.output.split(" ")
        assert (read_only, message_id, sender) == ("true", "", NOBODY)
        assert 0 <= int(timestamp) - last.timestamp - 86_400_000 < 60_000
        assert int(height) - last.block_height in (669, 670)  # blocks in a day
        assert now == timestamp
        assert "true" not in plain((await local.send(pid, Action="What")).output).split(" ")[0]


@in_loop
async def test_a_dry_run_sees_what_was_scheduled_before_it(opening):
    async with opening() as local:
        item = local.definition()
        await local.node.spawn(item)
        slow = "local n = 0 for i = 1, 1e7 do n = n + i end Slow = true"
        line = await local.post(item.id, slow, Action="Eval")
        later = await local.post(item.id, "Slow = tostring(Slow) .. ' and later'", Action="Eval")
        result = await local.node.dryrun(item.id, owned(local, "Slow .. ' ' .. os.time()"))
        last = (await local.messages(item.id))[-1].assignment
        said, _, time = result.output.rpartition(" ")
        assert said == "true and later"
        assert last.timestamp <= int(time) <= local.node.time  # it runs now, behind the last
        assert (line.slot, later.slot) == (1, 2)


@in_loop
async def test_a_dry_run_may_fail_as_a_message_may(opening, kind):
    code, reason = KINDS[kind]
    async with opening(SMALL) as local:
        pid = await local.spawn()
        result = await local.node.dryrun(pid, owned(local, f"print('shown') {code}"))
        assert result.outcome == kind
        assert reason in result.error
        assert "shown" in result.output + result.error
        assert await local.value(pid, "#Errors") == "0"
        assert await local.node.slots(pid) == 2


@in_loop
async def test_a_dry_run_cannot_spawn(opening):
    async with opening() as local:
        pid = await local.spawn()
        result = await local.node.dryrun(pid, owned(local, "spawn(ao.env.Module.Id)"))
        assert result.outcome == "error" and "dry run" in result.error
        with pytest.raises(AoError, match="no process"):
            await local.node.dryrun(NOBODY, owned(local, "1"))


@in_loop
async def test_a_cancelled_dry_run_is_stopped(opening):
    async with opening(seconds=1000) as local:
        pid = await local.spawn()
        for _ in range(4):  # more often than a worker may die
            endless = asyncio.ensure_future(
                local.node.dryrun(pid, owned(local, "while true do end"))
            )
            await until(lambda: bool(local.workers()) and local.workers()[0].pid != 0)
            await asyncio.sleep(0.05)
            endless.cancel()
            assert await local.value(pid, "return 20 + 2") == "22"
        waiting = asyncio.ensure_future(local.node.dryrun(pid, owned(local, "while true do end")))
        other = asyncio.ensure_future(local.node.dryrun(pid, owned(local, "return 7")))
        await asyncio.sleep(0.05)
        waiting.cancel()
        assert plain((await other).output) == "7"


@in_loop
@pytest.mark.parametrize("cut", ["another", "this"])
async def test_a_dry_run_is_asked_again_where_a_log_was_cut_under_it(opening, cut):
    async with opening() as local:
        pid, other = await local.spawn("N = 0"), await local.spawn()
        await local.eval(pid, "N = 1")
        cut_off = pid if cut == "this" else other
        await local.eval(cut_off, "N = 2")
        last = await local.node.slots(cut_off) - 1
        dry = await under_way(local, pid, "local n = 0 for i = 1, 2e7 do n = n + i end return N")
        await local.node.workbench.undo(cut_off, last)
        assert plain((await dry).output) == "1"


@in_loop
async def test_a_dry_run_of_a_process_that_is_deleted_under_it_fails(opening):
    async with opening() as local:
        pid = await local.spawn()
        dry = await under_way(local, pid, "while true do end")
        await local.node.delete(pid)
        with pytest.raises(AoError, match="no process"):
            await dry


@in_loop
async def test_a_dry_run_says_that_the_node_was_closed_under_it(opening):
    async with opening() as local:
        pid = await local.spawn()
        dry = await under_way(local, pid, "while true do end")
    with pytest.raises(AoError, match="the node is closed"):
        await dry
