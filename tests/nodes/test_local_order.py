"""The order in which the engine commits, replays, announces and continues."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any

import pytest
from eventually import in_loop, until
from local_home import FullDisk, Local, database

from aoshell.errors import AoError
from aoshell.nodes.local import committing
from aoshell.nodes.local.log.rows import Batch
from aoshell.nodes.local.waiting import retries
from aoshell.nodes.local.workers import live as live_process
from aoshell.nodes.local.workers.live import WINDOW, Live
from aoshell.nodes.values import Limits
from aoshell.protocol.message import Message
from aoshell.sandbox.supervising.supervisor import WorkerHandle

HEAVY = "local t = {} for i = 1, 420 do t[i] = ('x'):rep(100000 + i) end return #t"  # 42 MB


class OnAnswer:
    """Runs a call in the turn of the loop in which a worker answers, before that is written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slot: int, act: Any) -> None:
        self.done = False
        on_done = Live._on_done

        def acting(live: Live, epoch: int, seq: int, *rest: Any) -> None:
            logged = live.sent[0].logged
            on_done(live, epoch, seq, *rest)
            if logged.slot == slot and not self.done:
                self.done = True
                act(live, logged)

        monkeypatch.setattr(Live, "_on_done", acting)


@in_loop
async def test_a_result_is_written_before_its_process_is_replayed(opening, monkeypatch):
    """If a worker ends in the turn in which it answered, the next one must get that result."""

    def end(live: Live, _logged: Any) -> None:
        live._worker.kill()
        live._worker.close()
        live._gone()

    async with opening() as local:
        pid = await local.spawn("N = 1")
        ended = OnAnswer(monkeypatch, 1, end)
        for code in ("N = N + 1", "N = N * 10"):
            last = await local.post(pid, code, Action="Eval")
        assert (await local.node.result(pid, last.slot)).ok
        assert ended.done
        assert await local.value(pid, "N") == "20"
        assert await local.node.verify_log(pid) == []


@in_loop
async def test_a_result_is_written_before_the_checkpoint_that_holds_it(opening, monkeypatch):
    on_disk: list[bool] = []

    def store_image(live: Live, logged: Any) -> None:
        live.images._requested[logged.seq] = logged
        live._image(logged.seq, b"an image", "")

    async with opening() as local:
        pid = await local.spawn()

        def write(_process: str, _environment: str, checkpoint: Any) -> None:
            on_disk.append(local.engine.store.computed_at(checkpoint.seq) is not None)

        OnAnswer(monkeypatch, 1, store_image)
        with monkeypatch.context() as patch:
            patch.setattr(local.engine.checkpoints, "write", write)
            assert (await local.eval(pid, "1")).ok
    assert on_disk == [True]


@in_loop
async def test_a_result_is_written_before_its_process_is_held(opening, monkeypatch):
    """A held process is copied and cut: both must include the results of its worker."""
    async with opening() as local:
        row = local.engine.processes.find(await local.spawn())
        on_disk: list[bool] = []

        def hold(_live: Live, logged: Any) -> None:
            local.engine._hold(row)
            on_disk.append(local.engine.store.computed_at(logged.seq) is not None)

        OnAnswer(monkeypatch, 1, hold)
        await local.post(row.id, "1", Action="Eval")
        await until(lambda: bool(on_disk))
        local.engine._let_go(row, AoError("the message was taken back", stage="node"))
        assert on_disk == [True] and await local.value(row.id, "2") == "2"


@in_loop
async def test_a_result_is_written_before_what_comes_from_outside(opening, monkeypatch):
    """Its messages have lower numbers: the log on disk is a prefix of what the node took."""
    async with opening() as local:
        row = local.engine.processes.find(await local.spawn())
        commit, written = local.engine.store.commit, list[int]()

        def watched(batch: Any, *, sync: bool) -> None:
            commit(batch, sync=sync)
            written.extend(logged.seq for logged in batch.log)

        def send(_live: Live, _logged: Any) -> None:
            local.engine.intake.send(row, local.item(row.id, "2", Action="Eval"))

        monkeypatch.setattr(local.engine.store, "commit", watched)
        OnAnswer(monkeypatch, 1, send)
        await local.eval(row.id, "Send({Target = ao.id})")
        assert len(written) == 3 and written == sorted(written)


