"""A whole node as a file: a dump is loaded unchanged, and whole or not at all."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from dumped import dump, load, nothing, records, rewritten, rows
from eventually import in_loop
from local_home import NOBODY, SHOW, opened
from test_old_homes import HOMES, unpacked

from aoshell.errors import AoError
from aoshell.nodes.local.history import loading
from aoshell.nodes.local.log.schema import VERSION
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.values import Limits

SAMPLE = Path(__file__).with_name("data") / "dump-1.state"
REPO = Path(__file__).resolve().parents[2]
HOUR = 3_600_000


@pytest.fixture
def elsewhere(tmp_path):
    """The folder of another node."""
    return tmp_path / "other"


@pytest.fixture(scope="module")
def small() -> bytes:
    """A dump of a client's process and of others, as format 1 has it."""
    return SAMPLE.read_bytes()


async def lived(local):
    """Two processes that send to each other, and an example of each thing that a node keeps."""
    show = await local.spawn(SHOW, name="show")
    pid = await local.spawn(name="sender", Cron_Interval="1-hour")
    await local.eval(pid, f'Show = "{show}" Send({{Target = Show, Action = "Show"}})')
    await local.eval(pid, "error('on purpose')")
    await local.eval(pid, f'Send({{Target = "{NOBODY}", Data = "lost"}}) Spawn("aos", {{}})')
    await local.node.workbench.mark(pid, "here")
    await local.node.workbench.pause(show, True)
    await local.eval(pid, 'Send({Target = Show, Action = "Show", Data = "queued"})')
    local.node.knows([NOBODY[:-1] + "A"])
    return pid, show


async def told(local, *processes):
    """What commands show of processes."""
    return [
        (
            await local.entries(pid),
            await local.node.undelivered(pid),
            await local.node.workbench.marks(pid),
            await local.node.workbench.queued(pid),
            [
                await local.node.workbench.trace(message.id)
                for message in await local.messages(pid)
                if message.id
            ],
        )
        for pid in processes
    ]


@in_loop
async def test_a_node_goes_round_and_goes_on(opening, folder, elsewhere, signer):
    async with opening() as local:
        pid, show = await lived(local)
        await local.node.workbench.warp(30 * 24 * HOUR)
        await local.node.idle()
        before, old = await told(local, pid, show), local.address
        data = dump(folder)  # while it is open
    loaded = load(elsewhere, data)
    assert (loaded.processes, loaded.waits, loaded.node) == (3, 0, old)
    assert loaded.clock_taken and loaded.ahead == 30 * 24 * HOUR
    assert rows(folder) == rows(elsewhere) | {"names": rows(folder, "names")["names"]}
    async with opened(elsewhere, signer) as local:
        assert local.address != old
        assert await told(local, pid, show) == before
        assert [await local.node.verify_log(one) for one in (pid, show)] == [[], []]
        assert local.engine.clock.ahead == 30 * 24 * HOUR
        assert local.engine.signers.has(NOBODY[:-1] + "A")
        # It goes on: the queue, messages between the processes, a child of theirs.
        await local.node.workbench.pause(show, False)
        await local.eval(pid, 'Send({Target = Show, Action = "Show", Data = "again"})')
        assert f'owner = "{old}"' in await local.value(show, "Seen")
        assert await told(local, pid, show) != before
        assert await local.node.verify_log(show) == []


@in_loop
async def test_only_what_was_there_trusts_the_old_node(opening, folder, elsewhere, signer):
    async with opening() as local:
        pid, show = await lived(local)
        await local.node.workbench.pause(show, False)
        old, data = local.address, dump(folder)
    load(elsewhere, data)
    async with opened(elsewhere, signer) as local:
        new = await local.spawn(SHOW, name="new")
        made = (await local.node.find(new)).authority
        assert (made, (await local.node.find(show)).authority) == ("", old)
        source = f"Send({{Target = '{show}', Action = 'Show', Data = 'of the child'}})"
        module = (await local.node.upload(source.encode())).id
        await local.eval(pid, f'spawn("{module}")')
        infos = await local.node.processes()
        child = next(one for one in infos if one.module == module)
        assert child.authority == old
        assert f'from = "{child.id}"' in await local.value(show, "Seen")
        assert await local.node.verify_log(child.id) == []
    # Once more, from there to a third home: each process trusts whom it trusted.
    again = dump(elsewhere)
    third = elsewhere.with_name("third")
    load(third, again)
    async with opened(third, signer) as other:
        assert (await other.node.find(show)).authority == old
        assert (await other.node.find(new)).authority == local.address


