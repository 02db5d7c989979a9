"""Files to import that are wrong inside, damaged, or crafted."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop
from test_local_transfer import elsewhere, lived, rewritten, spoil

from aoshell.errors import AoError
from aoshell.nodes.local.history import records, transfer
from aoshell.nodes.local.log.rows import Origin, ProcessRow
from aoshell.nodes.local.log.store import Store

__all__ = ["elsewhere"]  # fixtures


CRAFTED = {
    "cron is no JSON": spoil("process", "cron", "x"),
    "cron is another JSON": spoil("process", "cron", "[[1,2]]"),
    "cron has no interval": spoil("process", "cron", "[[0,0,[]]]"),
    "cron is deep": spoil("process", "cron", "[" * 100_000),
    "cron is a table": spoil("process", "cron", "{}"),
    "cron tags are a table": spoil("process", "cron", "[[1000,0,{}]]"),
    "an interval of cron is a fraction": spoil("process", "cron", "[[1000.5,0,[]]]"),
    "an interval of cron is too long": spoil("process", "cron", f"[[{10**90},0,[]]]"),
    "signed is a list": spoil("message", "signed", []),
    "the gas is text": spoil("result", "gas", "much"),
    "the gas is no text of this world": spoil("result", "gas", "\ud800"),
    "the gas is too much": spoil("result", "gas", 1 << 63),
    "what waits is too much": spoil("result", "waits", -(1 << 63)),
    "the time it took is too long": spoil("result", "milliseconds", 10**90),
    "the time it took is below nothing": spoil("result", "milliseconds", -1),
    "Lua calls itself WASM": spoil("module", 1, "wasm"),
    "id is a number": spoil("process", "id", 5),
    "id is a path": spoil("process", "id", "../../../" + "x" * 34),
    "name holds escapes": spoil("process", "name", "\x1b[2J"),
    "name is missing": lambda records: records[0]["process"].pop("name"),
    "body is no JSON": spoil("message", "body", "["),
    "body is no list": spoil("message", "body", "{}"),
    "body is too short": spoil("message", "body", '["a"]'),
    "body has half a tag": spoil("message", "body", '["a","a","a","a","","","","Name"]'),
    "body holds numbers": spoil("message", "body", "[1,2,3,4,5,6,7]"),
    "slot is text": spoil("message", "slot", "first"),
    "slot is missing": spoil("message", "slot", 7),
    "time is text": spoil("message", "timestamp", "now"),
    "result is no list": spoil("result", "body", "5"),
    "result is short": spoil("result", "body", '[false,"",""]'),
    "outcome is unknown": spoil("result", "outcome", "great"),
    "nothing in the log": lambda records: records.__delitem__(slice(1, None)),
    "module is not what its id says": spoil("module", 2, "AAAA"),
    "a field too much": spoil("process", "more", 1),
    "the chain is of no form": spoil("process", "chain", "eth"),
    "cron runs a bit": spoil("process", "monitored", 2),
    "the authority holds escapes": spoil("process", "authority", "\x1b[2J"),
    "the alias is a list": spoil("process", "alias", []),
    "the client is a number": spoil("message", "client", 7),
    "signed in no form": spoil("message", "form", "smoke signals"),
    "an assignment without its item": spoil("message", "assignment", "a" * 43),
    "an item of no assignment": spoil("message", "assigned", "AAAA"),
    "the environment is Lua": lambda records: spoil(
        "process", "environment", records[0]["process"]["module"]
    )(records),
}


@pytest.mark.parametrize("kind", CRAFTED)
@in_loop
async def test_a_file_that_is_wrong_inside_changes_nothing(opening, elsewhere, kind):
    async with opening() as local:
        data = rewritten(await local.node.export(await lived(local)), CRAFTED[kind])
    async with elsewhere() as other:
        pid = await other.spawn()
        with pytest.raises(AoError) as raised:
            await other.node.restore(data)
        assert raised.value.stage == "import"
        assert [info.id for info in await other.node.processes()] == [pid]
        assert await other.value(pid, "1 + 1") == "2"
    async with elsewhere() as other:
        assert await other.value(pid, "1 + 1") == "2"


@pytest.mark.parametrize("text", ["[ ]", " []"])
@in_loop
async def test_a_home_opens_again_however_an_imported_cron_is_written(opening, elsewhere, text):
    async with opening() as local:
        pid = await lived(local)
        data = rewritten(await local.node.export(pid), spoil("process", "cron", text))
    async with elsewhere() as other:
        await other.node.restore(data)
    async with elsewhere() as other:
        assert await other.value(pid, "Count") == "2"


@in_loop
async def test_damaged_files_are_refused(opening):
    async with opening() as local:
        pid = await lived(local)
        data = await local.node.export(pid)
        await local.node.delete(pid)
        damaged = [b"", b"x", transfer.MAGIC, data[:-1], data[: len(data) // 2], data[1:]]
        middle = len(data) // 2
        damaged.append(data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :])
        for bad in damaged:
            with pytest.raises(AoError) as raised:
                await local.node.restore(bad)
            assert raised.value.stage == "import"
        assert await local.node.processes() == []
        await local.node.restore(data)


@pytest.mark.parametrize("field", ["source", "chain", "vouched", "memory", "module"])
def test_what_a_fork_says_of_its_origin_is_text(field: str) -> None:
    origin = Origin(1, "https://node.example", 3, 1, 1, "", 0, 0)
    assert records.read_origin(origin._asdict()) == origin
    with pytest.raises(ValueError, match="a text of a fork is invalid"):
        records.read_origin({**origin._asdict(), field: 7})


@pytest.mark.parametrize("ids", [["x" * 42], ["x" * 43, 7], {"x" * 43: 1}])
def test_the_ids_that_others_run_are_a_list_of_ids(tmp_path: Path, ids: Any) -> None:
    store = Store(tmp_path)
    with pytest.raises(ValueError, match="an id of a fork is invalid"):
        records.read_elsewhere(store, ids)
    store.close()


@pytest.mark.parametrize("first", ["origin", "process"])
def test_a_fork_has_one_origin_before_all_else(first: str) -> None:
    origin = {"origin": Origin(1, "https://node.example", 3, 1, 1, "", 0, 0)._asdict()}
    row = ProcessRow(1, "x" * 43, "", "", "", "", 0, "[]", 1)
    records_ = [origin if first == "origin" else {"process": row._asdict()}, origin]
    lines = "".join(json.dumps(one) + "\n" for one in records_).encode()
    with pytest.raises(ValueError, match="it has two origins"):
        transfer._read(transfer.FORKED + zlib.compress(lines), None, lambda _done: None)  # type: ignore[arg-type]