@in_loop
async def test_what_was_sent_runs_before_what_comes_from_outside_then(opening, monkeypatch):
    """It has the slot before, in whatever way it reaches the worker."""
    note = 'Handlers.add("Note", "Note", function(msg) Seen[#Seen + 1] = msg.Data end)'
    async with opening() as local:
        row = local.engine.processes.find(await local.spawn(f"Seen = {{}} {note}"))

        def send(_live: Live, _logged: Any) -> None:
            line = 'Seen[#Seen + 1] = "outside"'
            local.engine.intake.send(row, local.item(row.id, line, Action="Eval"))

        OnAnswer(monkeypatch, 1, send)
        await local.eval(row.id, 'Send({Target = ao.id, Action = "Note", Data = "sent"})')
        assert await local.value(row.id, 'table.concat(Seen, " ")') == "sent outside"
        assert await local.node.verify_log(row.id) == []


@in_loop
async def test_a_line_is_on_disk_before_it_runs_and_each_result_before_anybody_knows(
    opening, folder, monkeypatch
):
    async with opening() as local:
        pid, other = await local.spawn(), await local.spawn()
        seen: dict[str, list[bool]] = {"message": [], "result": []}

        def committed(table: str, seq: int) -> bool:
            """As another connection sees it, so without an open transaction."""
            db = database(folder)
            try:
                query = f"SELECT count(*) FROM {table} WHERE seq = ?"
                return bool(db.execute(query, (seq,)).fetchone()[0])
            finally:
                db.close()

        enqueue, put = local.engine._enqueue, local.engine.events.put

        def enqueued(logged: Any, body: Any) -> None:
            if logged.cause is None:
                seen["message"].append(committed("log", logged.seq))
            enqueue(logged, body)

        def announced(event: Any) -> None:
            if event.kind == "result":
                assignment = event.load().message.assignment
                seen["result"].append(committed("results", assignment.order))
            put(event)

        monkeypatch.setattr(local.engine, "_enqueue", enqueued)
        monkeypatch.setattr(local.engine.events, "put", announced)
        local.node.subscribe()
        assert (await local.eval(pid, f'Send({{Target = "{other}", Data = "x"}})')).ok
        assert seen["message"] == [True] and seen["result"] == [True] * 2


@in_loop
async def test_what_runs_while_a_message_is_refused_is_computed_again(opening, monkeypatch):
    """No other message comes: the node must continue alone."""
    monkeypatch.setattr(retries, "RETRY", 0.05)
    async with opening() as local:
        pid = await local.spawn("N = 1")
        first = await local.post(pid, "for i = 1, 3e6 do end N = N + 1", Action="Eval")
        with monkeypatch.context() as patch:
            FullDisk(local, patch, math.inf, lambda batch: batch.log and not batch.results)
            with pytest.raises(AoError, match="full"):
                await local.post(pid, "N = N * 10", Action="Eval")
            result = await asyncio.wait_for(local.node.result(pid, first.slot), 30)
        assert result.ok
        assert await local.value(pid, "N") == "2"
        slots = [message.assignment.slot for message in await local.messages(pid)]
        assert slots == [0, 1, 2]  # the refused one has left no gap
        assert await local.node.verify_log(pid) == []


@in_loop
async def test_what_was_sent_when_a_message_is_refused_is_computed_once(opening, monkeypatch):
    """It is on disk and not with its worker yet: only the log brings it there."""
    monkeypatch.setattr(retries, "RETRY", 0.05)
    async with opening() as local:
        one, other = await local.spawn(), await local.spawn()
        disk = FullDisk(local, monkeypatch, 0, lambda batch: batch.log and not batch.results)
        dispatched = list[int]()
        enqueue = local.engine._committing._enqueue

        def noted(logged: Any, body: Any) -> None:
            dispatched.append(logged.seq)
            enqueue(logged, body)

        def refused(_live: Live, _logged: Any) -> None:
            disk.left = 1
            with pytest.raises(AoError, match="full"):
                row = local.engine.processes.find(other)
                local.engine.intake.send(row, local.item(other, "2", Action="Eval"))

        monkeypatch.setattr(local.engine._committing, "_enqueue", noted)
        OnAnswer(monkeypatch, 1, refused)
        await local.eval(one, f'Send({{Target = "{other}", Data = "x"}})')
        assert not disk.left and dispatched == []
        assert await local.value(other, "return #Inbox") == "2"
        assert await local.node.verify_log(other) == []


