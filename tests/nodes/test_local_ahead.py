"""Results that are computed ahead of the log: nothing shows them before they are written.

Here nothing is written until a test asks for it, so a whole chain is ahead.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from eventually import in_loop, until
from local_home import FullDisk, Local, database

from aoshell.errors import AoError
from aoshell.nodes.local import committing
from aoshell.nodes.local.waiting import retries
from aoshell.nodes.local.workers.jobs import PutAwayError, make_message_frame
from aoshell.nodes.values import Event, Limits, Receipt

HOPS = 12
PING = """
N, Log = 0, {}
Handlers.add("Ping", "Ping", function(msg)
  N = N + 1
  Log[#Log + 1] = msg.Timestamp
  local left = tonumber(msg.Left)
  print(N)
  if left > 0 then Send({Target = msg.Next, Next = ao.id, Action = "Ping", Left = left - 1}) end
end)
"""


@pytest.fixture(autouse=True)
def nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results wait until somebody asks for them."""
    monkeypatch.setattr(committing, "GROUP", 600)
    monkeypatch.setattr(committing, "QUIET", 600)
    monkeypatch.setattr(retries, "RETRY", 0.01)


class Heard:
    """The events of a node, and what was on disk when each came."""

    def __init__(self, local: Local) -> None:
        self.results: list[tuple[str, int]] = []
        self.early: list[Any] = []
        self._path = local.engine.store.folder
        local.node.listen(self)

    def put(self, event: Event | None) -> None:
        if event is None or event.kind != "result" or event.load is None:
            return
        place = event.load().message.assignment
        assert place is not None
        self.results.append((place.process, place.slot))
        if not count(self._path, "results", f"seq = {place.order}"):
            self.early.append(place)


def count(folder: Any, table: str, where: str = "true") -> int:
    """Rows, as another connection sees them."""
    db = database(folder)
    try:
        found: int = db.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]
        return found
    finally:
        db.close()


async def chain(local: Local, hops: int = HOPS) -> tuple[str, str, Receipt]:
    """Two processes, and a chain between them that is computed and not written."""
    one, other = await local.spawn(PING, name="one"), await local.spawn(PING, name="other")
    await local.node.idle()
    sent = await local.post(one, Action="Ping", Left=str(hops), Next=other)
    await computed(local)
    return one, other, sent


async def computed(local: Local) -> None:
    """Wait until nothing is left to compute, without a request that writes."""
    await until(lambda: not local.engine.roots.anything_open)


async def check(local: Local, *processes: str, hops: int = HOPS) -> None:
    """Check that the chain is in the logs once, and that the logs replay to the current state."""
    counted = [int(await local.value(process, "N")) for process in processes]
    assert sum(counted) == hops + 1
    for process in processes:
        slots = [message.assignment.slot for message in await local.messages(process)]
        assert slots == list(range(len(slots)))
        assert await local.node.verify_log(process) == []
    assert await local.reasons() == []


@in_loop
async def test_a_chain_runs_ahead_of_the_log_and_nobody_hears_of_it(opening, folder):
    async with opening() as local:
        heard = Heard(local)
        before = None
        one, other, sent = await chain(local)
        before = len(heard.results)
        assert count(folder, "log", "cause IS NOT NULL") == 0
        await local.node.settled(sent.id)
        assert count(folder, "log", "cause IS NOT NULL") == HOPS
        assert len(heard.results) == before + HOPS + 1 and not heard.early
        await check(local, one, other)


ASKS: dict[str, Callable[[Local, str, Receipt], Any]] = {
    "its result": lambda local, one, sent: local.node.result(one, sent.slot),
    "that it settles": lambda local, _one, sent: local.node.settled(sent.id),
    "that nothing is left": lambda local, _one, _sent: local.node.idle(),
    "processes": lambda local, _one, _sent: local.node.processes(),
    "a dry run": lambda local, one, _sent: dry(local, one),
    "another message": lambda local, one, _sent: local.post(one, "1", Action="Eval"),
}


async def dry(local: Local, process: str) -> str:
    """The answer of a dry run on the newest state, written or not."""
    engine = local.engine
    row = engine.processes.find(process)
    last = engine.store.last_computed(row.number)[0]
    owner = local.wallet.address
    body = ["", owner, owner, process, "return N", "", "", "Action", "Eval"]
    frame = make_message_frame(last, body, read_only=True)
    _outcome, _cost, result = await engine.computer.dry_run(row.number, frame)
    return str(result.output)


@pytest.mark.parametrize("what", ASKS)
@in_loop
async def test_who_asks_is_answered_from_what_is_written(opening, folder, what):
    async with opening() as local:
        one, other, sent = await chain(local)
        await ASKS[what](local, one, sent)
        assert count(folder, "log", "cause IS NOT NULL") == HOPS
        await check(local, one, other)


@pytest.mark.parametrize("what", ASKS)
@in_loop
async def test_what_cannot_be_written_is_thrown_away_and_computed_again(
    opening, folder, monkeypatch, what
):
    async with opening() as local:
        heard = Heard(local)
        one, other, sent = await chain(local)
        disk = FullDisk(local, monkeypatch, 2)
        before = len(heard.results)
        try:
            await ASKS[what](local, one, sent)
        except (AoError, PutAwayError) as error:
            assert what in ("a dry run", "another message"), error
        else:
            assert what in ("processes", "its result") or not disk.left
        await local.node.idle()
        assert not disk.left and not heard.early
        told = heard.results[before:]
        assert len(set(told)) == len(told)
        assert count(folder, "log", "cause IS NOT NULL") == HOPS
        await check(local, one, other)


