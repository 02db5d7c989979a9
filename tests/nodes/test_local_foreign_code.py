"""Imported processes, with code or a log that must not be trusted."""

from __future__ import annotations

import asyncio
import json
import zlib
from base64 import b64encode

import pytest
from eventually import in_loop
from local_home import opened

from aoshell.errors import AoError
from aoshell.nodes.local.history import transfer
from aoshell.nodes.values import Limits
from aoshell.sandbox import environment
from aoshell.sandbox.supervising import zygote_handle
from aoshell.sandbox.supervising.supervisor import Supervisor

SHORT = Limits(seconds=0.2, memory=64 << 20)
MAIN = "from aoshell.sandbox.worker.zygote"
HASTY = """
from aoshell.sandbox.worker import worker
worker.LOAD_SECONDS, worker.REPLAY_TIMES = 0.5, 2
"""
LOOP = "while true do end"
EAT = "local t = {} for i = 1, 1e9 do t[i] = i .. ('x'):rep(100000) end"


@pytest.fixture(scope="module")
def hasty():
    """Zygotes whose workers give code and logs a quarter of the usual time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(zygote_handle, "START", zygote_handle.START.replace(MAIN, HASTY + MAIN))
        zygotes = Supervisor()
        zygotes.start()
        patched.setattr(zygotes, "close", lambda: None)  # by each node that closes
        yield zygotes
    zygotes.close()


@pytest.fixture
def opening(folder, signer, hasty):
    """Opens the test's node, whose workers are hasty."""
    return lambda limits=None: opened(folder, signer, limits, hasty)


def records_of(data: bytes) -> list[dict]:
    return [json.loads(line) for line in zlib.decompress(data[len(transfer.MAGIC) :]).splitlines()]


def packed(records: list[dict]) -> bytes:
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    return transfer.MAGIC + zlib.compress(lines)


def with_environment(data: bytes, changes: dict[str, str]) -> bytes:
    """An exported process whose environment has other modules in it."""
    code = environment.pack(environment.read_sources() | changes)
    mine = environment.module_id(code)
    records = records_of(data)
    process = records[0]["process"]
    process["module"] = process["environment"] = mine
    module = {"module": [mine, "environment", b64encode(code).decode()]}
    return packed([records[0], module, *(r for r in records if "message" in r)])


async def exported(opening, *lines: str) -> bytes:
    """A process as a file, which has run some lines."""
    async with opening() as local:
        pid = await local.spawn(name="traveller")
        for line in lines:
            await local.eval(pid, line)
        return await local.node.export(pid)


async def refused(opening, data: bytes, why: str) -> None:
    """The process does not compute, and says why; the node and its other processes go on."""
    async with opening(SHORT) as local:
        pid = (await local.node.restore(data)).id
        other = await local.spawn(name="other")
        answer = asyncio.ensure_future(local.value(pid, "1 + 1"))
        assert await local.value(other, "20 + 2") == "22"
        with pytest.raises(AoError) as told:
            await answer
        assert f"process traveller: {why}" in told.value.what
        assert ".limits" in told.value.what and ".delete" in told.value.what
        entry = local.engine.store.last_computed(local.engine.processes.look_up(pid).number)
        assert entry[0].slot < await local.node.slots(pid) - 1  # the message has no outcome
        assert await local.value(other, "20 + 2") == "22"
        await local.node.delete(pid)
        assert await local.value(other, "20 + 2") == "22"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (LOOP, "its code does not load: it took more than 0.5 s of processor time"),
        (EAT, "its code does not load within 64 MB"),
        ("error('not like this')", "its code does not load: "),
        ("local s = ('x'):rep(1200) s:find('.-.-.-.-.-b')", "its code does not load: it took"),
    ],
)
@in_loop
async def test_code_that_does_not_load_is_told(opening, tmp_path, signer, source, why):
    data = await exported(lambda: opened(tmp_path / "elsewhere", signer))
    await refused(opening, with_environment(data, {".process": source}), why)


@in_loop
async def test_code_that_loops_over_a_failure_is_told(opening, tmp_path, signer):
    data = await exported(lambda: opened(tmp_path / "elsewhere", signer), "error('x')")
    source = environment.read_sources()[".process"]
    code = f"local made = (function(...) {source}\nend)(...)\nmade.failed = function() {LOOP} end "
    data = with_environment(data, {".process": code + "return made"})
    await refused(opening, data, "its log cannot be computed again: it took more than 0.5 s")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (LOOP, "its log cannot be computed again: it took more than 0.5 s of processor time"),
        (f"{EAT} x = t", "its log cannot be computed again within 128 MB"),
    ],
)
@in_loop
async def test_a_log_that_was_never_computed_so_is_told(opening, tmp_path, signer, line, why):
    """A file may claim of each message that it went well."""
    data = await exported(lambda: opened(tmp_path / "elsewhere", signer), "x = 1")
    records = records_of(data)
    message = records[-1]["message"]
    body = json.loads(message["body"])
    body[4] = line
    message["body"], message["signed"] = json.dumps(body), None
    await refused(opening, packed(records), why)


@in_loop
async def test_control_code_that_loads_does(opening, tmp_path, signer):
    data = await exported(lambda: opened(tmp_path / "elsewhere", signer), "x = 20", "error('x')")
    source = "-- another comment\n" + environment.read_sources()[".process"]
    async with opening(SHORT) as local:
        restored = await local.node.restore(with_environment(data, {".process": source}))
        assert await local.value(restored.id, "x + 2 .. ' ' .. #Errors") == "22 1"


@pytest.mark.parametrize("name", ["loops", "eats"])
@in_loop
async def test_the_files_of_the_shared_cases(opening, shared, name):
    data = (shared / f"cases/hostile/environment-{name}.process").read_bytes()
    # Its module is the environment of its day, which it does not bring: today's stands for it.
    born = records_of(data)[0]["process"]["module"]
    data = transfer.rename_addresses(
        data, {born: environment.module_id(environment.pack(environment.read_sources()))}
    )
    async with opening(SHORT) as local:
        pid = (await local.node.restore(data)).id
        with pytest.raises(AoError, match="its code does not load"):
            await local.value(pid, "1 + 1")
        assert await local.value(await local.spawn(), "1 + 1") == "2"