@in_loop
async def test_what_a_full_disk_left_undone_comes_before_what_is_sent_then(opening, monkeypatch):
    """The retry is not due within the test, so the new message starts the work again."""
    monkeypatch.setattr(retries, "RETRY", 600)
    async with opening() as local:
        pid = await local.spawn("N = 1")
        FullDisk(local, monkeypatch, 1)
        first = await local.post(pid, "N = N + 1", Action="Eval")
        await until(lambda: local.engine.retries.waits("retry"))
        second = await local.post(pid, "N = N * 10", Action="Eval")
        assert not local.engine.retries.waits("retry")  # or all would be computed once more
        for sent in (first, second):
            assert (await local.node.result(pid, sent.slot)).ok
        assert await local.value(pid, "N") == "20"
        assert await local.node.verify_log(pid) == []


@in_loop
async def test_a_process_that_could_not_be_written_is_not_there(opening, monkeypatch):
    monkeypatch.setattr(retries, "RETRY", 600)
    async with opening() as local:
        definition = local.definition()
        with monkeypatch.context() as patch:
            FullDisk(local, patch, math.inf, lambda _: True)
            with pytest.raises(AoError, match="full"):
                await local.node.spawn(definition)
        assert local.engine.processes.find(definition.id) is None
        assert (await local.node.spawn(definition)).process == definition.id
        assert (await local.node.result(definition.id, 0)).ok


@in_loop
async def test_who_waits_for_the_log_hears_of_what_comes_and_of_what_is_taken_back(opening):
    """At once, and not with the next result."""
    async with opening() as local:
        row = local.engine.processes.find(await local.spawn())
        error = AoError("the message was taken back", stage="node")
        for change in (
            lambda: local.engine.admit(Batch(facts={"fact": 1}), []),
            lambda: local.engine._let_go(row, error),
        ):
            waits = asyncio.ensure_future(local.node.network.stored_changed())
            await asyncio.sleep(0)
            change()
            await asyncio.wait_for(waits, 60)


@in_loop
async def test_a_message_that_is_written_ends_the_count_of_failures(opening):
    async with opening() as local:
        local.engine.retries.failures = 1
        local.engine.admit(Batch(facts={"fact": 1}), [])
        assert local.engine.retries.failures == 0


@in_loop
async def test_a_line_settles_once_though_all_began_anew(opening):
    async with opening() as local:
        pid = await local.spawn()
        line = await local.post(pid, "for i = 1, 5e6 do end Send({Target = ao.id})", Action="Eval")
        settled = asyncio.ensure_future(local.node.settled(line.id))
        await asyncio.sleep(0)
        local.engine.start_over()
        local.engine.start_over()
        await asyncio.wait_for(settled, 30)
        assert not local.engine.roots.anything_open and len(await local.messages(pid)) == 3


@in_loop
async def test_a_line_that_somebody_waits_for_takes_one_fsync(opening, monkeypatch):
    async with opening() as local:
        pid = await local.spawn()
        commit, synced = local.engine.store.commit, list[bool]()

        def watched(batch: Any, *, sync: bool) -> None:
            commit(batch, sync=sync)
            synced.append(sync)

        sent = await local.post(pid, "1", Action="Eval")
        monkeypatch.setattr(local.engine.store, "commit", watched)
        await local.node.settled(sent.id)
        assert synced == [True]


@in_loop
async def test_what_comes_from_outside_is_fsynced_before_it_runs(opening, monkeypatch):
    async with opening() as local:
        await local.node.idle()
        commit, enqueue, seen = local.engine.store.commit, local.engine._enqueue, list[Any]()

        def watched(batch: Any, *, sync: bool) -> None:
            commit(batch, sync=sync)
            seen.append(sync)

        def enqueued(logged: Any, body: Any) -> None:
            seen.append("run")
            enqueue(logged, body)

        monkeypatch.setattr(local.engine.store, "commit", watched)
        monkeypatch.setattr(local.engine, "_enqueue", enqueued)
        await local.spawn()
        assert seen[:2] == [True, "run"]


