"""Memories that forks begin with: kept by their hash, and checked wherever they come from."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from eventually import in_loop
from program import run
from signers import Ed25519
from zygotes import SHARED

import aoshell
from aoshell import durable
from aoshell.errors import AoError
from aoshell.forks.log import ForeignLog
from aoshell.forks.making import ForkedCode, make_fork
from aoshell.forks.messages import Assigned, ForeignMessage
from aoshell.forks.remote import ForeignMemory
from aoshell.home.folders import Settings
from aoshell.nodes.local.forked.memories import (
    MAGIC,
    MOST_PAGES,
    PAGE,
    Memories,
    digest_of,
    pack,
)
from aoshell.nodes.local.history import adding, cutting, dumping
from aoshell.nodes.local.history.transfer import FORKED
from aoshell.nodes.local.log.rows import PARTIAL
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.node import LocalNode
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Message, tags_of
from aoshell.sandbox import environment
from aoshell.states.working import dump, load

PART = b"x" * PAGE
MEMORY = bytes(2 * PAGE) + PART + bytes(PAGE) + b"y" * PAGE + bytes(PAGE)


def packed_as(head: bytes, body: bytes) -> bytes:
    """A file whose own hash is right."""
    image = zlib.compress(head + b"\n" + body)
    return MAGIC + hashlib.sha256(image).hexdigest().encode() + b"\n" + image


def head(pages: object, values: object = None) -> bytes:
    return json.dumps({"globals": values, "pages": pages}).encode()


def test_a_memory_is_kept_as_its_pages_that_are_not_zeros(tmp_path: Path) -> None:
    memories = Memories(tmp_path)
    digest = memories.put(MEMORY)
    assert digest == hashlib.sha256(MEMORY).hexdigest() == digest_of(pack(MEMORY))
    first, _, rest = zlib.decompress(memories.image(digest)).partition(b"\n")
    assert json.loads(first) == {"globals": None, "pages": 6}
    assert rest == struct.pack("<Q", 2) + PART + struct.pack("<Q", 4) + b"y" * PAGE
    memories.remove(digest)
    with pytest.raises(AoError, match="missing or damaged"):
        memories.image(digest)


def test_a_memory_is_given_whole_up_to_a_bound(tmp_path: Path) -> None:
    memory = bytes(PAGE) + b"x" * PAGE
    digest = Memories(tmp_path).put(memory)
    assert Memories(tmp_path).whole(digest, len(memory)) == memory
    assert Memories(tmp_path).whole(digest, len(memory) - 1) is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    memories = Memories(tmp_path)
    digest = memories.put(MEMORY)
    (file,) = (tmp_path / "memories").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(AoError, match="missing or damaged"):
        memories.image(digest)


@pytest.mark.parametrize(
    "packed",
    [
        pack(bytes(PAGE)),
        b"",
        MAGIC,
        packed_as(head(0), b""),
        packed_as(head(1 << 40), b""),
        packed_as(head(6, [1]), b""),
        packed_as(b"{}", b""),
        packed_as(b"x" * 2000, b""),
        packed_as(head(6), struct.pack("<Q", 6) + PART),
        packed_as(head(6), struct.pack("<Q", 2) + PART + struct.pack("<Q", 2) + PART),
        packed_as(head(6), struct.pack("<Q", 2) + PART[:-1]),
        pack(MEMORY)[:-1],
    ],
    ids=range(12),
)
def test_what_is_another_memory_than_it_says_is_refused(tmp_path: Path, packed: bytes) -> None:
    memories = Memories(tmp_path)
    with pytest.raises((ValueError, KeyError, TypeError)):
        memories.put_packed(hashlib.sha256(MEMORY).hexdigest(), packed)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "packed",
    [
        packed_as(head(0), b""),
        packed_as(head(MOST_PAGES + 1), b""),
        packed_as(head(6, [1]), b""),
        packed_as(head(6), struct.pack("<Q", 6) + PART),
        packed_as(head(6), struct.pack("<Q", 2) + PART + struct.pack("<Q", 2) + PART),
        packed_as(head(6), struct.pack("<Q", 2) + PART[:-1]),
        pack(MEMORY)[:-1],
    ],
    ids=["no page", "pages", "globals", "behind", "again", "half", "cut off"],
)
def test_what_is_no_memory_has_no_digest(packed: bytes) -> None:
    with pytest.raises(ValueError):
        digest_of(packed)


def test_what_is_here_is_not_replaced(tmp_path: Path) -> None:
    memories = Memories(tmp_path)
    digest = memories.put(MEMORY)
    before = memories.packed(digest)
    body = b"".join(struct.pack("<Q", n) + MEMORY[n * PAGE : (n + 1) * PAGE] for n in range(6))
    memories.put_packed(digest, packed_as(head(6), body))  # the same, in another form
    assert memories.packed(digest) == before


# Forks that come with one -------------------------------------------------------------------------

PROCESS, WASM = "p" * 42 + "w", b"\0asm\1\0\0\0"


def message(slot: int) -> ForeignMessage:
    """A message of a log elsewhere; slot 0 is the definition."""
    id = PROCESS if slot == 0 else b64url(bytes([slot]) * 32)
    assigned = Assigned("a" * 43, PROCESS, id, slot, 1_000, 1_000, "h" * 43, 0)
    tags = tags_of([("Type", "Process" if slot == 0 else "Message"), ("Module", "m" * 43)])
    return ForeignMessage(assigned, Message(id, "o" * 43, "o" * 43, PROCESS, tags, b""), None)


def a_fork(memory: bytes = MEMORY, wasm: bytes = WASM) -> bytes:
    """An exported fork that begins with a memory after slot 7, and has no messages after it."""
    log = ForeignLog("http://there", PROCESS, (message(0), message(7)), 0)
    code = ForkedCode(environment.module_id(wasm), "wasm", wasm, '{"Id": ""}', 1 << 30)
    held = ForeignMemory(7, memory, "http://there")
    return make_fork(log, code, "twin", 0, "n" * 43, memory=held).data


def files(folder: Path) -> tuple[str, ...]:
    there = folder / "memories"
    return tuple(sorted(path.name for path in there.iterdir())) if there.exists() else ()


NAMES = (f"{hashlib.sha256(MEMORY).hexdigest()}.memory",)


def killed_at(step: int, folder: Path, *deed: str) -> subprocess.CompletedProcess[str]:
    """Have a deed done by a process that is killed at a step, or ends where it has fewer."""
    driver = str(Path(__file__).with_name("steps_driver.py"))
    own = os.environ | {"PYTHONPATH": str(Path(aoshell.__file__).parents[1])}
    return run([sys.executable, driver, str(folder), str(step), *deed], env=own)


def test_a_kill_at_any_step_leaves_all_of_a_fork_or_nothing(tmp_path: Path) -> None:
    exported = tmp_path / "twin.process"
    exported.write_bytes(a_fork())

    async def left(folder: Path) -> tuple[int, tuple[str, ...], int]:
        """Processes, files of memories, and modules but for the environment."""
        node = await LocalNode.open(folder, supervisor=SHARED)
        try:
            store = node._engine.store
            modules = store.select_one("SELECT count(*) FROM modules WHERE kind = 'wasm'")[0]
            rows = store.select_one("SELECT count(*) FROM log")[0]
            found = await node.processes()
            assert rows == 2 * len(found)
            return len(found), files(folder), modules
        finally:
            await node.close()

    outcomes = []
    for step in range(100):
        folder = tmp_path / f"{step}"
        ended = killed_at(step, folder, "import", str(exported))
        outcomes.append(asyncio.run(left(folder)))
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
    nothing, whole = (0, (), 0), (1, NAMES, 1)
    assert outcomes[-1] == whole
    assert set(outcomes) == {nothing, whole} and len(outcomes) > 8
    assert outcomes == sorted(outcomes, key=lambda one: one[0])


ADDRESS = "m" * 42 + "w"


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[LocalNode]:
    node = await LocalNode.open(folder, supervisor=SHARED)
    try:
        yield node
    finally:
        await node.close()


async def make_fork_to_delete(node: LocalNode) -> str:
    await node.restore(a_fork())
    return PROCESS


async def make_stand_in_to_delete(node: LocalNode) -> str:
    await node.workbench.mock(ADDRESS, b"Handlers.add('Any', function() return 1 end, print)", "x")
    own = node.address
    for slot in range(3):
        item = Message(b64url(bytes([slot]) * 32), own, own, ADDRESS, (), b"")
        await node.result(ADDRESS, (await node.send(ADDRESS, item)).slot or 0)
    await node.workbench.mark(ADDRESS, "here")
    for live in node._engine.computer._live.values():
        await live.images.ask()
    return ADDRESS


def rows_of(store: Store, number: int) -> int:
    """Rows that a process with that number has in all tables, but for its own row."""
    asked = (
        "SELECT count(*) FROM log WHERE process = ?",
        "SELECT count(*) FROM results",
        "SELECT count(*) FROM kept",
        "SELECT count(*) FROM origins WHERE process = ?",
    )
    return sum(store.select_one(one, *[number] * one.count("?"))[0] for one in asked)


@pytest.mark.long
@pytest.mark.parametrize("make", [make_fork_to_delete, make_stand_in_to_delete])
def test_a_kill_at_any_step_of_a_deletion_leaves_all_or_nothing(
    tmp_path: Path, signer: Ed25519, make: Callable[[LocalNode], Awaitable[str]]
) -> None:
    """And what was signed for it before is given out in neither case."""
    home = tmp_path / "home"

    async def begin() -> tuple[str, int]:
        async with opened(home) as node:
            process = PROCESS if make is make_fork_to_delete else ADDRESS
            await node.network.keep(DataItem.sign(signer, process, (), b"before"))
            assert await make(node) == process
            await node.workbench.pause(process, True)
            return process, rows_of(node._engine.store, 1)

    async def left(folder: Path, process: str) -> tuple[int, int]:
        """Its rows, one of its own row with them, and files of its state."""
        async with opened(folder) as node:
            store, found = node._engine.store, await node.processes()
            stored = (await node.network.stored_behind(-1, 99)).entries
            assert [one.signed for one in stored if one.message.data == b"before"] == [None]
            with pytest.raises(AoError):
                await node.network.keep(DataItem.sign(signer, process, (), b"after"))
            rows = rows_of(store, 1)
            if not found:
                assert store.meta("adding") in (None, 0) and store.meta("paused") in (None, "[]")
                assert (store.meta(f"marks {process}") or "{}") == "{}"
                assert not list((folder / "checkpoints").glob(f"{process}*"))
                assert files(folder) == ()
            return len(found), rows

    process, all_rows = asyncio.run(begin())
    outcomes = []
    for step in range(100):
        folder = tmp_path / f"{step}"
        shutil.copytree(home, folder)
        ended = killed_at(step, folder, "delete", process)
        outcomes.append(asyncio.run(left(folder, process)))
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert outcomes[-1] == (0, 0) and len(outcomes) > 5
    assert set(outcomes) == {(1, all_rows), (0, 0)}
    assert outcomes == sorted(outcomes, reverse=True)


@in_loop
async def test_what_is_being_deleted_is_in_no_dump_and_what_fails_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "SLICE", 1)
    forget, dumped = Store.forget, []

    def failing(store: Store, process: int, slot: int, most: int) -> int:
        if store.meta(PARTIAL):
            header = dumping.read_header(store)
            dumped.append((header, list(dumping._records(store, header, lambda _: None))))
            raise AoError("the disk is full", stage="store")
        return forget(store, process, slot, most)

    async with opened(tmp_path) as node:
        process = await make_stand_in_to_delete(node)
        monkeypatch.setattr(Store, "forget", failing)
        with pytest.raises(AoError, match="the disk is full"):
            await node.delete(process)
        monkeypatch.undo()
        message = Message("n" * 43, node.address, node.address, process, (), b"")
        receipt = await node.send(process, message)
    ((header, found),) = dumped
    assert (header["processes"], header["messages"]) == (0, 0)
    assert not any("process" in record or "message" in record for record in found)
    async with opened(tmp_path) as node:
        assert (await node.find(process)).slots == (receipt.slot or 0) + 1
        await node.delete(process)
        assert await node.processes() == []


@in_loop
async def test_an_import_that_is_refused_leaves_no_memory(tmp_path: Path) -> None:
    node = await LocalNode.open(tmp_path, supervisor=SHARED)
    try:
        other = bytes(PAGE) + PART
        await node.restore(a_fork())
        for again in (a_fork(), a_fork(other)):
            with pytest.raises(AoError, match="is on this node already"):
                await node.restore(again)
            assert files(tmp_path) == NAMES, "what the first one needs stays"
        await node.delete(PROCESS)
        assert files(tmp_path) == ()
        cut = zlib.decompress(a_fork()[len(FORKED) :]).splitlines()[:-1]
        damaged = FORKED + zlib.compress(b"\n".join(cut) + b"\n")
        with pytest.raises(AoError, match="damaged"):
            await node.restore(damaged)
        assert files(tmp_path) == ()
        other_code = WASM + b"\0\1\0"
        with (
            patch.object(Store, "commit", side_effect=AoError("the disk is full", stage="store")),
            pytest.raises(AoError, match="the disk is full"),
        ):
            await node.restore(a_fork(wasm=other_code))
        assert files(tmp_path) == ()
        assert node._engine.store.module(environment.module_id(other_code)) is None
    finally:
        await node.close()


@in_loop
async def test_a_memory_that_comes_is_not_removed_with_another_fork(tmp_path: Path) -> None:
    """One fork is deleted while one with the same memory is being taken in."""
    node = await LocalNode.open(tmp_path, supervisor=SHARED)
    try:
        await node.restore(a_fork())
        origins, digest = node._engine.origins, hashlib.sha256(MEMORY).hexdigest()
        with origins.coming() as coming:
            coming.put_packed(digest, pack(MEMORY))
            await node.delete(PROCESS)
            assert files(tmp_path) == NAMES
        assert files(tmp_path) == (), "and now nothing needs it"
    finally:
        await node.close()


def test_what_was_left_is_removed_and_nothing_else_is(tmp_path: Path) -> None:
    memories = Memories(tmp_path)
    one, other = memories.put(MEMORY), memories.put(bytes(PAGE))
    (tmp_path / "memories" / f".{other}.0123456789abcdef").write_bytes(b"half")
    (tmp_path / "memories" / "notes.txt").write_bytes(b"mine")
    memories.remove_all_but({one})
    assert files(tmp_path) == (f"{one}.memory", "notes.txt")


def test_a_dump_that_is_refused_leaves_no_memory(tmp_path: Path) -> None:
    async def test() -> None:
        here = Settings(*(tmp_path / "here" / name for name in ("", "state", "config", "cache")))
        node = await LocalNode.open(here.state, supervisor=SHARED)
        await node.restore(a_fork())
        await node.close()
        file = tmp_path / "whole.dump"
        await dump(here, str(file))
        file.write_bytes(file.read_bytes()[:-1])
        there = Settings(*(tmp_path / "there" / name for name in ("", "state", "config", "cache")))
        with pytest.raises(AoError, match="damaged"):
            await load(there, str(file))
        assert files(there.state) == ()

    asyncio.run(asyncio.wait_for(test(), 60))


@in_loop
async def test_a_disk_that_is_full_in_the_middle_of_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is full at each page in turn; the memory fails while it is written."""
    monkeypatch.setattr(adding, "SLICE", 1)
    node = await LocalNode.open(tmp_path, supervisor=SHARED)
    try:
        store, exported = node._engine.store, a_fork(wasm=WASM + custom_section(30_000))

        def nothing_is_there() -> None:
            for table in ("processes", "log", "results", "origins"):
                assert store.select_one(f"SELECT count(*) FROM {table}") == (0,), table
            assert store.select("SELECT kind FROM modules") == [("environment",)]
            assert files(tmp_path) == ()

        db = store._db
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        for more in range(100):
            db.execute(f"PRAGMA max_page_count = {pages + more}")
            try:
                await node.restore(exported)
                break
            except AoError as error:
                assert "full" in error.what
            nothing_is_there()
        assert more > 3, "it was full more than once"
        db.execute("PRAGMA max_page_count = 1000000")
        assert files(tmp_path) == NAMES and (await node.find("twin")).slots == 8
        await node.delete(PROCESS)
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        monkeypatch.setattr(durable, "sync_folder", raising(full))
        with pytest.raises(AoError, match="No space left on device") as raised:
            await node.restore(exported)
        assert "nothing was forked" in raised.value.hint
        monkeypatch.undo()
        assert files(tmp_path) == () and not await node.processes()
        await node.restore(exported)
    finally:
        await node.close()


def custom_section(length: int) -> bytes:
    """A part of a module that does nothing."""
    size = length + 1
    return bytes([0, size & 127 | 128, size >> 7 & 127 | 128, size >> 14, 0]) + bytes(length)


def raising(error: Exception) -> Callable[..., None]:
    def call(*_args: object) -> None:
        raise error

    return call