@in_loop
async def test_what_has_no_result_is_computed_after_loading(opening, folder, elsewhere, signer):
    async with opening() as local:
        pid, show = await lived(local)
        await local.node.workbench.pause(show, False)
        for _ in range(30):
            await local.post(pid, 'Send({Target = Show, Action = "Show"})', Action="Eval")
        data = dump(folder)
        await local.node.idle()
        slots = [await local.node.slots(one) for one in (pid, show)]
    assert load(elsewhere, data).waits > 0
    async with opened(elsewhere, signer) as local:
        await local.node.idle()
        assert [await local.node.slots(one) for one in (pid, show)] == slots
        assert [await local.node.verify_log(one) for one in (pid, show)] == [[], []]


@in_loop
async def test_held_messages_stay_held(opening, folder, elsewhere, signer):
    async with opening(pushes=1) as local:
        pid, _show = await lived(local)
        await local.eval(pid, 'for i = 1, 3 do Send({Target = ao.id, Action = "X"}) end')
        reasons, slots = await local.reasons(pid), await local.node.slots(pid)
        assert any("the bound is 1" in reason for reason in reasons)
        data = dump(folder)
    load(elsewhere, data)
    async with opened(elsewhere, signer, Limits(pushes=1)) as local:
        assert await local.reasons(pid) == reasons
        await local.node.set_limits(Limits())
        await local.node.idle()
        assert await local.node.slots(pid) > slots


@in_loop
async def test_cron_has_no_arrears(opening, folder, elsewhere, signer):
    async with opening() as local:
        pid, _show = await lived(local)
        slots = len(await local.messages(pid))
        data = dump(folder)
    found = records(data)
    found[0]["state"]["time"] -= 1000 * HOUR  # it was dumped long ago
    process = next(
        one["process"] for one in found if "process" in one and one["process"]["cron"] != "[]"
    )
    ((every, due, cron_tags),) = json.loads(process["cron"])
    process["cron"] = json.dumps([[every, due - 1000 * HOUR, cron_tags]])
    load(elsewhere, rewritten(found))
    async with opened(elsewhere, signer) as local:
        await local.node.idle()
        assert len(await local.messages(pid)) == slots
        row = local.engine.store.process(pid)
        ((_, then, _),) = json.loads(row.cron)
        assert 0 < then - local.node.time <= HOUR
        await local.node.workbench.warp(HOUR)
        await local.node.idle()
        assert len(await local.messages(pid)) == slots + 1


@in_loop
async def test_a_home_with_processes_keeps_its_own(opening, folder, elsewhere, signer):
    """Numbers go on, its clock stays, and its processes are what they were."""
    async with opening() as local:
        pid, show = await lived(local)
        await local.node.workbench.warp(HOUR)
        before, data = await told(local, pid, show), dump(folder)
    async with opened(elsewhere, signer) as local:
        own = await local.spawn(name="own")
        await local.eval(own, "X = 1")
        mine = await told(local, own)
    loaded = load(elsewhere, data)
    assert (loaded.clock_taken, loaded.ahead) == (False, HOUR)
    shifted = [row[0] for row in rows(elsewhere, "log")["log"]]
    assert len(set(shifted)) == len(shifted)
    async with opened(elsewhere, signer) as local:
        assert local.engine.clock.ahead == 0
        assert await told(local, own) == mine
        after = await told(local, pid, show)
        for (entries, *rest), (then, *others) in zip(after, before, strict=True):
            assert [one.result for one in entries] == [one.result for one in then]
            assert rest[:3] == others[:3]
        for one in (own, pid, show):
            assert await local.node.verify_log(one) == []