async def evaluated(local: Local, process: str, code: str, dry: bool) -> Any:
    """The result of a line, or of its dry run."""
    if not dry:
        return await local.eval(process, code)
    item = local.item(process, code, Action="Eval")
    owner = local.wallet.address
    return await local.node.dryrun(
        process, Message("", owner, owner, process, item.tags, code.encode())
    )


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize("saved", [False, True])
@in_loop
async def test_the_memory_limit_holds_behind_a_replay(opening, saved, dry):
    """A replay and the load of an image may use twice the limit; a new message may not."""
    async with opening(Limits(memory=32 << 20)) as local:
        pid = await local.spawn("N = 1")
        assert (await local.eval(pid, "N = N + 1")).ok
        if saved:
            (live,) = local.engine.computer._live.values()
            await live.images.ask()
        else:
            local.engine.checkpoints.remove(pid)
    async with opening(Limits(memory=32 << 20)) as local:
        result = await evaluated(local, pid, HEAVY, dry)
        assert (result.outcome, "may use 32 MB" in result.error) == ("memory", True)
        assert await local.value(pid, "N") == "2"
    async with opening(Limits(memory=128 << 20)) as local:
        assert (await evaluated(local, pid, HEAVY, dry)).ok


@in_loop
async def test_a_changed_memory_limit_holds_for_what_is_computed_again(opening):
    """The new worker has messages to compute: it boots within the new limit."""
    async with opening(Limits(memory=128 << 20)) as local:
        pid = await local.spawn()
        first = await local.post(pid, "for i = 1, 2e7 do end", Action="Eval")
        await local.node.set_limits(Limits(memory=32 << 20))
        heavy = await local.post(pid, HEAVY, Action="Eval")
        assert (await local.node.result(pid, first.slot)).ok
        assert (await local.node.result(pid, heavy.slot)).outcome == "memory"


@in_loop
async def test_what_was_computed_when_limits_change_is_not_computed_again(opening, monkeypatch):
    async with opening() as local:
        pid, answered = await local.spawn("N = 1"), list[int]()

        def change(_live: Live, _logged: Any) -> None:
            local.engine.set_limits(replace(local.engine.limits, memory=128 << 20))

        OnAnswer(monkeypatch, 1, change)
        on_done = Live._on_done

        def noted(live: Live, *frame: Any) -> None:
            answered.append(live.sent[0].logged.slot)
            on_done(live, *frame)

        monkeypatch.setattr(Live, "_on_done", noted)
        await local.eval(pid, "N = N + 1")
        assert await local.value(pid, "N") == "2"
        assert answered == [1, 2]


@in_loop
async def test_a_full_disk_is_shown_once(opening, monkeypatch):
    """Nobody waits: the first failure is shown, and none of the others."""
    monkeypatch.setattr(retries, "RETRY", 0.01)
    async with opening() as local:
        pid = await local.spawn()
        FullDisk(local, monkeypatch, retries.TRIES + 2)
        events = local.node.subscribe()
        await local.post(pid, "1", Action="Eval")
        kinds = []
        while not kinds or kinds[-1] != "result":
            kinds.append((await anext(events)).kind)
        assert kinds == ["notice", "result"]


@pytest.mark.parametrize("wait", ["settled", "idle"])
@in_loop
async def test_what_somebody_waited_for_is_fsynced(opening, monkeypatch, wait):
    """At once: the timer that does it later is not due within the test."""
    monkeypatch.setattr(committing, "QUIET", 600)
    async with opening() as local:
        pid = await local.spawn()
        sent = await local.post(pid, "1", Action="Eval")
        await local.node.result(pid, sent.slot)
        assert local.engine._committing.unsynced
        await (local.node.idle() if wait == "idle" else local.node.settled(sent.id))
        assert not local.engine._committing.unsynced
        assert local.engine.store.meta("computed_to") == local.engine.scheduler.last_seq


@in_loop
async def test_a_failure_that_somebody_waits_through_is_not_shown(opening, monkeypatch):
    monkeypatch.setattr(retries, "RETRY", 0.01)
    async with opening() as local:
        pid = await local.spawn()
        disk = FullDisk(local, monkeypatch, 2)
        events = local.node.subscribe()
        sent = await local.post(pid, "1", Action="Eval")
        assert (await local.node.result(pid, sent.slot)).ok and not disk.left
        assert (await anext(events)).kind == "result"


