"""What units over HTTP ask of the node: pages of results and of schedules, waits, state."""

from __future__ import annotations

import asyncio

import pytest
from eventually import in_loop
from local_home import tags
from network_home import (
    as_a_cu_checks_it,
    network,
    posted,
    spawned,
)

from aoshell.errors import AoError
from aoshell.nodes.served import Span
from aoshell.nodes.values import Place
from aoshell.protocol.ans104 import DataItem


@in_loop
async def test_pages_both_ways_by_place_and_time(opening):
    async with opening() as local:
        pid = await spawned(local)
        for number in range(6):
            await local.node.workbench.warp(1000)
            await local.eval(pid, "error('no')" if number == 2 else f"return {number}")
        verbs = network(local)
        everything = (await verbs.page(pid, Span(), 100)).entries
        assert [entry.message.assignment.slot for entry in everything] == list(range(7))

        async def slots(limit: int = 100, *, failed: bool = True, **bounds):
            page = await verbs.page(pid, Span(**bounds), limit, failed=failed)
            schedule = await verbs.schedule_page(pid, Span(**bounds), limit)
            found = [entry.result.slot for entry in page.entries]
            if failed:
                assert found == [each.stored.message.assignment.slot for each in schedule.entries]
                assert page.more == schedule.more
            return found, page.more

        assert await slots(3) == ([0, 1, 2], True)
        assert await slots(3, newest_first=True) == ([6, 5, 4], True)
        assert await slots(after=Place(4)) == ([5, 6], False)
        assert await slots(to=Place(1)) == ([0, 1], False)
        assert await slots(2, after=Place(1), to=Place(4), newest_first=True) == ([4, 3], True)
        times = [entry.message.assignment.timestamp for entry in everything]
        assert await slots(since=times[4]) == ([5, 6], False)
        assert await slots(until=times[1]) == ([0, 1], False)
        assert await slots(1, since=times[1], until=times[4]) == ([2], True)
        assert await slots(since=times[6]) == ([], False)
        assert await slots(until=times[0] - 1) == ([], False)
        assert await slots(2, after=Place(1), failed=False) == ([2, 4], True)
        assert [entry.result.print for entry in everything] == [True] + 6 * [False]


@in_loop
async def test_cron_is_in_pages_of_results_alone(opening):
    async with opening() as local:
        pid = await spawned(local, Cron_Interval="1-minute")
        assert not (await local.node.find(pid)).monitored
        await local.node.workbench.warp(120_000)
        await local.node.idle()
        assert len((await network(local).page(pid, Span(), 10)).entries) == 1
        await network(local).monitor(pid, True)
        await local.node.idle()
        page = await network(local).page(pid, Span(), 10)
        places = [
            Place(entry.message.assignment.slot, entry.message.assignment.tick)
            for entry in page.entries
        ]
        assert places == [Place(0), Place(0, 1)] and page.entries[1].result.print
        assert len((await network(local).page(pid, Span(after=places[0]), 10)).entries) == 1
        assert not (await network(local).page(pid, Span(after=places[1]), 10)).entries
        assert len((await network(local).schedule_page(pid, Span(), 10)).entries) == 1
        await network(local).monitor(pid, False)
        await local.node.workbench.warp(120_000)
        await local.node.idle()
        assert len((await network(local).page(pid, Span(), 10)).entries) == 2
        receipt = await posted(local, pid, "return 1", Action="Eval")  # behind a tick
        scheduled = [await network(local).scheduled(pid, slot) for slot in (0, receipt.slot)]
        assert as_a_cu_checks_it([each.assignment for each in scheduled])


