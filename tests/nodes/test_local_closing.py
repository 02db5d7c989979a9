"""A node closes cleanly in the middle of work; one that is not closed frees all it holds, too."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import math
import resource
import shutil
import sqlite3
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eventually import in_loop, until
from local_home import FullDisk, Local, opened

import aoshell.api
from aoshell.errors import AoError
from aoshell.nodes.database_errors import LEAST_ROOM, UnusableDatabaseError, as_ao_error
from aoshell.nodes.local import committing, engine
from aoshell.nodes.local.clock.ticking import Ticking
from aoshell.nodes.local.committing import Committing
from aoshell.nodes.local.delivery.fetching import Fetching
from aoshell.nodes.local.log.database import open_to_read
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.waiting.events import Events
from aoshell.nodes.local.waiting.retries import Retries
from aoshell.nodes.local.workers.loader import Loader
from aoshell.nodes.local.workers.pool import Computer
from aoshell.protocol.wallet import Wallet

PLAYER = """
Handlers.add("Ball", "Ball", function(msg)
  Send({Target = msg.Peer, Action = "Ball", Peer = ao.id})
end)
"""
LONG = "local n = 0 for i = 1, 6e6 do n = n + i end"  # what is worth a checkpoint when leaving


async def playing(local: Local) -> None:
    """Four pairs of processes that keep each other busy for ever."""
    for pair in range(4):
        one, two = [await local.spawn(PLAYER, name=f"{pair} {side}") for side in "ab"]
        await local.post(one, Action="Ball", Peer=two)


@in_loop
async def test_a_node_closes_in_order_while_messages_go_on(opening, monkeypatch):
    """It closes at several moments: no callback runs afterwards, and nothing is lost."""
    monkeypatch.setattr(engine, "MOMENT", 0.01)
    wrong: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, found: wrong.append(found))
    async with opening() as local:
        await playing(local)
        worker = await local.spawn()
    said: list[str] = []
    scheduled = 0
    for number in range(5):
        async with opening() as local:
            events = local.node.subscribe()
            store = local.engine.store
            await until(lambda: store.last_numbers()[0] > scheduled)  # noqa: B023
            await local.eval(worker, LONG)
            await asyncio.sleep(number / 125)
            scheduled = store.last_numbers()[0]
            node = local.engine
        await asyncio.sleep(0.02)
        said += [event.detail async for event in events if event.kind == "notice"]
        assert node.computer._live == {}
        gc.collect()
    assert not wrong, wrong
    assert not [text for text in said if "left to compute when the node stopped" not in text]
    async with opening() as local:
        for info in await local.node.processes():
            last = await local.node.slots(info.id) - 1
            assert (await local.node.result(info.id, last)).ok


@in_loop
async def test_the_parts_of_a_node_close_in_order(opening, monkeypatch):
    """First nothing new begins, then no worker answers, then all is written; the log closes last.

    What would go on without being awaited ends, too.
    """
    order: list[str] = []

    def note(part: type, name: str) -> None:
        real = getattr(part, name)

        def noting(self: Any, *args: Any) -> Any:
            order.append(f"{part.__name__} {name}")
            return real(self, *args)

        monkeypatch.setattr(part, name, noting)

    async with opening():
        for part in (Ticking, Fetching, Computer, Loader, Retries):
            note(part, "stop")
        for part in (Computer, Fetching, Events, Store):
            note(part, "close")
        note(Committing, "sync")
        note(Committing, "forget")
    at_once = ["Computer stop", "Fetching stop", "Loader stop", "Retries stop", "Committing forget"]
    first = list(dict.fromkeys(order))
    assert [one for one in first if one not in at_once] == [
        "Ticking stop",
        "Computer close",
        "Committing sync",
        "Fetching close",
        "Events close",
        "Store close",
    ]
    assert set(at_once) <= set(order)


@in_loop
async def test_a_close_repeats_no_error_that_was_reported(opening, monkeypatch):
    """An error that the retries have told of is not raised once more by closing."""
    async with opening() as local:
        retries = local.engine.retries

        def fail() -> None:
            raise AoError("the disk is full", stage="node")

        monkeypatch.setattr(local.engine, "sync", fail)
        monkeypatch.setattr(retries, "failures", 1)


@in_loop
async def test_a_close_that_is_interrupted_lets_go_as_well(opening, folder, wallet):
    wrong: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, found: wrong.append(found))
    node = await LocalNode.open(folder)
    local = Local(node, wallet, (await node.info()).address)
    await playing(local)
    closing = asyncio.ensure_future(node.close())
    await asyncio.sleep(0.05)
    closing.cancel()
    await asyncio.wait({closing})
    await asyncio.sleep(0.1)
    assert not wrong, wrong
    async with opening():
        pass


@in_loop
async def test_who_waits_when_a_node_closes_is_told(opening):
    async with opening() as local:
        pid = await local.spawn()
        line = await local.post(pid, "while true do end", Action="Eval")
        waits = [local.node.result(pid, line.slot), local.node.settled(line.id)]
        waiting = [asyncio.ensure_future(wait) for wait in waits]
        await asyncio.sleep(0)
    for wait in waiting:
        with pytest.raises(AoError, match="the node was closed"):
            await wait


@in_loop
async def test_a_close_that_cannot_fsync_says_so(opening, monkeypatch):
    """A power cut may take results that were announced. The log is closed all the same."""
    monkeypatch.setattr(committing, "QUIET", 600)
    with pytest.raises(AoError, match="disk is full"):
        async with opening() as local:
            sent = await local.post(await local.spawn(), "return 1", Action="Eval")
            await until(lambda: local.engine.store.result_of(local.engine.scheduler.last_seq))
            assert sent.slot == 1 and local.engine._committing.unsynced
            FullDisk(local, monkeypatch, math.inf, lambda batch: not batch.results)
            store = local.engine.store
    with pytest.raises(AoError, match="closed"):
        store.meta("cuts")


def test_damage_is_what_sqlite_calls_damage(tmp_path: Path) -> None:
    store = Store(tmp_path)
    told = {
        sqlite3.SQLITE_CORRUPT: "is damaged",
        sqlite3.SQLITE_NOTADB: "is damaged",
        sqlite3.SQLITE_CORRUPT | 1 << 8: "is damaged",  # SQLITE_CORRUPT_VTAB
        sqlite3.SQLITE_IOERR: "cannot be used",
        sqlite3.SQLITE_FULL: "cannot be used",
        sqlite3.SQLITE_BUSY: "cannot be used",
    }
    for code, words in told.items():
        error = sqlite3.OperationalError("as SQLite says it")
        error.sqlite_errorcode = code
        assert words in as_ao_error(store.path, error).what
    store.close()
    with pytest.raises(
        UnusableDatabaseError, match="a defect of the node itself: ProgrammingError"
    ) as caught:
        store.processes()
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("free", [0, LEAST_ROOM - 1, LEAST_ROOM])
@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR | 19 << 8, sqlite3.SQLITE_CANTOPEN])
def test_a_disk_without_room_is_said_to_be_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, free: int
) -> None:
    """SQLITE_IOERR_SHMSIZE is what SQLite says where the file beside the database finds no room."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    full = "free some room" in as_ao_error(tmp_path / "node.db", error).hint
    assert full is (free < LEAST_ROOM)


