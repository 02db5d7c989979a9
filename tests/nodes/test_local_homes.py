"""Homes in a bad state: taken, damaged, too new, cut by a power failure."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import subprocess
import sys

import pytest
from eventually import in_loop, until
from local_home import COUNTER, database, lived, next_event, opened

from aoshell.errors import AoError
from aoshell.nodes.local.log.lock import HeldError, lock_folder
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.workers import images, live

# Taken, unusable --------------------------------------------------------------------------------


@in_loop
async def test_a_second_node_on_a_home_is_refused_with_the_pid(opening, folder):
    async with opening() as local:
        with pytest.raises(AoError, match=rf"pid {os.getpid()}") as raised:
            await LocalNode.open(folder)
        assert "AOSHELL_HOME" in raised.value.hint
        assert (await local.node.info()).kind == "local"
    async with opening():
        pass  # the lock went with the first


@pytest.mark.parametrize("said", ["", "x", "12x\n/socket\n", "-5\n\n", "9" * 5000])
def test_a_home_that_somebody_holds_is_refused_whatever_its_lock_says(folder, said):
    """Its holder has not written it yet, or somebody else wrote into it."""
    holder = lock_folder(folder)
    try:
        holder.path.write_text(said)
        with pytest.raises(HeldError, match="pid"):
            lock_folder(folder)
    finally:
        holder.close()
    lock_folder(folder).close()


@in_loop
async def test_a_folder_that_is_a_file_is_refused(opening, folder):
    folder.write_text("not a folder")
    with pytest.raises(AoError, match="cannot be used"):
        async with opening():
            pass
    assert folder.read_text() == "not a folder"


def test_a_folder_that_may_not_be_written_is_refused(folder, powerless):
    folder.mkdir(mode=0o500)
    code = f"""if 1:
        import asyncio
        from pathlib import Path
        from aoshell.nodes.local.node import LocalNode
        asyncio.run(LocalNode.open(Path({str(folder)!r})))
    """
    command = [*powerless, sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and f"{folder} cannot be used: Permission denied" in done.stderr


@in_loop
async def test_files_of_a_home_are_private(opening, folder):
    async with opening() as local:
        await lived(local, 2)
        for path in [folder, *folder.iterdir()]:
            assert path.stat().st_mode & 0o077 == 0, path


# Damaged databases ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def closed_home(tmp_path_factory, signer):
    """A home whose process has counted to 60: its folder, and the process."""
    folder = tmp_path_factory.mktemp("closed") / "node"

    async def work():
        async with opened(folder, signer) as local:
            pid = await lived(local, 60)
            await local.node.settled(pid)
            return folder, pid

    return asyncio.run(work())


@pytest.fixture
def closed(closed_home, folder):
    """That home as the test's own; the process."""
    made, pid = closed_home
    shutil.copytree(made, folder)
    return pid