@in_loop
async def test_a_wait_has_an_end(opening):
    async with opening(seconds=30) as local:
        pid = await spawned(local)
        receipt = await posted(local, pid, "while true do end", Action="Eval")
        assert (await network(local).entry(pid, receipt.id)).result is None
        assert await network(local).computed(pid, receipt.id, 0.01) is None
        assert await network(local).computed(pid, "Z" * 43, 5) is None
        await local.node.cancel(pid, receipt.slot)
        found = await network(local).computed(pid, receipt.id, 60)
        assert found.result.outcome == "time"
        assert await network(local).computed(pid, receipt.slot, 0) is not None


@in_loop
async def test_an_index_follows_the_log(opening, wallet):
    async with opening() as local:
        verbs = network(local)
        pid = await spawned(local)
        item = DataItem.sign(wallet, tags=tags(Type="Note"), data=b"kept")
        await verbs.keep(item)
        await local.eval(pid, "Send({Target = ao.id, Data = 'x'})")
        page = await verbs.stored_behind(0, 100)
        assert [(one.process, one.message.id) for one in page.entries][:2] == [
            (pid, pid),
            ("", item.id),
        ]
        assert len(page.entries) == 4
        seqs = [one.seq for one in page.entries]
        assert seqs == sorted(seqs)
        assert (await verbs.stored_behind(seqs[1], 1)).entries == page.entries[2:3]
        assert (await verbs.stored_behind(seqs[-1], 10)).entries == ()
        waiting = asyncio.ensure_future(verbs.stored_changed())
        await asyncio.sleep(0)
        await local.eval(pid, "return 1")
        await asyncio.wait_for(waiting, 60)
        sent = await posted(local, pid, "return 1", Action="Eval")
        waiting = asyncio.ensure_future(verbs.stored_changed())  # also where only a result comes
        await asyncio.sleep(0)
        await local.node.settled(sent.id)
        await asyncio.wait_for(waiting, 60)
        waiting = asyncio.ensure_future(verbs.stored_changed())
        await asyncio.sleep(0)
        await local.node.workbench.undo(pid, 2)
        await asyncio.wait_for(waiting, 60)
        cut = await verbs.stored_behind(0, 100)
        assert cut.cuts > page.cuts
        assert cut.stands(page.cuts) == seqs[2]  # `.undo` took back what is behind it
        assert cut.stands(cut.cuts) > seqs[-1]
        assert cut.stands(page.cuts - 1000) == 0  # too long ago to be known
    async with opening() as local:  # an upload's number is not given again
        await network(local).keep(DataItem.sign(wallet, data=b"last"))
        receipt = await posted(local, pid, "return 1", Action="Eval")
        entries = (await network(local).stored_behind(0, 100)).entries
        assert len({one.seq for one in entries}) == len(entries)
        assert entries[-1].message.id == receipt.id


@in_loop
async def test_state_at_a_slot(opening, monkeypatch):
    async with opening() as local:
        pid = await spawned(local)
        for number in (1, 2, 3):
            await local.eval(pid, f"Send({{device = 'patch@1.0', n = '{number}'}})")
        verbs = network(local)
        asked = []
        dry_run = local.engine.computer.dry_run

        def counting(*args):
            asked.append(args)
            return dry_run(*args)

        monkeypatch.setattr(local.engine.computer, "dry_run", counting)
        assert await verbs.state_at(pid, None, "n") == "3"
        assert await local.node.now(pid, "n") == "3"
        assert await verbs.state_at(pid, 3, "n") == "3"
        assert len(asked) == 1  # the newest slot is asked once
        assert [await verbs.state_at(pid, slot, "n") for slot in (0, 1, 2)] == ["", "1", "2"]
        assert len(asked) == 1
        await local.eval(pid, "Send({device = 'patch@1.0', n = '4'})")
        assert await verbs.state_at(pid, None, "n") == "4"
        await local.node.workbench.undo(pid, 4)
        await local.eval(pid, "Send({device = 'patch@1.0', n = 'other'})")
        assert await verbs.state_at(pid, 4, "n") == "other"
        with pytest.raises(AoError, match="no slot 9"):
            await verbs.state_at(pid, 9, "n")
