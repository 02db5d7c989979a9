"""Taking back, deleting, copying and bringing in logs, while the rest of the node goes on."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from eventually import in_loop, until
from local_home import Local, database

from aoshell.errors import AoError
from aoshell.nodes.local.history import adding, cutting
from aoshell.nodes.local.log.checkpoint import SPREAD, Checkpoint, Checkpoints
from aoshell.nodes.local.workers import live

ADD = 'N = 0 Handlers.add("Add", "Add", function(m) N = N + 1 end)'


async def counted(local: Local, times: int, name: str = "") -> str:
    process = await local.spawn(ADD, name=name)
    for _ in range(times):
        line = await local.post(process, Action="Add")
    await local.node.settled(line.id)
    return process


def slots_of(path: str | Path) -> str:
    """The slot at which a kept copy was made, by its name."""
    found = re.search(r"-(\d+)(?:-\d+)?\.process$", str(path))
    assert found
    return found[1]


# What is kept ---------------------------------------------------------------------------------


@in_loop
async def test_what_is_taken_back_again_and_again_is_all_kept(opening):
    """Taken back, continued, taken back at the same slot: each copy restores its own messages."""
    async with opening() as local:
        bench = local.node.workbench
        process = await local.spawn(name="desk")
        copies = []
        for word in ("first", "second", "third"):
            await local.eval(process, f"Word = '{word}'")
            copies.append(await bench.undo(process, 1))
            assert await local.value(process, "tostring(Word)") == "nil"
            await bench.undo(process, 1)
        assert Path(copies[0]).name == f"{process}-1.process"
        assert len(set(copies)) == 3 and {slots_of(path) for path in copies} == {"1"}
        for path, word in zip(copies, ("first", "second", "third"), strict=True):
            await local.node.delete(process)
            await local.node.restore(Path(path).read_bytes())
            assert await local.value(process, "Word") == word


@in_loop
async def test_nothing_is_taken_back_where_no_copy_can_be_kept(opening, folder):
    async with opening() as local:
        process = await counted(local, 3)
        (folder / cutting.UNDONE).write_text("in the way")
        with pytest.raises(AoError, match="no copy can be written") as caught:
            await local.node.workbench.undo(process, 2)
        assert "nothing was taken back" in caught.value.hint
        assert await local.value(process, "return N") == "3"
        assert await local.node.slots(process) == 5


@in_loop
async def test_a_line_behind_what_was_taken_back_survives_a_kill(opening):
    """Its number belonged to another line: what was noted of that line must not hide it."""
    async with opening() as local:
        process = await counted(local, 5)
        await local.node.workbench.undo(process, 2)
        computed_to = local.engine.store.meta("computed_to")
        assert computed_to <= local.engine.store.last_numbers()[0]
        await local.node.delete(await counted(local, 4))
        computed_to = local.engine.store.meta("computed_to")
        assert computed_to <= local.engine.store.last_numbers()[0]
        line = await local.post(process, Action="Add")
        assert [one.id for one in local.engine.store.pending()] == [line.id]
        local.node._closed = True
        local.engine.abandon()  # before it is computed
    async with opening() as local:
        await local.node.settled(line.id)
        assert await local.value(process, "return N") == "2"


# Slices ---------------------------------------------------------------------------------------


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many slices of a short log."""
    monkeypatch.setattr(cutting, "SLICE", 7)
    monkeypatch.setattr(adding, "SLICE", 7)


@pytest.mark.usefixtures("slices")
@in_loop
async def test_nothing_is_scheduled_on_a_process_while_it_is_cut(opening):
    """A line and cron wait; messages of other processes come after the cut."""
    async with opening() as local:
        process = await counted(local, 40)
        relay = await local.spawn(
            'Handlers.add("Go", "Go", function(m) Send({Target = m.To, Action = "Add"}) end)'
        )
        undoing = asyncio.ensure_future(local.node.workbench.undo(process, 11))
        await until(lambda: local.engine.cutting.held == process)
        line = asyncio.ensure_future(local.post(process, Action="Add"))
        await local.send(relay, Action="Go", To=process)
        assert not line.done() and local.engine.cutting.held == process
        await undoing
        await local.node.settled((await line).id)
        await local.node.idle()
        assert await local.value(process, "return N") == "12"
        assert await local.node.undelivered() == []
        assert await local.node.verify_log(process) == []
        slots = [one.assignment.slot for one in await local.messages(process) if one.assignment]
        assert slots == list(range(len(slots)))


@pytest.mark.usefixtures("slices")
@in_loop
async def test_what_waited_for_a_cut_goes_on_when_the_node_ended_in_it(opening):
    async with opening() as local:
        process = await counted(local, 2)
        relay = await local.spawn(
            'Handlers.add("Go", "Go", function(m) Send({Target = m.To, Action = "Add"}) end)'
        )
        local.engine.cutting.held = process
        await local.send(relay, Action="Go", To=process)
        assert len(await local.node.undelivered()) == 1
    async with opening() as local:
        await local.node.idle()
        assert await local.value(process, "return N") == "3"
        assert await local.node.undelivered() == []