def test_what_is_on_a_full_disk_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.close()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with contextlib.closing(open_to_read(store.path)) as db:
            assert db.execute("SELECT count(*) FROM processes").fetchone() == (0,)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_node_that_nobody_closed_warns_and_lets_go(folder: Path, wallet: Wallet) -> None:
    async def use() -> list[int]:
        node = await LocalNode.open(folder)
        local = Local(node, wallet, (await node.info()).address)
        await local.value(await local.spawn(), "1")
        return [worker.pid for worker in local.workers()]

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pids = asyncio.run(use())
        gc.collect()
    assert [str(one.message) for one in caught if "was not closed" in str(one.message)]
    assert {one.category for one in caught} == {ResourceWarning}

    async def again() -> None:
        async with opened(folder, wallet):
            await until(lambda: all(map(gone, pids)))

    asyncio.run(asyncio.wait_for(again(), 60))


@pytest.mark.usefixtures("aoshell_home")
@pytest.mark.parametrize("running", [True, False])
def test_a_session_that_nobody_closed_warns_and_lets_go(
    tmp_path: Path, wallet: Wallet, running: bool
) -> None:
    key = tmp_path / "wallet.json"
    key.write_text(json.dumps(wallet.jwk()))

    async def use() -> None:
        session = await aoshell.api.open(wallet=key).__aenter__()
        assert (await session.eval("return 1 + 1")).output == "2"
        node = session.node
        if not running:
            return
        del session
        gc.collect()
        await until(lambda: node._closed)  # type: ignore[attr-defined]
        await asyncio.sleep(0.1)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(asyncio.wait_for(use(), 60))
        gc.collect()
    assert len([one for one in caught if "was not closed" in str(one.message)]) == 1
    assert {one.category for one in caught} == {ResourceWarning}

    async def again() -> None:
        async with aoshell.api.open(wallet=key) as session:
            assert (await session.eval("return 1 + 1")).output == "2"

    asyncio.run(asyncio.wait_for(again(), 60))
