"""Homes that earlier versions wrote still open, compute and verify.

`data/home-N.sql.gz` is the database of a home as format N left it: a counter, a child that it
spawned, a failed message, an undelivered one, and a handling that waits. A new format adds a file,
and changes none.
"""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path

import pytest
from local_home import in_loop

from aoshell.nodes.local import schema
from aoshell.nodes.local.node import LocalNode
from aoshell.protocol.message import Message, Tag

HOMES = sorted(Path(__file__).with_name("data").glob("home-*.sql.gz"))


def test_every_format_has_its_home() -> None:
    assert [path.name for path in HOMES] == [
        f"home-{version}.sql.gz" for version in range(1, schema.VERSION + 1)
    ]


@pytest.mark.parametrize("path", HOMES, ids=lambda path: path.name)
@in_loop
async def test_it_opens_computes_and_verifies(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    with sqlite3.connect(folder / "node.db") as database:
        database.executescript(gzip.decompress(path.read_bytes()).decode())
    database.close()
    node = await LocalNode.open(folder)
    try:
        old = await node.find("old")
        assert (old.waiting, old.slots, old.computed) == (1, old.slots, old.slots)
        code = b"return Count .. ' ' .. Inbox[#Inbox].Data .. ' ' .. #Errors .. ' ' .. #Holes"
        tags = (Tag("Action", "Eval"), Tag("Type", "Message"))
        asked = Message("", old.owner, old.owner, old.id, tags, code)
        assert (await node.dryrun(old.id, asked)).output == "5 Result: 144 1 4"
        assert len(await node.undelivered()) == 1
        for process in await node.processes():
            assert await node.verify_log(process.id) == []
    finally:
        await node.close()