@pytest.mark.usefixtures("slices")
@pytest.mark.parametrize("how", ["undo", "delete", "fork", "import"])
@in_loop
async def test_the_loop_goes_on_and_what_is_done_is_seen(opening, how):
    async with opening() as local:
        node, bench = local.node, local.node.workbench
        process = await counted(local, 60, "desk")
        exported = await node.export(process)
        if how == "import":
            await node.delete(process)
        work = {
            "undo": lambda: bench.undo(process, 5),
            "delete": lambda: node.delete(process),
            "fork": lambda: bench.fork(process, None, "twin"),
            "import": lambda: node.restore(exported),
        }[how]()
        working = asyncio.ensure_future(work)
        seen = set()
        while not working.done():
            await asyncio.sleep(0)
            if node.stage:
                seen.add((node.stage.name, node.stage.note))
        await working
        name = {"fork": "write", "import": "write"}.get(how, how)
        notes = [note for stage, note in seen if stage == name and " of " in note]
        assert len(notes) > 3 and node.stage is None
        if how == "delete":
            assert await node.processes() == []
            return
        twin = (await node.find("twin")).id if how == "fork" else process
        assert await local.value(twin, "return N") == ("4" if how == "undo" else "60")
        assert await node.verify_log(twin) == []


@pytest.mark.usefixtures("slices")
@pytest.mark.parametrize("how", ["fails", "ends"])
@in_loop
async def test_a_process_that_is_not_added_whole_is_not_there(opening, folder, how):
    async with opening() as local:
        process = await counted(local, 40)
        exported = await local.node.export(process)
        await local.node.delete(process)
        commit, left = local.engine.store.commit, [3]

        def failing(batch, *, sync):
            adds = adding.PARTIAL in batch.facts  # the node may write results besides
            left[0] -= adds
            if adds and left[0] == 0:
                if how == "ends":
                    local.engine.store.forget = lambda *_: 0  # as if nothing more was done
                    local.engine.store.set_meta = lambda *_: None
                raise AoError("the disk is full", stage="store")
            commit(batch, sync=sync)

        local.engine.store.commit = failing
        with pytest.raises(AoError, match="the disk is full"):
            await local.node.restore(exported)
        local.engine.store.commit = commit
        assert await local.node.processes() == []
        other = await counted(local, 1)  # its number is its own
    if how == "ends":
        assert database(folder).execute("SELECT count(*) FROM log").fetchone()[0] > 10
    async with opening() as local:
        assert [info.id for info in await local.node.processes()] == [other]
        assert local.engine.store.select_one("SELECT count(*) FROM log")[0] == 2
        await local.node.restore(exported)
        assert await local.value(process, "return N") == "40"


@in_loop
async def test_an_export_that_nobody_waits_for_ends(opening):
    async with opening() as local:
        process = await counted(local, 3)
        exporting = asyncio.ensure_future(local.node.export(process))
        await asyncio.sleep(0)
        exporting.cancel()
        await asyncio.wait({exporting})
        assert exporting.cancelled() and local.node.stage is None
        assert await local.value(process, "return N") == "3"


# Checkpoints ----------------------------------------------------------------------------------


async def checkpointed(local: Local, process: str, times: int) -> None:
    """So many messages, with a checkpoint after each."""
    for _ in range(times):
        await local.send(process, Action="Add")
        (computing,) = local.engine.computer._live.values()
        await computing.images.ask()


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the messages that are computed again."""
    found: list[int] = []
    past = live.Live._past

    def counting(computing, after):
        for frame in past(computing, after):
            found.append(frame[2])
            yield frame

    monkeypatch.setattr(live.Live, "_past", counting)
    return found


@in_loop
async def test_what_is_taken_back_leaves_the_newest_checkpoint_before_it(opening, folder, replayed):
    async with opening() as local:
        process = await local.spawn(ADD)
        checkpoints = local.engine.checkpoints
        await checkpointed(local, process, 30)
        await local.node.workbench.undo(process, 30)
        assert checkpoints.facts(process)[0] == 29
        await local.node.workbench.undo(process, 20)
        newest = checkpoints.facts(process)[0]
        assert newest is not None and 8 < newest < 20
        replayed.clear()
        assert await local.value(process, "return N") == "19"
        assert len(replayed) == 19 - newest
        assert await local.node.verify_log(process) == []
        await local.node.delete(process)
        assert list((folder / "checkpoints").iterdir()) == []


def test_older_checkpoints_are_few_and_near_every_slot(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for slot in range(300):
        checkpoints.write("p", "e", Checkpoint(slot + 1, slot, "m", b"x" * 100))
    older = checkpoints._slots("p")
    assert len(older) <= 10
    for back in range(1, 299):
        slot = 299 - back
        begin = max((one for one in older if one <= slot), default=-1)
        assert slot - begin <= SPREAD * back  # what is replayed where so many are taken back
    checkpoints.back_to("p", 290)
    found = checkpoints.read("p", "e")
    assert found is not None and found.slot == max(slot for slot in older if slot < 290)


def test_older_checkpoints_keep_to_their_bytes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("aoshell.nodes.local.log.checkpoint.OLDER_BYTES", 5000)
    checkpoints = Checkpoints(tmp_path)
    for slot in range(100):
        checkpoints.write("p", "e", Checkpoint(slot + 1, slot, "m", b"x" * 1000))
    slot, size = checkpoints.facts("p")
    assert slot == 99 and 4000 < size < 5000 + 1500
    files = list((tmp_path / "p.older").iterdir())
    assert {json.loads(path.read_bytes().split(b"\n")[0])["process"] for path in files} == {"p"}


@in_loop
async def test_behind_a_damaged_checkpoint_stands_the_one_before_it(opening, folder, replayed):
    async with opening() as local:
        process = await local.spawn(ADD)
        await checkpointed(local, process, 5)
    path = folder / "checkpoints" / f"{process}.checkpoint"
    path.write_bytes(path.read_bytes()[:-1])
    async with opening() as local:
        assert await local.value(process, "return N") == "5"
        assert len(replayed) == 1