@pytest.mark.parametrize("how", ["header", "all", "truncated", "half", "text"])
@pytest.mark.usefixtures("closed")
@in_loop
async def test_a_database_that_is_none_is_told_and_left_alone(opening, folder, how):
    path = folder / "node.db"
    data = path.read_bytes()
    noise = random.Random(how).randbytes
    path.write_bytes(
        {
            "header": noise(100) + data[100:],
            "all": noise(len(data)),
            "truncated": data[:1000],
            "half": data[: len(data) // 2],
            "text": b"hello",
        }[how]
    )
    spoiled = path.read_bytes()
    with pytest.raises(AoError) as raised:
        async with opening() as local:
            for info in await local.node.processes():
                await local.node.export(info.id)
                await local.node.verify_log(info.id)
    assert raised.value.stage == "store" and str(path) in raised.value.what
    assert raised.value.hint
    if how != "half":
        assert path.read_bytes() == spoiled


@pytest.mark.parametrize("seed", range(6))
@in_loop
async def test_a_damaged_page_is_an_error_and_never_a_hang(opening, folder, closed, seed):
    path = folder / "node.db"
    data = bytearray(path.read_bytes())
    chance = random.Random(seed)
    for page in chance.sample(range(1, len(data) // 4096), 4):
        data[page * 4096 : page * 4096 + 200] = chance.randbytes(200)
    path.write_bytes(data)
    try:
        async with opening() as local:
            await asyncio.wait_for(local.eval(closed, "N"), 60)
            await asyncio.wait_for(local.node.export(closed), 60)
    except AoError as error:
        assert error.stage in ("store", "compute", "node", "module")


@pytest.mark.usefixtures("closed")
@in_loop
async def test_a_newer_database_is_left_alone(opening, folder):
    db = database(folder)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(AoError, match=r"newer than this program.*99"):
        async with opening():
            pass


# Damaged checkpoints ----------------------------------------------------------------------------


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(images, "CHECKPOINT_EVERY", 0)
    monkeypatch.setattr(images, "CHECKPOINT_SHARE", 0)


@pytest.fixture(scope="module")
def kept_home(tmp_path_factory, signer):
    """A home with two processes and a checkpoint of each: its folder, and the processes."""
    folder = tmp_path_factory.mktemp("kept") / "node"

    async def work():
        async with opened(folder, signer) as local:
            pids = await lived(local), await lived(local, 3)
            for one in list(local.engine.computer._live.values()):
                await one.images.ask()
            return folder, pids

    return asyncio.run(work())


@pytest.mark.parametrize(
    "how", ["garbage", "truncated", "flipped", "foreign", "future", "empty", "folder"]
)
@pytest.mark.usefixtures("often")
@in_loop
async def test_a_checkpoint_that_is_no_good_is_discarded_and_said(opening, folder, kept_home, how):
    home, pids = kept_home
    shutil.copytree(home, folder)
    pid, _ = pids
    path, foreign = (folder / "checkpoints" / f"{name}.checkpoint" for name in pids)
    data = path.read_bytes()
    middle = len(data) // 2
    if how == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(
            {
                "garbage": b"\0" * 500,
                "truncated": data[:middle],
                "empty": b"",
                "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
                "foreign": foreign.read_bytes(),
                "future": re.sub(rb'"format": [0-9]+', b'"format": 99', data),
            }[how]
        )
    async with opening() as local:
        events = local.node.subscribe()
        assert await local.value(pid, "N") == "20"
        notice = await next_event(events, "notice")
        assert (
            notice.process == pid and "checkpoint" in notice.detail and "replayed" in notice.detail
        )
        assert await local.node.verify_log(pid) == []


@pytest.mark.usefixtures("often")
@in_loop
async def test_what_took_long_to_compute_is_saved_when_the_node_closes(
    opening, folder, monkeypatch
):
    monkeypatch.setattr(live, "WORTH_WHEN_CLOSING", 0.0)
    async with opening() as local:
        pid = await local.spawn()
        await local.eval(pid, "X = 1")
    assert (folder / "checkpoints" / f"{pid}.checkpoint").exists()


@in_loop
async def test_a_checkpoint_saves_the_replay(opening, folder, monkeypatch):
    monkeypatch.setattr(live, "WORTH_WHEN_IDLE", 0.0)  # a quick machine computes too little
    async with opening() as local:
        pid = await lived(local)
        await until(lambda: (folder / "checkpoints" / f"{pid}.checkpoint").exists())
    replayed = []
    past = live.Live._past

    def counting(live, after):
        for frame in past(live, after):
            replayed.append(frame[2])
            yield frame

    monkeypatch.setattr(live.Live, "_past", counting)
    async with opening() as local:
        info = await local.node.find(pid)
        assert info.checkpoint is not None
        assert await local.value(pid, "N") == "20"
        assert len(replayed) == info.computed - 1 - info.checkpoint


# Power cuts -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cut_home(tmp_path_factory, signer):
    """A copy of a home that was at work: database and WAL as the disk may have them, and what of
    it had been acknowledged."""
    base = tmp_path_factory.mktemp("cut")
    folder = base / "node"

    async def work():
        async with opened(folder, signer) as local:
            a = await lived(local, 5)
            b = await local.spawn(COUNTER)
            local.engine.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            wal = folder / "node.db-wal"
            taken = []
            for _ in range(25):
                code = f'Send({{Target = "{b}", Action = "Add"}}) N = N + 1'
                receipt = await local.post(a, code, Action="Eval")
                taken.append((wal.stat().st_size, receipt.id))
                await local.node.result(a, receipt.slot)
            shutil.copytree(folder, base / "copy")
            return base / "copy", a, b, taken

    return asyncio.run(work())


@pytest.mark.parametrize("seed", range(10))
def test_a_log_whose_tail_was_cut_is_a_prefix(cut_home, tmp_path, signer, seed):
    home, a, b, taken = cut_home
    shutil.copytree(home, tmp_path / "copy")
    chance = random.Random(seed)
    wal = tmp_path / "copy" / "node.db-wal"
    data = bytearray(wal.read_bytes())
    kept = chance.randint(0, len(data)) if seed else len(data)
    tail = data[kept:]
    if seed % 3 == 1:
        data[kept:] = b""
    elif seed % 3 == 2:
        data[kept:] = chance.randbytes(len(tail))
    elif kept < len(data):
        data[kept] ^= 255
    wal.write_bytes(data)

    async def look():
        async with opened(tmp_path / "copy", signer) as local:
            for info in await local.node.processes():
                messages = await local.messages(info.id)
                assert [m.assignment.slot for m in messages] == list(range(len(messages)))
                await local.node.result(info.id, len(messages) - 1)
                assert await local.node.verify_log(info.id) == []
            ids = [m.id for m in await local.messages(a)][6:]
            assert ids == [i for _size, i in taken][: len(ids)]
            safe = sum(size <= kept for size, _id in taken)
            assert len(ids) >= safe  # what had been acknowledged before the cut
            await local.node.settled(ids[-1] if ids else a)
            assert await local.value(a, "N") == str(5 + len(ids))
            assert await local.value(b, "N") == str(len(ids))

    asyncio.run(asyncio.wait_for(look(), 60))


@in_loop
async def test_what_is_acknowledged_was_fsynced(opening, monkeypatch):
    async with opening() as local:
        pid = await local.spawn()
        synced, commit = [], local.engine.store.commit

        def watching(batch, *, sync):
            modes = []
            write = local.engine.store._write

            def writing(written):
                modes.append(local.engine.store._db.execute("PRAGMA synchronous").fetchone()[0])
                write(written)

            monkeypatch.setattr(local.engine.store, "_write", writing)
            commit(batch, sync=sync)
            monkeypatch.setattr(local.engine.store, "_write", write)
            synced.append((modes[0], [logged.id for logged in batch.log]))

        monkeypatch.setattr(local.engine.store, "commit", watching)
        receipt = await local.post(pid, "1", Action="Eval")
        assert synced == [(2, [receipt.id])]  # FULL
        await local.node.result(pid, receipt.slot)
        await local.node.settled(receipt.id)
        assert synced[-1][0] == 2 or any(mode == 2 for mode, _ids in synced[1:])


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.usefixtures("often")
@in_loop
async def test_a_checkpoint_ahead_of_the_log_is_discarded(opening, folder, again):
    """What a power cut leaves: the checkpoint is there, the end of the log is not."""
    async with opening() as local:
        pid = await lived(local)
        at = await local.node.slots(pid)
        await local.eval(pid, "N = 1000")
        path = folder / "checkpoints" / f"{pid}.checkpoint"
        for one in list(local.engine.computer._live.values()):
            await one.images.ask()  # one that is under way
            await one.images.ask()  # and one behind it
        ahead = path.read_bytes()
        assert f'"slot": {at}'.encode() in ahead
    with database(folder) as db:
        (seq,) = db.execute("SELECT max(seq) FROM log").fetchone()
        db.execute("DELETE FROM results WHERE seq = ?", (seq,))
        db.execute("DELETE FROM log WHERE seq = ?", (seq,))
        db.execute("DELETE FROM meta WHERE key = 'computed_to'")
    if again:  # and another message has its number now
        path.unlink()
        async with opening() as local:
            await local.eval(pid, "N = N + 1")
    path.write_bytes(ahead)
    async with opening() as local:
        events = local.node.subscribe()
        assert await local.value(pid, "N") == ("21" if again else "20")
        assert "ahead of the log" in (await next_event(events, "notice")).detail
