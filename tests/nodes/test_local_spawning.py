"""Processes that processes spawn, and what their modules are."""

from __future__ import annotations

import pytest
from eventually import in_loop
from local_home import NOBODY, next_event, plain, tags

from aoshell.errors import AoError

ECHO = """
Handlers.add("Echo", "Echo", function(msg)
  ao.send({Target = msg.From, Data = msg.Data, Action = "Echoed"})
end)
"""


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