@in_loop
async def test_what_is_here_already_is_named(opening, folder, elsewhere, signer):
    async with opening() as local:
        pid, _show = await lived(local)
        await local.node.upload(b"return 1", "tool")
        data = dump(folder)
    async with opened(elsewhere, signer) as local:
        await local.spawn(name="show")
        await local.node.upload(b"return 2", "tool")
    before = rows(elsewhere)
    with pytest.raises(AoError) as raised:
        load(elsewhere, data)
    assert raised.value.stage == "state"
    assert "another module called tool, a process called show" in raised.value.what
    with pytest.raises(AoError, match=f"process sender \\({pid}\\)"):
        load(folder, data)
    assert rows(elsewhere) == before


@pytest.mark.parametrize("path", HOMES, ids=lambda path: path.name)
@in_loop
async def test_homes_of_every_format_are_dumped_as_they_are(path, tmp_path, elsewhere, signer):
    """Without migrating them: somebody else may have one open."""
    old = unpacked(path, tmp_path / "old")
    before = rows(old, "log", "results", "kept")
    load(elsewhere, dump(old))
    assert rows(old, "log", "results", "kept") == before
    async with opened(elsewhere, signer) as local:
        for info in await local.node.processes():
            assert await local.node.verify_log(info.id) == []
        assert (await local.node.find("old")).waiting == 1


def test_a_newer_home_is_refused(folder, small):
    load(folder, small)
    with closing(sqlite3.connect(folder / "node.db")) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(AoError, match=f"has format {VERSION + 1}, this aoshell knows"):
        dump(folder)


def test_no_key_is_in_it(tmp_path):
    home = unpacked(HOMES[-1], tmp_path / "old")
    with closing(sqlite3.connect(home / "node.db")) as database:
        query = "SELECT value FROM meta WHERE key = 'node_private_key'"
        (key,) = database.execute(query).fetchone()
        database.execute("INSERT INTO meta VALUES ('token', 'a-secret')")
        database.commit()
    text = json.dumps(records(dump(home)))
    assert len(key) == 32 and "a-secret" not in text
    assert parts_of(key).isdisjoint({text})
    assert not any(form in text for form in parts_of(key))


def parts_of(key: bytes) -> set[str]:
    """How a key could stand in a text."""
    from aoshell.nodes.local.history.records import text_of
    from aoshell.protocol.encoding import b64url

    return {text_of(key), b64url(key), key.hex(), json.dumps(key.decode("latin-1"))[1:-1]}


def of(kind, found):
    return [one[kind] for one in found if kind in one]


# Ends in the middle ---------------------------------------------------------------------------


def test_a_full_disk_takes_nothing(folder, small):
    with closing(Store(folder)) as store:
        pages = store.select_one("PRAGMA page_count")[0]
        store.select(f"PRAGMA max_page_count = {pages + 8}")
        with pytest.raises(AoError, match="full") as raised:
            loading.load_node(store, [small], nothing)
        assert raised.value.stage == "store" and "room" in raised.value.hint
        assert store.processes() == [] and store.newest() == 0
        store.select("PRAGMA max_page_count = 1000000")
        assert loading.load_node(store, [small], nothing).messages


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from aoshell.nodes.local.history import loading
from aoshell.nodes.local.log.store import Store
loading.ROWS = 3
store, left = Store(Path(sys.argv[2])), int(sys.argv[4])
write = Store._write
def writing(self, batch):
    global left
    write(self, batch)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
Store._write = writing
loading.load_node(store, [Path(sys.argv[3]).read_bytes()], lambda done: None)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_9_takes_nothing_or_all(folder, small):
    for writes in (1, 2, 5, 9, 1 << 30):
        command = [sys.executable, "-c", KILLED, str(REPO), str(folder), str(SAMPLE), str(writes)]
        assert subprocess.run(command, timeout=60, check=False).returncode == -9
        whole = writes == 1 << 30
        assert bool(rows(folder, "processes", "log")["log"]) == whole
        if not whole:
            assert not any(rows(folder).values())
    assert len(rows(folder, "log")["log"]) == len(of("message", records(small)))
