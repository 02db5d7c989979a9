"""What processes send to others: delivered, held, assigned, or kept with its reason."""

from __future__ import annotations

import hashlib

import pytest
from eventually import in_loop
from local_home import NOBODY, SHOW, next_event, plain

from aoshell.nodes.local.log import form
from aoshell.nodes.values import Limits
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Tag

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


@in_loop
async def test_each_delivery_has_its_place_and_a_spawn_has_two(opening):
    """Ids are made from places: another count would give the same log other ids."""
    async with opening() as local:
        pid = await local.spawn()
        result = await local.eval(
            pid,
            f'Send({{Target = ao.id, Data = "0"}}) Send({{Target = "{NOBODY}"}}) '
            f'Spawn("{NOBODY}", {{}}) Spawn("aos", {{}}) '
            f'Send({{Target = "{local.wallet.address}"}}) '
            'Send({device = "patch@1.0", n = "1"}) Send({Target = ao.id, Data = "last"})',
        )
        assert result.ok
        store = local.engine.store
        cause = next(row for row, _ in store.entries(1) if row.slot == 1)
        sent = {row.idx: form.load_wire(row.body) for row, _ in list(store.tree(cause.seq, 99))[1:]}
        kept = [kept.idx for _, _, kept in store.kept() if kept.cause == cause.seq]
        # 2 has reached its wallet, 3 is applied to the state; a spawn is followed by its answer.
        assert (sorted(sent), kept) == ([0, 4, 6, 7, 8], [1, 5])
        for at, wire in sent.items():
            target = "" if at == 7 else pid  # whom a definition is for, its id says
            named = [pid, 1, 0, at, target, wire[form.DATA], wire[form.ANCHOR], wire[form.TAGS :]]
            assert wire[form.ID] == b64url(hashlib.sha256(form.dump_wire(named)).digest())
