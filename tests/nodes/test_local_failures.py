"""A message that fails leaves no trace in the state; a dry run leaves none at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest
from eventually import until
from local_home import NOBODY, in_loop, plain, tags

from aoshell.errors import AoError, UsageError
from aoshell.nodes.local import peek, verify
from aoshell.nodes.local.workers import live, pool
from aoshell.nodes.values import Limits
from aoshell.protocol.message import Message

KINDS = {
    "error": ("error('on purpose')", "on purpose"),
    "time": ("while true do end", "its limit"),
    "memory": ("local s = 'x' while true do s = s .. s end", "not enough memory"),
}
SMALL = Limits(seconds=0.3, memory=64 << 20)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@in_loop
async def test_a_failure_is_undone_and_recorded(opening, kind):
    code, reason = KINDS[kind]
    async with opening(SMALL) as local:
        pid = await local.spawn()
        await local.eval(pid, "State = { count = 1 }")
        result = await local.eval(
            pid,
            f'print("printed before") State.count = 2 Send({{Target = ao.id, Data = "no"}}) {code}',
        )
        assert result.outcome == kind
        assert reason in result.error
        assert "printed before" in result.output + result.error
        assert result.messages == ()
        assert await local.value(pid, "State.count") == "1"
        assert await local.value(pid, "#Inbox") == "1"
        assert await local.value(pid, "#Errors") == "1"
        assert reason in await local.value(pid, "Errors[1]")
        assert await local.node.verify_log(pid) == []
        before = [(e.result.outcome, e.result.output) for e in await local.entries(pid)]
    async with opening(SMALL) as local:
        assert await local.value(pid, "State.count .. #Errors") == "11"
        assert [(e.result.outcome, e.result.output) for e in await local.entries(pid)][
            : len(before)
        ] == before


@in_loop
async def test_a_failure_leaves_the_prompt_and_the_memory_as_they_were(opening, kind):
    async with opening(SMALL) as local:
        pid = await local.spawn(name="failing")
        await local.eval(pid, "Prompt = function() return 'own> ' end")
        before = await local.node.find(pid)
        await local.eval(pid, KINDS[kind][0])
        after = await local.node.find(pid)
        assert (after.prompt, after.memory) == (before.prompt, before.memory)
        assert (plain(after.prompt), after.memory > 0) == ("own> ", True)
        assert peek.read_last_prompt(local.engine.store.path, "failing") == before.prompt


@in_loop
async def test_pcall_does_not_swallow_a_limit(opening, kind):
    code, _reason = KINDS[kind]
    async with opening(SMALL) as local:
        pid = await local.spawn()
        result = await local.eval(
            pid, f"for i = 1, 3 do pcall(function() {code} end) end Swallowed = true"
        )
        assert result.outcome == ("ok" if kind == "error" else kind)
        wrapped = (
            f"coroutine.wrap(function() xpcall(function() {code} end, print) end)() Wrapped = true"
        )
        assert (await local.eval(pid, wrapped)).outcome == ("ok" if kind == "error" else kind)
        swallowed = "true true" if kind == "error" else "nil nil"
        assert (
            await local.value(pid, "tostring(Swallowed) .. ' ' .. tostring(Wrapped)") == swallowed
        )


@in_loop
async def test_a_failure_among_many_messages_costs_only_itself(opening, kind):
    """More messages are on their way than a worker is sent at a time, before and behind it."""
    code, _reason = KINDS[kind]
    around = live.WINDOW + 10
    async with opening(SMALL) as local:
        pid = await local.spawn(
            'Sum = 0 Handlers.add("Add", "Add", function(msg) Sum = Sum + tonumber(msg.Data) '
            "Send({Target = Owner, Data = tostring(Sum)}) end)"
        )
        for n in range(around):
            await local.post(pid, str(n), Action="Add")
        bad = await local.post(pid, f"Sum = -1 {code}", Action="Eval")
        for n in range(around):
            last = await local.post(pid, str(n), Action="Add")
        await local.node.result(pid, last.slot)
        entries = await local.entries(pid)
        assert [e.result.slot for e in entries] == list(range(2 * around + 2))
        assert [e.result.slot for e in entries if not e.result.ok] == [bad.slot]
        total, expected = 0, []
        for n in [*range(around), *range(around)]:
            total += n
            expected.append(str(total).encode())
        assert [e.result.messages[0].data for e in entries if e.result.messages] == expected
        assert await local.node.verify_log(pid) == []


@in_loop
async def test_failures_in_a_row_behind_each_other(opening):
    async with opening(SMALL) as local:
        pid = await local.spawn()
        lines = [
            "N = (N or 0) + 1",
            KINDS["time"][0],
            "N = N + 1",
            KINDS["error"][0],
            KINDS["error"][0],
            KINDS["memory"][0],
            KINDS["time"][0],
            "N = N + 1",
        ]
        for line in lines:
            last = await local.post(pid, line, Action="Eval")
        await local.node.result(pid, last.slot)
        outcomes = [e.result.outcome for e in await local.entries(pid)]
        assert outcomes == ["ok", "ok", "time", "ok", "error", "error", "memory", "time", "ok"]
        assert await local.value(pid, "N .. ' ' .. #Errors") == "3 5"
        assert await local.node.verify_log(pid) == []


@in_loop
async def test_an_error_of_a_handler_that_is_no_eval_reaches_errors(opening):
    async with opening() as local:
        pid = await local.spawn(
            'Handlers.add("Bad", "Bad", function() Touched = true error("bad day") end)'
        )
        result = await local.send(pid, Action="Bad")
        assert result.outcome == "error" and "bad day" in result.error
        assert "bad day" in await local.value(pid, "Errors[1]")
        assert await local.value(pid, "tostring(Touched)") == "nil"


@in_loop
async def test_cancel_stops_a_message_as_if_its_time_were_up(opening):
    async with opening() as local:
        pid = await local.spawn()
        line = await local.post(pid, "print('so far') X = 1 while true do end", Action="Eval")
        later = await local.post(pid, "X = (X or 0) + 10", Action="Eval")
        await until(lambda: computing_seconds(local) > 0.2)
        assert await local.node.cancel(pid, line.slot)
        result = await local.node.result(pid, line.slot)
        assert (result.outcome, result.error, result.output) == (
            "time",
            "stopped by the user",
            "so far",
        )
        assert (await local.node.result(pid, later.slot)).ok
        assert await local.value(pid, "X") == "10"
        assert not await local.node.cancel(pid, line.slot)
        assert not await local.node.cancel(pid, 99)


def computing_seconds(local) -> float:
    """Processor time of the fork that computes, 0 while there is none but the worker itself."""
    workers = [worker for worker in local.workers() if worker.pid != worker.group]
    with contextlib.suppress(OSError, IndexError):
        stat = Path(f"/proc/{workers[0].pid}/stat").read_text().rpartition(")")[2].split()
        return int(stat[11]) / os.sysconf("SC_CLK_TCK")
    return 0


@pytest.mark.parametrize("moment", ["not begun", "behind another", "being computed"])
@in_loop
async def test_a_message_is_cancelled_wherever_it_waits(opening, moment):
    async with opening(seconds=1000) as local:
        pid = await local.spawn()
        if moment == "not begun":
            row = local.engine.processes.find(pid)
            local.engine.computer.drop(row.number)  # a worker is to start
        for live in local.engine.computer._live.values():
            live._since -= 1000  # seconds for which it has had nothing to do
        first = await local.post(pid, "X = 1 while X do end", Action="Eval")
        second = await local.post(pid, "Y = 1 while Y do end", Action="Eval")
        third = await local.post(pid, "return 20 + 2", Action="Eval")
        if moment == "being computed":
            await until(lambda: computing_seconds(local) > 0.1)
        lines = [first, second] if moment != "behind another" else [second, first]
        for line in lines:
            assert await local.node.cancel(pid, line.slot)
        for line in lines:
            result = await local.node.result(pid, line.slot)
            assert (result.outcome, result.error) == ("time", "stopped by the user")
            assert result.milliseconds < 900_000
        assert plain((await local.node.result(pid, third.slot)).output) == "22"
        assert await local.value(pid, "tostring(X) .. tostring(Y)") == "nilnil"
        assert await local.node.verify_log(pid) == []


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
async def test_cancelling_the_wait_leaves_the_message(opening):
    async with opening() as local:
        pid = await local.spawn()
        line = await local.post(
            pid, "local n = 0 for i = 1, 2e7 do n = n + i end Done = true", Action="Eval"
        )
        waiting = asyncio.ensure_future(local.node.result(pid, line.slot))
        await asyncio.sleep(0)
        waiting.cancel()
        assert await local.value(pid, "tostring(Done)") == "true"


@in_loop
async def test_limits_that_leave_nothing_are_refused(opening):
    async with opening() as local:
        for bad in (Limits(seconds=0), Limits(memory=1000), Limits(pushes=0)):
            with pytest.raises(UsageError):
                await local.node.set_limits(bad)
        assert local.node.limits == Limits()


# Dry runs ---------------------------------------------------------------------------------------


def unsigned(data: str, **values: str) -> Message:
    named = tags(Data_Protocol="ao", Type="Message", **values)
    return Message("", NOBODY, NOBODY, "", named, data.encode())


def owned(local, data: str) -> Message:
    me = local.wallet.address
    return Message("", me, me, "", tags(Action="Eval"), data.encode())


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


# Bounds that are named --------------------------------------------------------------------------


@in_loop
async def test_too_many_messages_at_once_name_the_bound_that_they_meet(opening):
    async with opening() as local:
        pid = await local.spawn()
        line = "for i = 1, 16000 do Send({Target = 'x', Data = 'y'}) end"
        result = await local.eval(pid, line)
        assert result.outcome == "error"
        assert result.error == f"Tags is too long{verify.ADDED_TEXT}"
        assert await local.node.verify_log(pid) == []
        # An older log has the shorter text.
        store, row = local.engine.store, local.node._row(pid)
        logged, computed = store.at_slot(row.number, result.slot)
        body = computed.body.replace(verify.ADDED_TEXT.encode(), b"")
        assert body != computed.body
        store._db.execute("UPDATE results SET body = ? WHERE seq = ?", (body, logged.seq))
        assert await local.node.verify_log(pid) == []


# Workers that die -------------------------------------------------------------------------------


@in_loop
async def test_a_message_whose_workers_are_killed_is_held_and_has_no_outcome(opening):
    """The kernel kills when the machine runs out of memory: that is not the message's doing."""
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
        assert local.engine.store.at_slot(local.node._row(pid).number, line.slot)[1] is None
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


# Room -------------------------------------------------------------------------------------------


@in_loop
async def test_more_processes_than_workers_take_turns(opening, monkeypatch):
    monkeypatch.setattr(pool, "MAX_LIVE", 3)
    async with opening() as local:
        pids = [await local.spawn("N = 0") for _ in range(10)]
        for turn in range(4):
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
        await local.send(pids[0], "99", Action="Go")
        assert [await local.value(pid, "N") for pid in pids] == ["10"] * 10
        for pid in pids:
            assert await local.node.verify_log(pid) == []


@in_loop
async def test_a_process_that_waits_keeps_its_wait_when_put_away(opening, monkeypatch):
    monkeypatch.setattr(pool, "MAX_LIVE", 2)
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