@in_loop
async def test_an_abandoned_node_does_nothing_later(opening, monkeypatch):
    """Its database is closed, so a later call would fail, and be retried."""
    monkeypatch.setattr(committing, "QUIET", 0.001)
    async with opening() as local:
        pid = await local.spawn(Cron_Interval="1-second", Cron_Tag_Action="Tick")
        await local.post(pid, "1", Action="Eval")
        local.engine.flush()
        local.engine.retries.call_later("sync", local.engine.sync, 0.001)
        local.engine.abandon()
        assert not local.engine.retries.waits("sync")
        made: list[str] = []
        monkeypatch.setattr(local.engine.retries, "count_failure", made.append)
        monkeypatch.setattr(local.engine.ticking, "begin", lambda: made.append("tick"))
        assert local.engine.ticking._timer is None
        await asyncio.sleep(0.05)
        assert not made


@in_loop
async def test_a_dry_run_without_a_worker_is_asked_again_when_all_begins_anew(opening):
    """Nothing else would send it: its process has no messages to compute."""
    async with opening() as local:
        pid = await local.spawn()
        row = local.engine.processes.find(pid)
        local.engine._hold(row)
        dry = asyncio.ensure_future(evaluated(local, pid, "1", dry=True))
        await until(lambda: bool(local.engine.computer._dries.get(row.number)))
        local.engine._let_go(row, AoError("the message was taken back", stage="node"))
        assert (await dry).ok


@in_loop
async def test_who_waits_for_what_is_taken_back_gets_an_error(opening):
    async with opening() as local:
        pid, other = await local.spawn(), await local.spawn()
        sent = [await local.post(at, "while true do end", Action="Eval") for at in (pid, other)]
        waits = [
            asyncio.ensure_future(local.node.result(at, slot.slot))
            for at, slot in zip((pid, other), sent, strict=True)
        ]
        await until(lambda: len(local.engine._waiters._waiting) == 2)
        await local.node.workbench.undo(pid, 1)
        with pytest.raises(AoError, match="taken back"):
            await waits[0]
        assert not waits[1].done()
        waits[1].cancel()


@in_loop
async def test_who_waits_for_what_a_stuck_process_was_just_sent_gets_an_error(opening, monkeypatch):
    """The message to it is not written yet when the node gives it up."""
    async with opening() as local:
        pid, other = await local.spawn(), await local.spawn()
        row = local.engine.processes.find(other)
        OnAnswer(
            monkeypatch, 1, lambda _live, _logged: local.engine._report_stuck(row, "on purpose")
        )
        code = f'Send({{Target = "{other}", Action = "Eval", Data = "while true do end"}})'
        sent = await local.post(pid, code, Action="Eval")
        with pytest.raises(AoError, match="on purpose"):
            await local.node.settled(sent.id)


@in_loop
async def test_who_waits_for_another_process_than_the_stuck_one_waits_on(opening):
    async with opening() as local:
        pid, other = await local.spawn(), await local.spawn()
        sent = await local.post(pid, "while true do end", Action="Eval")
        settled = asyncio.ensure_future(local.node.settled(sent.id))
        result = asyncio.ensure_future(local.node.result(pid, sent.slot))
        await until(lambda: local.engine.roots.awaited)
        local.engine._report_stuck(local.engine.processes.find(other), "on purpose")
        await asyncio.sleep(0)
        assert not settled.done() and not result.done()
        await local.node.workbench.undo(pid, sent.slot)
        await settled
        with pytest.raises(AoError, match="taken back"):
            await result


@in_loop
async def test_a_process_gets_what_it_was_sent_once_its_log_is_cut(opening):
    async with opening() as local:
        sender, cut = await local.spawn(), await local.spawn()
        send = f'Send({{ Target = "{cut}", Action = "Hi" }})'
        row = local.engine.processes.find(cut)
        async with local.engine.cutting._alone(row, AoError("taken back", stage="node")):
            await local.eval(sender, send)
            assert len(await local.messages(cut)) == 1
        for count in (1, 2):
            got = [message.tag("Action") for message in (await local.messages(cut))[1:]]
            assert got == ["Hi"] * count
            await local.eval(sender, send)


