"""Slots, assignments, who says what, and what becomes of an outbox."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from local_home import NOBODY, in_loop, next_event, plain, tags

from aoshell.errors import AoError
from aoshell.nodes.values import Limits
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Tag

ECHO = """
Handlers.add("Echo", "Echo", function(msg)
  ao.send({Target = msg.From, Data = msg.Data, Action = "Echoed"})
end)
"""
SHOW = """
Seen = {}
Handlers.add("Show", function(msg) return msg.Action == "Show" end, function(msg)
  Seen = { from = msg.From, owner = msg.Owner, pushed = msg["Pushed-For"] or "none",
    of = msg.Tags["From-Process"] or "none", from_tag = msg.Tags.From or "none",
    owner_tag = msg.Tags.Owner or "none" }
end)
"""


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


# Spawning ---------------------------------------------------------------------------------------


@in_loop
async def test_spawn_answers_with_a_child_that_trusts_its_parent(opening):
    async with opening() as local:
        module = await local.node.upload(ECHO.encode(), "echo")
        pid = await local.spawn()
        line = await local.eval(pid, f'Child = spawn("{module.id}", {{Name = "kid"}})')
        assert line.suspended
        spawned = (await local.messages(pid))[-1]
        [later] = [e for e in await local.entries(pid) if e.result.resumed]
        assert later.message == spawned
        child = await local.value(pid, "Child")
        assert (spawned.from_, spawned.owner) == (pid, local.address)
        assert spawned.tags[-2:] == tags(Process=child, Action="Spawned")
        assert (spawned.tag("Name"), spawned.tag("Module")) == ("kid", module.id)
        assert spawned.tag("Authority") == local.address
        definition = (await local.messages(child))[0]
        assert definition.id == child == definition.target
        assert (definition.from_, definition.owner) == (pid, local.address)
        info = await local.node.find(child)
        assert (info.owner, info.name, info.module) == (pid, "kid", module.id)
        await local.eval(pid, 'Send({Target = Child, Action = "Echo", Data = "hello"})')
        assert await local.value(pid, "Inbox[#Inbox].Data") == "hello"


@in_loop
async def test_the_wallet_does_not_own_a_child(opening):
    async with opening() as local:
        pid = await local.spawn()
        await local.eval(pid, "Child = spawn(ao.env.Module.Id)")
        child = await local.value(pid, "Child")
        assert (await local.eval(child, "Mine = 1")).output  # it lands in the Inbox
        await local.eval(pid, 'Send({Target = Child, Action = "Eval", Data = "Mine = Mine or 2"})')
        await local.eval(
            pid,
            'Send({Target = Child, Action = "Eval", '
            'Data = [[Send({Target = Owner, Data = "" .. Mine})]]})',
        )
        assert await local.value(pid, "Inbox[#Inbox].Data") == "2"


@in_loop
async def test_plain_spawn_adds_no_authority_so_the_child_refuses(opening):
    async with opening() as local:
        module = await local.node.upload(ECHO.encode())
        pid = await local.spawn()
        await local.eval(pid, f'Spawn("{module.id}", {{}})')
        child = await local.value(pid, "Inbox[#Inbox].Process")
        assert (await local.messages(child))[0].tag("Authority") == ""
        await local.eval(pid, f'Send({{Target = "{child}", Action = "Echo", Data = "x"}})')
        last = (await local.entries(child))[-1]
        assert "Message is not trusted! From: " + pid in plain(last.result.output)
        assert last.result.messages == ()


@in_loop
async def test_send_to_aos_spawns(opening):
    async with opening() as local:
        module = await local.node.upload(ECHO.encode())
        pid = await local.spawn()
        code = (
            'Child = Send({Target = "AOS", Action = "Spawn", '
            f'Module = "{module.id}", Scheduler = "{NOBODY}"}})'
        )
        assert (await local.eval(pid, code)).suspended
        child = await local.value(pid, "Child")
        definition = (await local.messages(child))[0]
        assert definition.tag("Scheduler") == NOBODY
        assert definition.tag("Authority") == local.address
        assert definition.tag("Target") == definition.tag("Action") == ""


@in_loop
async def test_a_spawn_of_an_unknown_module_is_kept_and_seen(opening):
    async with opening() as local:
        pid = await local.spawn()
        events = local.node.subscribe()
        result = await local.eval(pid, 'Child = spawn("nothing-like-it")')
        assert result.suspended
        event = await next_event(events, "undelivered")
        assert "'nothing-like-it'" in event.detail
        [kept] = await local.node.undelivered(pid)
        assert (kept.slot, kept.index) == (1, 0)
        assert event.detail == f"a spawn failed: {kept.reason}"
        assert kept.message.tag("Module") == "nothing-like-it"
        assert len(await local.node.processes()) == 1


@in_loop
async def test_a_message_to_a_name_says_the_id_to_use(opening):
    async with opening() as local:
        pid = await local.spawn()
        bank, first, second = [await local.spawn(name=n) for n in ("bank", "twin", "twin")]
        for name in ("bank", "twin", "nobody", "", "x" * 5000):
            await local.eval(pid, f'Send({{Target = "{name}", Action = "Hi"}})')
        reasons = [kept.reason for kept in await local.node.undelivered(pid)]
        no_address = "the target is no address (43 characters of base64url)"
        assert reasons == [
            f"the target is a name, and must be an id: bank is {bank}",
            f"the target is a name, and must be an id: twin is {first} or {second}",
            no_address,
            "it names no Target",
            no_address,
        ]


@in_loop
async def test_modules_go_by_name(opening):
    async with opening() as local:
        module = await local.node.upload(ECHO.encode(), "echo")
        assert (
            (await local.node.fetch("echo")).id
            == module.id
            == (await local.node.fetch(module.id)).id
        )
        assert (await local.node.fetch("echo")).data == ECHO.encode()
        pid = await local.spawn()
        await local.eval(pid, 'Child = spawn("echo")')
        assert (await local.node.find(await local.value(pid, "Child"))).module == module.id
        newer = await local.node.upload(b"-- newer", "echo")
        assert (await local.node.fetch("echo")).id == newer.id
        for name, data in (("aos", b"--"), ("w", b"\0asm\1\0\0\0")):
            with pytest.raises(AoError):
                await local.node.upload(data, name)
        with pytest.raises(AoError, match="'none'"):
            await local.node.spawn(local.definition("none"))
        with pytest.raises(AoError, match="'none'"):
            await local.node.fetch("none")


@in_loop
async def test_on_boot_data_runs_the_definition(opening):
    async with opening() as local:
        item = local.definition(data=b"Ready = 6 * 7", On_Boot="Data")
        await local.node.spawn(item)
        assert await local.value(item.id, "Ready") == "42"


# Delivery ---------------------------------------------------------------------------------------


@in_loop
async def test_what_cannot_be_delivered_is_kept_with_its_reason(opening):
    async with opening() as local:
        pid = await local.spawn()
        me = local.wallet.address
        await local.eval(pid, f'Send({{Target = "{me}", Data = "to a wallet"}})')
        assert await local.reasons() == []
        lost = [
            (f'"{NOBODY}"', "no process with this id"),
            ('"short"', "no address"),
            ("nil", "no Target"),
        ]
        for target, _reason in lost:
            await local.eval(pid, f'Send({{Target = {target}, Data = "gone"}})')
        kept = await local.node.undelivered(pid)
        assert [k.slot for k in kept] == [2, 3, 4]
        for (_target, reason), item in zip(lost, kept, strict=True):
            assert reason in item.reason
            assert (item.message.data, item.message.from_) == (b"gone", pid)


@in_loop
async def test_the_networks_limits_on_tags_hold_and_are_named(opening):
    too_many = "local t = {} for i = 1, 130 do t['T' .. i] = 'x' end "
    code = {
        "128": too_many + 'Send({Target = ao.id, Tags = t, Data = "x"})',
        "1024": 'Send({Target = ao.id, [string.rep("n", 1025)] = "v"})',
        "3072": 'Send({Target = ao.id, Long = string.rep("v", 3073)})',
        "tags": 'local t = {} for i = 1, 130 do t["T" .. i] = "x" end spawn(ao.env.Module.Id, t)',
    }
    async with opening() as local:
        pid = await local.spawn()
        for text in code.values():
            assert (await local.eval(pid, text)).ok
        for limit, reason in zip(code, await local.reasons(pid), strict=True):
            assert limit in reason
        await local.eval(
            pid,
            'Send({Target = ao.id, Long = string.rep("v", 3072), [string.rep("n", 1024)] = "v"})',
        )
        assert len(await local.reasons(pid)) == 4
        await local.node.set_limits(Limits(network=False))
        before = await local.node.slots(pid)
        for text in list(code.values())[:3]:
            await local.eval(pid, text)
        assert len(await local.reasons(pid)) == 4
        assert await local.node.slots(pid) == before + 6


PONG = """
Handlers.add("Ping", "Ping", function(msg) Send({Target = msg.From, Action = "Ping"}) end)
"""


@in_loop
async def test_a_reply_loop_is_held_shown_and_let_go_by_a_higher_bound(opening):
    async with opening(pushes=200) as local:
        events = local.node.subscribe()
        a, b = await local.spawn(PONG), await local.spawn(PONG)

        async def count() -> int:
            return sum([len(await local.messages(pid)) - 1 for pid in (a, b)])

        line = local.item(a, f'Send({{Target = "{b}", Action = "Ping"}})', Action="Eval")
        await local.node.send(a, line)
        event = await next_event(events, "held")
        assert "200" in event.detail and event.root == line.id
        await local.node.settled(line.id)
        assert await count() == 201
        assert len(await local.reasons()) == 1
        await local.node.set_limits(Limits(pushes=300))
        await next_event(events, "held")
        await local.node.settled(line.id)
        assert await count() == 301
        assert len(await local.reasons()) == 1
        assert await local.node.verify_log(a) == await local.node.verify_log(b) == []


@in_loop
async def test_a_held_spawn_goes_on_as_a_whole(opening):
    async with opening(pushes=1) as local:
        pid = await local.spawn()
        result = await local.eval(
            pid, 'Send({Target = ao.id, Data = "one"}) Child = spawn(ao.env.Module.Id)'
        )
        assert result.suspended
        assert len(await local.reasons()) == 2
        await local.node.set_limits(Limits(pushes=100))
        child = await local.value(pid, "Child")
        assert (await local.messages(child))[0].id == child
        assert await local.reasons() == []


# Assignments ------------------------------------------------------------------------------------


@in_loop
async def test_an_assigned_message_reaches_those_who_take_it(opening):
    async with opening() as local:
        a, b, c = [await local.spawn(SHOW) for _ in range(3)]
        await local.eval(b, 'ao.addAssignable("shown", { Action = "Show" })')
        receipt = await local.post(a, "seen by all", Action="Show")
        await local.node.settled(receipt.id)
        await local.eval(
            a, f'Assign({{Processes = {{ "{b}", "{c}", "{NOBODY}" }}, Message = "{receipt.id}"}})'
        )
        [assigned] = [m for m in await local.messages(b) if m.id == receipt.id]
        assert (assigned.target, assigned.from_, assigned.data) == (
            a,
            local.wallet.address,
            b"seen by all",
        )
        assert assigned.assignment.process == b
        assert await local.value(b, "Seen.from") == local.wallet.address
        assert await local.value(c, "Seen.from") == ""
        refused = next(e for e in await local.entries(c) if e.message.id == receipt.id)
        assert "Assignment is not trusted!" in plain(refused.result.output)
        assert [r for r in await local.reasons() if "the process of an assignment" in r]
        await local.eval(a, f'Assign({{Processes = {{ "{b}" }}, Message = "{NOBODY}"}})')
        assert [r for r in await local.reasons() if "the message of an assignment" in r]


@in_loop
async def test_a_held_assignment_goes_to_the_process_it_is_for(opening):
    async with opening(pushes=1) as local:
        a, b = await local.spawn(SHOW), await local.spawn(SHOW)
        await local.eval(b, 'ao.addAssignable("shown", { Action = "Show" })')
        receipt = await local.post(a, Action="Show")
        await local.node.settled(receipt.id)
        code = (
            'Send({Target = ao.id, Data = "1"}) '
            f'Assign({{Processes = {{ "{b}" }}, Message = "{receipt.id}"}})'
        )
        await local.eval(a, code)
        assert len(await local.reasons()) == 1
        await local.node.set_limits(Limits(pushes=10))
        assert await local.value(b, "Seen.from") == local.wallet.address
        assert len([m for m in await local.messages(a) if m.id == receipt.id]) == 1


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


# What goes to nobody, or to several --------------------------------------------------------------


@in_loop
async def test_a_patch_is_in_the_result_and_nothing_that_was_not_delivered(opening):
    async with opening() as local:
        pid = await local.spawn()
        result = await local.eval(pid, "Send({ device = 'patch@1.0', balances = { a = '1' } })")
        [patch] = result.messages
        named = {tag.name: tag.value for tag in patch.tags}
        assert (patch.target, named["device"]) == ("", "patch@1.0")
        assert named["balances"] == '{"a":"1"}'
        assert await local.reasons() == []
        assert await local.node.now(pid, "balances/a") == "1"
        await local.eval(pid, "Send({ Data = 'to nobody' })")
        assert await local.reasons() == ["it names no Target"]


@in_loop
async def test_a_message_is_assigned_to_those_that_its_tag_names(opening):
    takes = SHOW + "\nao.addAssignable('work', { Action = 'Show' })"
    async with opening() as local:
        a, b, c = await local.spawn(SHOW), await local.spawn(takes), await local.spawn(takes)
        named = f"{{ '{b}', '{c}', '{b}' }}"
        send = f"ao.send({{ Target = ao.id, Action = 'Show', Assignments = {named} }})"
        result = await local.eval(a, send)
        assert Tag("Assignments", f'["{b}","{c}","{b}"]') in result.messages[0].tags
        ids = {(await local.messages(process))[-1].id for process in (a, b, c)}
        assert len(ids) == 1
        assert [len(await local.messages(process)) for process in (b, c)] == [2, 2]
        for process in (b, c):
            message = (await local.messages(process))[-1]
            assert (message.target, message.from_, message.tag("Action")) == (a, a, "Show")
            assert message.tag("Assignments") == ""
            assert await local.node.verify_log(process) == []
        assert await local.reasons() == []


@pytest.mark.parametrize(
    ("value", "reasons"),
    [
        ("{ NOBODY, 7, {} }", ["the process of an assignment is not on this node"]),
        ("'[1'", []),
        ("'x'", []),
        ("'[' .. (' '):rep(20000) .. ']'", []),
        ("('['):rep(9000)", []),
    ],
)
@in_loop
async def test_what_names_nobody_assigns_to_nobody(opening, value, reasons):
    async with opening() as local:
        a = await local.spawn()
        line = f"local NOBODY = '{NOBODY}' ao.send({{ Target = ao.id, Assignments = {value} }})"
        result = await local.eval(a, line)
        assert result.ok, result.error
        assert await local.reasons() == reasons
