"""Export and import, deleting, verifying, and the environment a process was born with."""

from __future__ import annotations

import asyncio
import json
import zlib

import pytest
from eventually import in_loop
from local_home import database, opened

from aoshell.errors import AoError
from aoshell.nodes.local.history import records as history_records
from aoshell.nodes.local.history import transfer
from aoshell.nodes.local.log.rows import Logged, ProcessRow
from aoshell.nodes.local.processes.aliases import BUILT_IN
from aoshell.nodes.served import Span
from aoshell.sandbox import environment


@pytest.fixture
def elsewhere(tmp_path, signer):
    """Another node of the same user."""
    return lambda: opened(tmp_path / "other", signer)


async def lived(local):
    """A process with an example of each thing that a log can hold."""
    module = await local.node.upload(b"Born = 'of a module'", "made")
    pid = await local.spawn("Born = 'of a module'", name="traveller")
    await local.eval(pid, "Count = 1 Text = 'é\\255\\0'")
    await local.eval(pid, "error('on purpose')")
    await local.eval(pid, "Count = Count + 1 Send({Target = ao.id, Data = 'to myself'})")
    await local.eval(pid, 'Send({Target = "nobody", Data = "lost"})')
    assert module.id == (await local.node.find(pid)).module
    return pid


def packed(*records, zeros=0):
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    return transfer.MAGIC + zlib.compress(lines + bytes(zeros))


@in_loop
async def test_what_is_exported_can_be_imported_however_well_it_packs(opening, monkeypatch):
    async with opening() as local:
        pid = await lived(local)
        await local.eval(pid, f"Long = [[{'x' * 4_000_000}]] return Long")
        monkeypatch.setattr(history_records, "LITTLE", 1 << 20)
        data = await local.node.export(pid)
        assert len(data) > 80_000  # of 8 MB, more than a hundredth
        await local.node.delete(pid)
        assert (await local.node.restore(data)).id == pid
        assert await local.value(pid, "return #Long") == "4000000"


@in_loop
@pytest.mark.parametrize("bound", ["LARGEST", "LONGEST"])
async def test_what_could_not_be_imported_is_not_exported(opening, monkeypatch, bound):
    """Nor is it undone, as the copy would be useless."""
    async with opening() as local:
        pid = await lived(local)
        await local.eval(pid, f"Long = [[{'x' * 2_000_000}]]")
        slots = await local.node.slots(pid)
        monkeypatch.setattr(transfer, bound, 1 << 20)
        for verb in (local.node.export(pid), local.node.workbench.undo(pid, slots - 1)):
            with pytest.raises(AoError, match="traveller is too large for a file") as raised:
                await verb
            assert raised.value.stage == "export"
        assert await local.node.slots(pid) == slots
        monkeypatch.undo()
        assert await local.value(pid, "return #Long") == "2000000"


@in_loop
@pytest.mark.parametrize(
    ("bound", "value", "why"),
    [
        ("LITTLE", 1 << 20, "its bytes unpack to more than 1 MB"),
        ("LONGEST", 1 << 20, "its bytes have a line of more than 1 MB"),
        ("RECORD", 64 << 20, "its records take more than 128 MB"),
    ],
)
async def test_a_little_file_unpacks_to_a_bounded_size(opening, monkeypatch, bound, value, why):
    async with opening() as local:
        pid = await lived(local)
        data = await local.node.export(pid)
        await local.node.delete(pid)
        monkeypatch.setattr(history_records if bound == "LITTLE" else transfer, bound, value)
        end = packed(zeros=3 << 20) if bound != "RECORD" else data
        with pytest.raises(AoError, match=why) as raised:
            await local.node.restore(end)
        assert raised.value.stage == "import"
        monkeypatch.undo()
        await local.node.restore(data)


@in_loop
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 500 + "]" * 500, "nested deeper than 128 levels"),
        ('{"process": ' + "9" * 200 + "}", "a number of more than 100 digits"),
        ("[" + "[]," * 2_500_000 + "1]", "4,000,000 brackets, commas and colons"),
    ],
)
async def test_a_record_is_parsed_under_bounds(opening, text, why):
    async with opening() as local:
        with pytest.raises(AoError, match=why):
            await local.node.restore(transfer.MAGIC + zlib.compress(text.encode() + b"\n"))


