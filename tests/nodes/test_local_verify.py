"""`.verify-log`: the worker is ahead of the comparison; differences come in order of slots."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from eventually import in_loop, until
from local_home import SMALL, Local

from aoshell.errors import AoError
from aoshell.nodes.local.replaying.replay import Replay

MIXED = """
N = 0
Handlers.add("Add", "Add", function(msg)
  N = N + 1
  if N % 3 == 0 then Send({Target = ao.id, Action = "Heard", Data = tostring(N)}) end
  if msg.Fails then Lost = N error("number " .. N) end
end)
Handlers.add("Heard", "Heard", function(msg) Last = msg.Data print(Last) end)
"""


async def mixed(local: Local, messages: int) -> str:
    """A process in which every few messages one failed; its id."""
    process = await local.spawn(MIXED, name="mixed")
    for number in range(messages):
        fails = {"Fails": "yes"} if number % 7 in (3, 4) else {}
        line = await local.post(process, Action="Add", **fails)
    await local.node.settled(line.id)
    return process


def rewrite(local: Local, slot: int, **columns: Any) -> None:
    """Change the recorded result of a slot of the first process."""
    found = local.engine.store.at_slot(1, slot)
    with local.engine.store._transaction() as db:
        for name, value in columns.items():
            db.execute(f"UPDATE results SET {name} = ? WHERE seq = ?", (value, found[0].seq))


@in_loop
async def test_a_log_with_failures_gives_the_same(opening):
    async with opening(SMALL) as local:
        process = await mixed(local, 120)
        await local.eval(process, "while true do end")  # stopped: it is not run again
        await local.eval(process, 'return Receive({Action = "Never"})')
        await local.eval(process, "return N, Lost")
        outcomes = {entry.result.outcome for entry in await local.entries(process)}
        assert outcomes == {"ok", "error", "time"}
        assert await local.node.verify_log(process) == []


@in_loop
async def test_differences_come_in_the_order_of_the_log(opening):
    async with opening() as local:
        process = await mixed(local, 90)
        body = local.engine.store.at_slot(1, 8)[1].body
        for slot in (70, 3, 45):
            recorded = local.engine.store.at_slot(1, slot)[1].body
            other = recorded.replace(b'"', b'"another ', 1)
            assert other != recorded
            rewrite(local, slot, body=other)
        found = await local.node.verify_log(process)
        assert [one.partition(":")[0] for one in found] == ["slot 3", "slot 45", "slot 70"]
        well = [entry.result.slot for entry in await local.entries(process) if entry.result.ok]
        changed = next(slot for slot in well if 45 < slot < 70)
        rewrite(local, changed, outcome="error", body=body)
        found = await local.node.verify_log(process)
        assert [one.partition(":")[0] for one in found[:3]] == [
            "slot 3",
            "slot 45",
            f"slot {changed}",
        ]
        assert "was error, is ok" in found[2] and found[3:] == [
            "the rest was not compared: its state is another one"
        ]


def replays(monkeypatch) -> list[Any]:
    """The workers of the replays from now on."""
    begun, make = [], Replay.__init__

    def noted(self, *args, **named):
        make(self, *args, **named)
        begun.append(self._worker)

    monkeypatch.setattr(Replay, "__init__", noted)
    return begun


def ended(worker: Any) -> bool:
    """Whether nothing of a worker is left."""
    try:
        os.killpg(worker.group, 0)
    except ProcessLookupError:
        return True
    return False


@in_loop
async def test_what_nobody_waits_for_ends_and_what_is_done_is_seen(opening, monkeypatch):
    async with opening() as local:
        processes = [await local.spawn(MIXED, name=f"desk{number}") for number in range(2)]
        for process in processes:
            await local.eval(process, "for i = 1, 900 do Send({Target = ao.id, Action = 'X'}) end")
        begun = replays(monkeypatch)
        working = [asyncio.ensure_future(local.node.verify_log(one)) for one in processes]
        seen = set()
        while len(begun) < 2 or not any(" of " in note for note in seen):
            await asyncio.sleep(0)
            if stage := local.node.stage:
                assert stage.name == "verify" and stage.where.startswith("desk")
                seen.add(stage.note)
        for one in working:
            one.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        assert all(one.cancelled() for one in working) and local.node.stage is None
        assert len(begun) == 2
        await until(lambda: all(ended(worker) for worker in begun))
        assert await local.node.verify_log(processes[0]) == []


@in_loop
async def test_a_worker_that_is_killed_is_named(opening, monkeypatch):
    async with opening() as local:
        process = await mixed(local, 60)
        begun = replays(monkeypatch)
        working = asyncio.ensure_future(local.node.verify_log(process))
        await until(lambda: begun and begun[0].group)
        begun[0].kill()
        with pytest.raises(AoError, match=r"died|killed") as caught:
            await working
        assert caught.value.stage == "compute" and local.node.stage is None