@in_loop
async def test_what_waited_while_a_log_was_cut_is_delivered_by_the_next_start(opening):
    """A node may end in a cut. What waits for a paused process goes on waiting."""
    async with opening() as local:
        sender, cut, paused = [await local.spawn() for _ in range(3)]
        await local.node.workbench.pause(paused, True)
        local.engine.cutting.held = cut
        for target in (cut, paused):
            await local.eval(sender, f'Send({{ Target = "{target}", Action = "Hi" }})')
        assert len(await local.messages(cut)) == len(await local.messages(paused)) == 1
    async with opening() as local:
        assert [message.tag("Action") for message in (await local.messages(cut))[1:]] == ["Hi"]
        assert len(await local.messages(paused)) == 1


@in_loop
async def test_a_line_that_is_taken_back_has_settled(opening):
    """It has settled also if all its messages were taken back."""
    async with opening() as local:
        pid = await local.spawn()
        sent = await local.post(pid, "while true do end", Action="Eval")
        settled = asyncio.ensure_future(local.node.settled(sent.id))
        await until(lambda: local.engine.roots.awaited)
        await local.node.workbench.undo(pid, sent.slot)
        await settled


@in_loop
async def test_no_cron_message_comes_while_a_log_is_cut(opening):
    async with opening() as local:
        pid = await local.spawn(Cron_Interval="1-hour", Cron_Tag_Action="Tick")
        local.engine.cutting.held = pid
        await local.node.workbench.warp(2 * 3_600_000)
        assert len(await local.messages(pid)) == 1
        local.engine.cutting.held = ""
        row = local.engine.processes.find(pid)
        local.engine._let_go(row, AoError("the message was taken back", stage="node"))
        assert len(await local.messages(pid)) == 2  # at once then


@pytest.mark.parametrize(
    ("every", "quick", "widest"),
    [(1000, math.inf, 2 * WINDOW), (40, math.inf, WINDOW + 42), (1000, -1, WINDOW)],
    ids=["quick", "failing", "slow"],
)
@in_loop
async def test_how_far_a_worker_is_sent_ahead(opening, monkeypatch, every, quick, widest):
    """More with each quick answer, and little again when all is sent again.

    Before the first failure two more are answered: the definition, and the code.
    """
    monkeypatch.setattr(live_process, "WIDEST", 2 * WINDOW)
    monkeypatch.setattr(live_process, "QUICK", quick)
    send_job, most = Live._send_job, 0

    def counting(live: Live, *args: Any) -> None:
        nonlocal most
        most = max(most, len(live.sent))
        send_job(live, *args)

    monkeypatch.setattr(Live, "_send_job", counting)
    async with opening() as local:
        code = f"""Handlers.add("Inc", "Inc", function(msg)
          if tonumber(msg.N) % {every} == 0 then error("wanted") end
          N = (N or 0) + 1
        end)"""
        pid, sender = await local.spawn(code), await local.spawn()
        line = f"for i = 1, 300 do Send({{Target = '{pid}', Action = 'Inc', N = i}}) end"
        await local.eval(sender, line)
        await local.node.idle()
        assert await local.value(pid, "N") == str(300 - 300 // every)
        assert await local.node.verify_log(pid) == []
    assert WINDOW <= most <= widest
    assert (most > WINDOW) == (quick > 0)


@in_loop
async def test_workers_are_sent_messages_before_a_large_commit(opening, monkeypatch):
    monkeypatch.setattr(committing, "MOST_ROWS", 10)
    steps: list[str] = []
    async with opening() as local:
        pid, sender = await local.spawn(), await local.spawn()
        send_some, commit = WorkerHandle._send_some, local.engine.store.commit

        def sending(worker: WorkerHandle) -> None:
            steps.append("sent")
            send_some(worker)

        def writing(batch: Any, *, sync: bool) -> None:
            steps.extend(["written"] if len(batch.log) > 10 else [])
            commit(batch, sync=sync)

        monkeypatch.setattr(WorkerHandle, "_send_some", sending)
        monkeypatch.setattr(local.engine.store, "commit", writing)
        await local.eval(sender, f"for i = 1, 20 do Send({{Target = '{pid}'}}) end")
        await local.node.idle()
    # The line; of its messages the first by itself, and the others together.
    assert steps[: steps.index("written") + 1] == ["sent", "sent", "sent", "written"]
