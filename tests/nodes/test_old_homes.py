"""Homes that earlier versions wrote still open, compute and verify.

`data/home-N.sql.gz` is the database of a home as format N left it: a counter, a child that it
spawned, a failed message, an undelivered one, and a handling that waits; from 3 on also a process
of a client, with an uploaded module, a pushed, an httpsig and an assigned message. A new format
adds a file, and changes none.

`data/texts-N.sql.gz` is that of a home in which processes keep what version N of the host says
(`sandbox.lua.VERSIONS`): texts of errors with their places, tracebacks, what the host permits.
One is an aos process, the other `lua@5.3a`. A version of the host that changes one of these is a
new version, with a file of its own.
"""

from __future__ import annotations

import gzip
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from eventually import in_loop
from zygotes import SHARED

from aoshell.nodes.local.log import schema
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.processes.peek import list_processes
from aoshell.nodes.served import Span
from aoshell.protocol.message import Message, Tag
from aoshell.sandbox.lua import VERSIONS

DATA = Path(__file__).with_name("data")
TEXTS = sorted(DATA.glob("texts-*.sql.gz"))
HOMES = sorted(DATA.glob("home-*.sql.gz"))


def test_every_format_has_its_home() -> None:
    assert [path.name for path in HOMES] == [
        f"home-{version}.sql.gz" for version in range(1, schema.VERSION + 1)
    ]


def unpacked(path: Path, folder: Path) -> Path:
    """A home as it was, in a folder of its own."""
    folder.mkdir()
    with sqlite3.connect(folder / "node.db") as database:
        database.executescript(gzip.decompress(path.read_bytes()).decode())
    database.close()
    return folder


@pytest.mark.parametrize("path", HOMES, ids=lambda path: path.name)
@in_loop
async def test_it_opens_computes_and_verifies(path: Path, tmp_path: Path) -> None:
    node = await LocalNode.open(unpacked(path, tmp_path / "state"), supervisor=SHARED)
    try:
        old = await node.find("old")
        assert (old.waiting, old.slots, old.computed) == (1, old.slots, old.slots)
        code = b"return Count .. ' ' .. Inbox[#Inbox].Data .. ' ' .. #Errors .. ' ' .. #Holes"
        tags = (Tag("Action", "Eval"), Tag("Type", "Message"))
        asked = Message("", old.owner, old.owner, old.id, tags, code)
        assert (await node.dryrun(old.id, asked)).output == "5 Result: 144 1 4"
        # Its environment does not tell what a line returned.
        nothing = await node.dryrun(old.id, replace(asked, data=b"nil"))
        assert (nothing.outcome, nothing.output, nothing.returned) == ("ok", "", "")
        assert len(await node.undelivered()) == 1
        for process in await node.processes():
            assert await node.verify_log(process.id) == []
    finally:
        await node.close()


@pytest.mark.parametrize("path", HOMES[2:], ids=lambda path: path.name)
@in_loop
async def test_what_clients_left_is_still_there(path: Path, tmp_path: Path) -> None:
    node = await LocalNode.open(unpacked(path, tmp_path / "state"), supervisor=SHARED)
    try:
        client = await node.find("client")
        assert client.authority.startswith("fcoN_") and not client.monitored
        page = await node.network.schedule_page(client.id, Span(), 100)
        stored = [entry.stored for entry in page.entries]
        assert [each.client for each in stored] == ["mu", "mu", "", "hyper", "mu", "mu"]
        assert all(entry.assignment.verify() for entry in page.entries)
        upload = await node.network.item(client.alias)
        assert upload is not None and upload.client == "bundler" and upload.signed is not None
        assigned = page.entries[4]
        assert assigned.assigned and assigned.exclude == ("Data", "Tags")
        again = await node.network.submit(stored[5].signed)
        assert again.slot == 5
        said = (await node.result(client.id, 5)).output
        assert said == "of an upload pushed/fcoN by httpsig/FCbs /FATQ"
    finally:
        await node.close()


def test_every_version_of_the_host_has_its_texts() -> None:
    assert [path.name for path in TEXTS] == [f"texts-{number}.sql.gz" for number in VERSIONS]


# What the last message of each home said, and says: the text of an error with its place.
FORMAT = {
    1: "host:352: bad argument #2 to 'format' (number expected, got string)",
    2: "[string \"aos\"]:1: bad argument #2 to 'format' (number expected, got string)",
    3: "[string \"aos\"]:1: bad argument #2 to 'format' (number expected, got string)",
    4: "[string \"aos\"]:1: bad argument #2 to 'format' (number expected, got string)",
}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
@in_loop
async def test_what_the_host_said_it_says(path: Path, tmp_path: Path) -> None:
    node = await LocalNode.open(unpacked(path, tmp_path / "state"), supervisor=SHARED)
    try:
        version = int(path.name.split(".")[0].rpartition("-")[2])
        for process in await node.processes():
            assert await node.verify_log(process.id) == []
        texts = await node.find("texts")
        asked = "return here(function() return string.format('%d', 'x') end)"
        owner, tags = texts.owner, (Tag("Action", "Eval"), Tag("Type", "Message"))
        message = Message("", owner, owner, texts.id, tags, asked.encode())
        assert (await node.dryrun(texts.id, message)).output == FORMAT[version]
        # What was kept, out of the state that the log gives now, is what was answered then.
        message = replace(message, data=b"return table.concat(Texts, '\\n')")
        entries = list(await node.results(texts.id, limit=1000))
        assert (await node.dryrun(texts.id, message)).output == entries[-1].result.output
    finally:
        await node.close()


@pytest.mark.parametrize("path", HOMES, ids=lambda path: path.name)
def test_it_is_listed_without_being_migrated(path: Path, tmp_path: Path) -> None:
    """`--list` and `.ps` of another shell only read."""
    database = unpacked(path, tmp_path / "state") / "node.db"
    before = database.read_bytes()
    assert {"", "old"} <= {process.name for process in list_processes(database)}
    store = Store.reading(database)
    try:
        number = store.processes_named("old")[0].number
        assert next(logged.client for logged, _computed in store.entries(number)) == ""
    finally:
        store.close()
    assert database.read_bytes() == before
