"""A message that fails leaves no trace in the state."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import pytest
from eventually import in_loop, until
from local_home import KINDS, SMALL, plain

from aoshell.errors import UsageError
from aoshell.nodes.local.processes import peek
from aoshell.nodes.local.replaying import verify
from aoshell.nodes.local.workers import live
from aoshell.nodes.values import Limits


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
    """There are more messages before and after it than a worker is sent at a time."""
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
        store, row = local.engine.store, local.engine.processes.look_up(pid)
        logged, computed = store.at_slot(row.number, result.slot)
        body = computed.body.replace(verify.ADDED_TEXT.encode(), b"")
        assert body != computed.body
        store._db.execute("UPDATE results SET body = ? WHERE seq = ?", (body, logged.seq))
        assert await local.node.verify_log(pid) == []
