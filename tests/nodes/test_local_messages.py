"""Slots, senders, settling, and ids."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from eventually import in_loop
from local_home import NOBODY, SHOW, plain

from aoshell.errors import AoError
from aoshell.protocol.encoding import b64url

# Slots and assignments --------------------------------------------------------------------------


@in_loop
async def test_slot_0_is_the_definition_and_opens_the_inbox(opening):
    async with opening() as local:
        receipt = await local.node.spawn(local.definition(Name="first"), "mine")
        assert (receipt.slot, receipt.id) == (0, receipt.process)
        result = await local.node.result(receipt.process, 0)
        assert "first@aos-" in plain(result.prompt) and plain(result.prompt).endswith("[Inbox:1]> ")
        assert await local.value(receipt.process, "Inbox[1].Id") == receipt.id
        assert await local.node.slots(receipt.process) == 2
        [info] = await local.node.processes()
        assert (info.name, info.owner, info.slots) == ("mine", local.wallet.address, 2)


@in_loop
async def test_slots_are_numbered_without_gaps_and_results_paged(opening):
    async with opening() as local:
        pid = await local.spawn()
        receipts = [await local.post(pid, f"{n}", Action="Eval") for n in range(1, 30)]
        assert [receipt.slot for receipt in receipts] == list(range(1, 30))
        await local.node.result(pid, 29)
        pages, after = [], -1
        while page := await local.node.results(pid, after, 7):
            pages.append([entry.result.slot for entry in page])
            after = pages[-1][-1]
        assert [slot for page in pages for slot in page] == list(range(30))
        assert {len(page) for page in pages[:-1]} == {7}
        messages = await local.node.schedule(pid, 3, 5)
        assert [(m.assignment.slot, m.data) for m in messages] == [(3, b"3"), (4, b"4"), (5, b"5")]


@in_loop
async def test_a_slot_that_is_not_scheduled_is_an_error(opening):
    async with opening() as local:
        pid = await local.spawn()
        for slot in (1, 99, -1):
            with pytest.raises(AoError, match=f"no slot {slot}"):
                await local.node.result(pid, slot)
        for call in (local.node.result(NOBODY, 0), local.node.slots(NOBODY)):
            with pytest.raises(AoError, match="no process"):
                await call


@in_loop
async def test_time_never_runs_backwards_in_a_log(opening, monkeypatch):
    times = itertools.chain(
        [5_000_000_000_000, 5_000_000_000_500], itertools.repeat(1_600_000_000_000)
    )
    async with opening() as local:
        monkeypatch.setattr(local.engine.scheduler, "_clock", lambda: next(times))
        pid = await local.spawn()
        for _ in range(3):
            await local.eval(pid, "os.time()")
        placed = [message.assignment for message in await local.messages(pid)]
        assert [a.timestamp for a in placed] == [5_000_000_000_000] + [5_000_000_000_500] * 3
        heights = [a.block_height for a in placed]
        assert heights == sorted(heights) and heights[0] > 2_000_000
        assert await local.value(pid, "os.time()") == "5000000000500"
        assert await local.value(pid, "math.type(Inbox[1].Timestamp)") == "integer"


@in_loop
async def test_the_hash_chain_links_each_message_to_the_one_before(opening):
    async with opening() as local:
        pid = await local.spawn()
        await local.eval(pid, "1")
        await local.eval(pid, "2")
        link = ""
        for message in await local.messages(pid):
            link = b64url(hashlib.sha256((link + message.id).encode()).digest())
            assert message.assignment.hash_chain == link


# Who says what ----------------------------------------------------------------------------------


@in_loop
async def test_a_message_of_the_wallet_is_from_the_wallet(opening):
    async with opening() as local:
        pid = await local.spawn(SHOW)
        await local.send(pid, Action="Show", From=NOBODY, Owner=NOBODY)
        me = local.wallet.address
        seen = 'table.concat({Seen.from, Seen.owner, Seen.from_tag, Seen.owner_tag}, " ")'
        assert await local.value(pid, seen) == f"{me} {me} none none"
        [shown] = [m for m in await local.messages(pid) if m.tag("Action") == "Show"]
        assert not [tag for tag in shown.tags if tag.name in ("From", "Owner")]


@in_loop
async def test_a_wallet_that_forges_from_process_is_not_trusted(opening):
    async with opening() as local:
        pid = await local.spawn(SHOW)
        other = await local.spawn()
        result = await local.send(pid, Action="Show", From_Process=other)
        assert "Message is not trusted! From: " + other in plain(result.output)
        assert await local.value(pid, "Seen.from") == ""


@in_loop
async def test_a_pushed_message_tells_the_truth_whatever_its_sender_wrote(opening):
    async with opening() as local:
        a, b = await local.spawn(), await local.spawn(SHOW)
        lies = ", ".join(
            f'["{name}"] = "{NOBODY}"'
            for name in (
                "From-Process",
                "From-Module",
                "Pushed-For",
                "Assignments",
                "Owner",
                "Type",
            )
        )
        line = local.item(
            a, f'Send({{Target = "{b}", Action = "Show", Tags = {{ {lies} }}}})', Action="Eval"
        )
        await local.node.send(a, line)
        await local.node.settled(line.id)
        message = (await local.messages(b))[-1]
        assert (message.from_, message.owner) == (a, local.address)
        assert message.pushed_for == line.id
        values = {
            name: [t.value for t in message.tags if t.name == name]
            for name in (
                "From-Process",
                "From-Module",
                "Pushed-For",
                "Assignments",
                "Owner",
                "Type",
            )
        }
        module = (await local.node.find(a)).module
        assert values == {
            "From-Process": [a],
            "From-Module": [module],
            "Pushed-For": [line.id],
            "Assignments": [],
            "Owner": [],
            "Type": ["Message"],
        }
        seen = 'table.concat({Seen.from, Seen.owner, Seen.pushed, Seen.of}, " ")'
        assert await local.value(b, seen) == f"{a} {local.address} {line.id} {a}"


@in_loop
async def test_pushed_for_is_the_root_all_the_way_down(opening):
    async with opening() as local:
        last = await local.spawn(SHOW)
        forward = (
            'Handlers.add("Show", "Show", function() Send({Target = "%s", Action = "Show"}) end)'
        )
        second = await local.spawn(forward % last)
        first = await local.spawn(forward % second)
        line = local.item(first, Action="Show")
        await local.node.send(first, line)
        await local.node.settled(line.id)
        assert (await local.messages(last))[-1].pushed_for == line.id
        assert (await local.messages(last))[-1].from_ == second


# Settling ---------------------------------------------------------------------------------------


@in_loop
async def test_settled_waits_for_everything_a_line_caused_and_nothing_else(opening):
    async with opening() as local:
        last = await local.spawn('Handlers.add("Go", "Go", function() Done = true end)')
        chain = [last]
        for _ in range(5):
            send = f'Send({{Target = "{chain[-1]}", Action = "Go"}})'
            code = f'Handlers.add("Go", "Go", function() {send} end)'
            chain.append(await local.spawn(code))
        busy = await local.spawn()
        long = await local.post(busy, "while true do end", Action="Eval")
        await local.send(chain[-1], Action="Go")
        entry = (await local.entries(last))[-1]
        assert entry.message.tag("Action") == "Go" and entry.result.ok
        await local.node.settled(NOBODY)  # nothing known: nothing to wait for
        while not await local.node.cancel(busy, long.slot):
            pass
        assert (await local.node.result(busy, long.slot)).outcome == "time"


@in_loop
async def test_settled_knows_the_messages_of_an_earlier_run(opening):
    async with opening() as local:
        a = await local.spawn(
            'Handlers.add("Go", "Go", function() '
            "local n = 0 for i = 1, 3e7 do n = n + i end Done = true end)"
        )
        line = local.item(a, 'Send({Target = ao.id, Action = "Go"})', Action="Eval")
        receipt = await local.node.send(a, line)
        await local.node.result(a, receipt.slot)
    async with opening() as local:
        await local.node.settled(line.id)
        [go] = [e for e in await local.entries(a) if e.message.tag("Action") == "Go"]
        assert go.result.ok


# Ids --------------------------------------------------------------------------------------------


@in_loop
async def test_a_message_for_somebody_else_sent_here_is_no_message_for_us(opening):
    async with opening() as local:
        a, b = await local.spawn(SHOW), await local.spawn(SHOW)
        await local.node.send(a, local.item(b, Action="Show"))
        result = await local.node.result(a, 1)
        assert "Assignment is not trusted!" in plain(result.output)


@in_loop
async def test_ids_of_pushed_messages_follow_from_what_they_are(opening):
    async with opening() as local:
        a, b = await local.spawn(), await local.spawn()
        same = f'Send({{Target = "{b}", Data = "x"}}) Send({{Target = "{b}", Data = "x"}})'
        await local.eval(a, same)
        ids = {message.id for message in await local.messages(b)}
        assert len(ids) == 3


@in_loop
async def test_find_by_name_id_and_beginning(opening):
    async with opening() as local:
        pid = await local.spawn(name="one")
        other = await local.spawn(name="two")
        for reference in ("one", pid, pid[:8]):
            assert (await local.node.find(reference)).id == pid
        with pytest.raises(AoError, match="no process 'three'"):
            await local.node.find("three")
        await local.spawn(name="two")
        with pytest.raises(AoError, match="2 processes answer to 'two'") as raised:
            await local.node.find("two")
        assert other in raised.value.hint


@in_loop
async def test_wire_text_survives_whatever_bytes_it_has(opening):
    async with opening() as local:
        a, b = await local.spawn(), await local.spawn()
        await local.eval(a, f'Send({{Target = "{b}", Data = "\\255\\0é", Odd = "\\254é"}})')
        message = (await local.messages(b))[-1]
        assert message.data == b"\xff\x00\xc3\xa9"
        assert message.tag("Odd").encode("utf-8", "surrogateescape") == b"\xfe\xc3\xa9"
        assert await local.value(b, "#Inbox[2].Data .. ':' .. Inbox[2].Tags.Odd:byte(1)") == "4:254"


@in_loop
async def test_a_name_of_any_bytes_is_a_name(opening):
    async with opening() as local:
        pid = await local.spawn()
        await local.eval(pid, 'Child = spawn(ao.env.Module.Id, {Name = "odd \\255"})')
        info = await local.node.find(await local.value(pid, "Child"))
        assert info.name == "odd \ufffd"
