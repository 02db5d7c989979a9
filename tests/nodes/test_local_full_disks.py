"""Full disks: what cannot be written is refused or computed again, and nothing is lost."""

from __future__ import annotations

import asyncio
import math

import pytest
from eventually import in_loop, until
from local_home import FullDisk, lived, next_event

from aoshell.errors import AoError
from aoshell.nodes.local.waiting import retries


def fill(local):
    """From now on the database cannot grow."""
    db = local.engine.store._db
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")


def free(local):
    local.engine.store._db.execute("PRAGMA max_page_count = 1000000")


@in_loop
async def test_a_full_disk_refuses_and_loses_nothing(opening, monkeypatch):
    monkeypatch.setattr(retries, "RETRY", 0.05)
    async with opening() as local:
        pid = await lived(local, 3)
        fill(local)
        taken = []
        with pytest.raises(AoError, match="full") as raised:
            for _ in range(1000):
                taken.append(await local.post(pid, "x" * 3000, Action="Add"))
        assert "room" in raised.value.hint
        free(local)
        for receipt in taken:
            assert (await local.node.result(pid, receipt.slot)).ok
        assert await local.value(pid, "N") == str(3 + len(taken))
        messages = await local.messages(pid)
        assert [m.assignment.slot for m in messages] == list(range(len(messages)))
        assert [m.id for m in messages[4 : 4 + len(taken)]] == [receipt.id for receipt in taken]
        assert await local.node.verify_log(pid) == []
    async with opening() as local:
        assert await local.value(pid, "N") == str(3 + len(taken))


@in_loop
async def test_results_that_could_not_be_written_are_computed_again(opening, monkeypatch):
    monkeypatch.setattr(retries, "RETRY", 0.05)
    async with opening() as local:
        pid, other = await lived(local, 3), await local.spawn()
        disk = FullDisk(local, monkeypatch, 0)
        events = local.node.subscribe()
        disk.left = math.inf
        line = local.item(pid, f'N = N + 1 Send({{Target = "{other}", Data = "x"}})', Action="Eval")
        receipt = await local.node.send(pid, line)
        assert "full" in (await next_event(events, "notice")).detail
        settled = asyncio.ensure_future(local.node.settled(line.id))
        await asyncio.sleep(0)
        assert not settled.done()
        disk.left = 0
        assert (await local.node.result(pid, receipt.slot)).ok
        await settled
        assert await local.value(pid, "N") == "4"
        assert await local.value(other, "#Inbox") == "2"
        assert await local.node.verify_log(pid) == await local.node.verify_log(other) == []


@in_loop
async def test_whoever_waits_for_a_full_disk_is_told_in_the_end(opening, monkeypatch):
    """And the node goes on by itself once there is room."""
    monkeypatch.setattr(retries, "RETRY", 0.05)
    async with opening() as local:
        pid = await lived(local, 3)
        disk = FullDisk(local, monkeypatch, 0)
        events = local.node.subscribe()
        disk.left = math.inf
        receipt = await local.post(pid, "N = N + 1", Action="Eval")
        for wait in (local.node.result(pid, receipt.slot), local.node.settled(receipt.id)):
            with pytest.raises(AoError, match="full"):
                await asyncio.wait_for(wait, 60)
        await until(lambda: local.engine.retries.failures > retries.TRIES)
        told = [event.detail for event in await gone_by(events) if event.kind == "notice"]
        assert len(told) <= 1, told
        disk.left = 0
        assert (await local.node.result(pid, receipt.slot)).ok
        assert local.engine.retries.failures == 0
        assert await local.value(pid, "N") == "4"


async def gone_by(events):
    """The events so far."""
    found = []
    while True:
        try:
            found.append(await asyncio.wait_for(anext(events), 0.05))
        except TimeoutError:
            return found


@in_loop
async def test_a_message_that_comes_before_the_retry_waits_its_turn(opening, monkeypatch):
    async with opening() as local:  # RETRY is long: only the next message ends the wait
        pid = await lived(local, 3)
        disk = FullDisk(local, monkeypatch, 0)
        events = local.node.subscribe()
        disk.left = math.inf
        first = await local.post(pid, "N = N * 10", Action="Eval")
        await next_event(events, "notice")
        disk.left = 0
        second = await local.post(pid, "N = N + 1", Action="Eval")
        for receipt in (first, second):
            assert (await local.node.result(pid, receipt.slot)).ok
        await asyncio.sleep(retries.RETRY + 0.2)
        assert await local.value(pid, "N") == "31"
        assert await local.node.verify_log(pid) == []


@in_loop
async def test_cron_outlives_a_full_disk(opening, monkeypatch):
    monkeypatch.setattr(retries, "RETRY", 0.05)
    async with opening() as local:
        disk = FullDisk(local, monkeypatch, 3, lambda batch: batch.cron)
        pid = await local.spawn(
            'T = 0 Handlers.add("Tick", "Tick", function() T = T + 1 end)',
            Cron_Interval="1-second",
            Cron_Tag_Action="Tick",
        )
        events = local.node.subscribe()
        await until(lambda: not disk.left)
        await next_event(events, "result")
        assert int(await local.value(pid, "T")) >= 1