@in_loop
async def test_nothing_from_outside_is_taken_behind_what_cannot_be_written(opening, monkeypatch):
    """Its number would follow those of lost messages: the log would have a gap."""
    async with opening() as local:
        one, other, _sent = await chain(local)
        FullDisk(local, monkeypatch, 1)  # the next commit, that of the results, and no other
        with pytest.raises(AoError, match="full"):
            await local.post(one, "N = N + 100", Action="Eval")
        await local.node.idle()
        await check(local, one, other)


@in_loop
async def test_an_ever_full_disk_leaves_what_was_written(opening, monkeypatch):
    async with opening() as local:
        one, other, sent = await chain(local)
        FullDisk(local, monkeypatch, math.inf)
        with pytest.raises(AoError, match="full"):
            await local.node.settled(sent.id)
    async with opening() as local:
        await local.node.idle()
        await check(local, one, other)


@in_loop
async def test_a_worker_that_ends_ahead_of_the_log_leaves_nothing_out(opening):
    async with opening() as local:
        one, other, _sent = await chain(local)
        for worker in local.workers():
            os.killpg(worker.group, signal.SIGKILL)
        await until(lambda: not local.workers())
        await check(local, one, other)


@in_loop
async def test_a_node_that_is_abandoned_ahead_of_the_log_computes_it_again(opening, folder):
    async with opening() as local:
        one, other, _sent = await chain(local)
        local.node.abandon()
        await asyncio.sleep(0)
    assert count(folder, "log", "cause IS NOT NULL") == 0
    async with opening() as local:
        await local.node.idle()
        await check(local, one, other)


@in_loop
async def test_a_node_that_closes_writes_what_is_ahead(opening, folder):
    async with opening() as local:
        await chain(local)
    assert count(folder, "log", "cause IS NOT NULL") == HOPS


GIVE = """
Handlers.add("Give", "Give", function(msg)
  Assign({Processes = {msg.To}, Message = msg.Id})
end)
"""


@in_loop
async def test_a_message_ahead_of_the_log_that_cannot_be_written_is_assigned_once(
    opening, monkeypatch
):
    """What assigns it has gone with it, and comes again."""
    monkeypatch.setattr(retries, "RETRY", 0.05)
    async with opening() as local:
        one, other = await local.spawn(GIVE), await local.spawn()
        disk = FullDisk(local, monkeypatch, 1)
        line = f'Send({{Target = "{one}", Action = "Give", To = "{other}"}})'
        last = await local.post(one, line, Action="Eval")
        await local.node.settled(last.id)
        assert not disk.left
        assert [one.tag("Action") for one in await local.messages(other)].count("Give") == 1
        assert await local.node.verify_log(one) == await local.node.verify_log(other) == []


@in_loop
async def test_a_message_ahead_of_the_log_can_be_assigned(opening):
    """Its id is looked up in the log."""
    async with opening() as local:
        one, other = await local.spawn(GIVE), await local.spawn()
        line = f'Send({{Target = "{one}", Action = "Give", To = "{other}"}})'
        last = await local.post(one, line, Action="Eval")
        await computed(local)
        await local.node.settled(last.id)
        assert await local.reasons() == []
        assert (await local.messages(other))[-1].tag("Action") == "Give"


@in_loop
async def test_what_a_bound_held_ahead_of_the_log_is_released(opening):
    async with opening(Limits(pushes=HOPS // 2)) as local:
        one, other, sent = await chain(local)
        await local.node.set_limits(Limits(pushes=HOPS))
        await computed(local)
        await local.node.settled(sent.id)
        await check(local, one, other)


@in_loop
async def test_many_that_are_put_away_are_sent_to_at_once(opening):
    """Each start writes all results first."""
    async with opening(Limits(workers=2)) as local:
        pids = [await local.spawn(PING) for _ in range(30)]
        targets = ", ".join(f'"{pid}"' for pid in pids)
        send = 'Send({Target = target, Action = "Ping", Left = "0"})'
        await local.eval(pids[0], f"for _, target in ipairs{{{targets}}} do {send} end")
        await local.node.idle()
        for pid in pids[::7]:
            assert await local.value(pid, "N") == "1"


@in_loop
async def test_results_do_not_wait_without_end(opening, folder, monkeypatch):
    """Without a request they are written a moment later, or when there are many."""
    async with opening() as local:
        monkeypatch.setattr(committing, "MOST_ROWS", HOPS + 2)  # two for each hop
        await chain(local)
        assert 0 < count(folder, "log", "cause IS NOT NULL") < HOPS
    monkeypatch.setattr(committing, "GROUP", 0.001)
    async with opening() as local:
        _one, _other, sent = await chain(local)
        root = f"root = (SELECT seq FROM log WHERE id = '{sent.id}')"
        await until(lambda: count(folder, "log", root) == HOPS + 1)