@in_loop
async def test_what_breaks_off_or_goes_on_is_damaged(opening):
    async with opening() as local:
        pid = await lived(local)
        data = await local.node.export(pid)
        await local.node.delete(pid)
        for bad in (data[:-1], data[: len(data) // 2], data + b"x", transfer.MAGIC):
            with pytest.raises(AoError, match="is damaged"):
                await local.node.restore(bad)
        await local.node.restore(data)


def told(entries):
    return [(e.message, e.result) for e in entries]


@in_loop
async def test_a_process_goes_round_and_goes_on(opening, elsewhere):
    async with opening() as local:
        pid = await lived(local)
        data = await local.node.export(pid)
        before = told(await local.entries(pid))
    async with elsewhere() as other:
        info = await other.node.restore(data)
        assert (info.id, info.name, info.slots, info.computed) == (
            pid,
            "traveller",
            len(before),
            len(before),
        )
        assert told(await other.entries(pid)) == before
        assert await other.node.verify_log(pid) == []
        assert await other.value(pid, "Count .. Born .. #Errors .. #Text") == "2of a module14"
        assert (await other.node.fetch(info.module)).data == b"Born = 'of a module'"
        again = await other.node.export(pid)
    async with elsewhere() as other:
        assert told(await other.entries(pid))[:-1] == before
        assert again.startswith(transfer.MAGIC)


@in_loop
async def test_a_process_of_the_prompt_is_written_as_earlier_versions_read_it(opening):
    async with opening() as local:
        data = await local.node.export(await lived(local))
    records = [
        json.loads(line) for line in zlib.decompress(data[len(transfer.MAGIC) :]).splitlines()
    ]
    made = {*records[0]["process"]}, {*next(r for r in records if "message" in r)["message"]}
    assert not made[0] & {*ProcessRow._field_defaults}
    assert not made[1] & {*Logged._field_defaults}


@in_loop
async def test_a_process_of_a_client_goes_round(opening, elsewhere):
    async with opening() as local:
        item = local.definition(next(iter(BUILT_IN)), Authority="A" * 43, Name="client")
        pid = (await local.node.network.submit(item, client="http")).process
        await local.eval(pid, "Send({Target = ao.id, Action = 'Ping'})")
        before = await local.node.network.schedule_page(pid, Span(), 10)
        told_before, was = told(await local.entries(pid)), await local.node.find(pid)
        data = await local.node.export(pid)
    async with elsewhere() as other:
        info = await other.node.restore(data)
        assert (info.alias, info.authority, info.monitored) == (
            *(was.alias, was.authority, was.monitored),
        )
        found = told(await other.entries(pid))
        assert [result for _message, result in found] == [
            result for _message, result in told_before
        ]
        after = await other.node.network.schedule_page(pid, Span(), 10)
        assert [e.assignment for e in after.entries] == [e.assignment for e in before.entries]
        assert [e.stored.client for e in after.entries] == [e.stored.client for e in before.entries]
        assert await other.node.verify_log(pid) == []


@in_loop
async def test_an_imported_process_goes_on_trusting_whom_it_has_trusted(opening, elsewhere):
    """The address of its first node is the owner of what is pushed to it, here too."""
    async with opening() as local:
        pid = await local.spawn(name="moved")
        ping = "Handlers.add('Ping', 'Ping', function(m) From = ao.isTrusted(m) end)"
        await local.eval(pid, ping)
        data, there = await local.node.export(pid), local.address
    async with elsewhere() as other:
        assert other.address != there
        info = await other.node.restore(data)
        assert info.authority == there
        await other.eval(pid, "Send({Target = ao.id, Action = 'Ping'})")
        assert await other.value(pid, "tostring(From)") == "true"
        again = await other.node.export(pid)
    async with opening() as local:
        await local.node.delete(pid)
        assert (await local.node.restore(again)).authority == ""


@in_loop
async def test_signed_bytes_of_a_file_that_are_none_stop_nobody(opening, elsewhere):
    """The file may come from anybody; readers of the whole log read this process, too."""
    async with opening() as local:
        data = await local.node.export(pid := await lived(local))
    bad = rewritten(data, spoil("message", "signed", "AAAA"))
    bad = rewritten(bad, spoil("message", "form", "httpsig"))
    bad = rewritten(bad, spoil("message", "assigned", "AAAA"))
    bad = rewritten(bad, spoil("message", "assignment", "a" * 43))
    async with elsewhere() as other:
        await other.node.restore(bad)
        page = await other.node.network.schedule_page(pid, Span(), 100)
        assert page.entries[0].stored.signed is None and page.entries[0].assignment.verify()
        assert page.entries[1].stored.signed.verify()
        assert len((await other.node.network.stored_behind(0, 100)).entries) > 3


@in_loop
async def test_what_was_pending_when_exported_is_computed_when_imported(opening, elsewhere):
    async with opening() as local:
        pid = await local.spawn()
        await local.post(pid, "local n = 0 for i = 1, 3e6 do n = n + i end Done = 1", Action="Eval")
        last = await local.post(pid, "Done = Done + 1", Action="Eval")
        data = await local.node.export(pid)  # nothing was awaited: neither has begun
    async with elsewhere() as other:
        info = await other.node.restore(data)
        assert (info.slots, info.computed) == (3, 1)
        assert (await other.node.result(pid, last.slot)).ok
        await other.node.settled(last.id)
        assert await other.value(pid, "Done") == "2"


@in_loop
async def test_importing_twice_is_refused(opening):
    async with opening() as local:
        pid = await lived(local)
        data = await local.node.export(pid)
        running = await local.post(pid, "Count = Count + 1", Action="Eval")
        with pytest.raises(AoError, match="already") as raised:
            await local.node.restore(data)
        assert ".delete" in raised.value.hint
        assert (await local.node.result(pid, running.slot)).ok
        await local.node.delete(pid)
        await local.node.restore(data)
        assert await local.value(pid, "Count") == "2"


@in_loop
async def test_a_name_that_is_taken_is_refused_where_that_is_asked(opening, elsewhere):
    """Two processes with one name can be found by their ids only."""
    async with opening() as local:
        pid = await lived(local)
        data = await local.node.export(pid)
    async with elsewhere() as other:
        own = await other.spawn(name="traveller")
        with pytest.raises(AoError, match="called traveller is on this node already") as raised:
            await other.node.restore(data, unique=True)
        assert ".import FILE as NAME" in raised.value.hint
        assert [info.id for info in await other.node.processes()] == [own]
        with pytest.raises(AoError, match="called traveller"):
            await other.node.restore(data, "traveller", unique=True)
        info = await other.node.restore(data, "visitor", unique=True)
        assert (info.id, info.name) == (pid, "visitor")
        assert (await other.node.find("traveller")).id == own
        assert await other.node.verify_log(pid) == []


@in_loop
async def test_a_process_without_a_name_takes_none(opening, elsewhere):
    async with opening() as local:
        pid = await lived(local)
        data = rewritten(await local.node.export(pid), spoil("process", "name", ""))
    async with elsewhere() as other:
        await other.spawn()
        assert (await other.node.restore(data, unique=True)).name == ""


def rewritten(data, change):
    """An export with its records changed: a file that somebody made by hand."""
    records = [
        json.loads(line) for line in zlib.decompress(data[len(transfer.MAGIC) :]).splitlines()
    ]
    change(records)
    return transfer.MAGIC + zlib.compress(b"".join(json.dumps(r).encode() + b"\n" for r in records))


def spoil(part, key, value):
    def change(records):
        record = next(r for r in records if part in r)
        record[part][key] = value

    return change


@in_loop
async def test_delete_forgets_a_process_and_nothing_else(opening, folder):
    async with opening() as local:
        pid, other = await lived(local), await local.spawn(name="stays")
        await local.eval(other, "Kept = 1")
        running = await local.post(pid, "while true do end", Action="Eval")
        waiting = asyncio.ensure_future(local.node.result(pid, running.slot))
        busy = await local.post(other, "Kept = Kept + 1", Action="Eval")
        await asyncio.sleep(0)
        await local.node.delete(pid)
        with pytest.raises(AoError):
            await waiting
        await asyncio.wait_for(local.node.settled(running.id), 60)
        assert (await local.node.result(other, busy.slot)).ok
        assert [info.name for info in await local.node.processes()] == ["stays"]
        assert await local.reasons() == []
        for call in (local.node.export(pid), local.node.delete(pid), local.node.verify_log(pid)):
            with pytest.raises(AoError, match="no process"):
                await call
        await local.eval(other, f'Send({{Target = "{pid}", Data = "x"}})')
        assert len(await local.reasons()) == 1
        assert await local.value(other, "Kept") == "2"
    db = database(folder)
    assert db.execute("SELECT count(*) FROM log WHERE process = 1").fetchone() == (0,)
    assert db.execute(
        "SELECT count(*) FROM results WHERE seq NOT IN (SELECT seq FROM log)"
    ).fetchone() == (0,)
    db.close()


# Verifying --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "part"),
    [
        ("outcome", "error", "was error, is ok"),
        ("body", b'[false,"forged","",false,0,0,0]', "output was 'forged'"),
    ],
)
@in_loop
async def test_a_tampered_result_is_found_and_its_slot_named(opening, folder, column, value, part):
    async with opening() as local:
        pid = await lived(local)
        assert await local.node.verify_log(pid) == []
        await local.eval(pid, "Count")
    db = database(folder)
    db.execute(
        f"UPDATE results SET {column} = ? WHERE seq = (SELECT seq FROM log WHERE slot = 3)",
        (value,),
    )
    db.close()
    async with opening() as local:
        found = await local.node.verify_log(pid)
        assert found and found[0].startswith("slot 3: ") and part in found[0]


@in_loop
async def test_a_tampered_message_is_found(opening, folder):
    async with opening() as local:
        pid = await local.spawn()
        await local.eval(pid, "Count = 1")
        await local.eval(pid, "Count")
    db = database(folder)
    db.execute(
        "UPDATE log SET body = CAST(replace(body, 'Count = 1', 'Count = 9') AS BLOB) WHERE slot = 1"
    )
    db.close()
    async with opening() as local:
        found = await local.node.verify_log(pid)
        assert [line.partition(":")[0] for line in found] == ["slot 2"]


# The environment --------------------------------------------------------------------------------


@in_loop
async def test_a_process_keeps_the_environment_it_was_born_with(opening, folder, elsewhere):
    older = environment.read_sources()
    older[".utils"] += "\n"
    older[".process"] = older[".process"].replace('_version = "2.0.4"', '_version = "1.9.9"')
    data = environment.pack(older)
    async with opening() as local:
        new, old = await local.spawn(), await local.spawn()
        builtin = local.engine.modules.environment
        local.engine.store.add_module(environment.module_id(data), "environment", data, "", 0)
        await local.node.upload(b"-- code", "code")
    db = database(folder)
    db.execute(
        "UPDATE processes SET environment = ?, module = ? WHERE id = ?",
        (environment.module_id(data), environment.module_id(data), old),
    )
    db.close()
    async with opening() as local:
        assert "2.0.4" in (await local.eval(new, "1")).prompt
        assert "1.9.9" in (await local.eval(old, "Mine = 1")).prompt
        assert local.engine.modules.environment == builtin
        packed = await local.node.export(old)
    async with opening() as local:
        assert "1.9.9" in (await local.eval(old, "Mine = Mine + 1")).prompt
        assert await local.value(old, "Mine") == "2"
    async with elsewhere() as other:
        await other.node.restore(packed)
        assert "1.9.9" in (await other.eval(old, "Mine = Mine + 1")).prompt
