"""What units over HTTP ask of the node: messages in, uploads, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import suppress

import pytest
from eventually import in_loop
from local_home import COUNTER, Local, opened, plain, tags
from network_home import (
    AOS,
    ECHO,
    PUBLIC,
    network,
    posted,
    spawned,
)

from aoshell.errors import AoError, UsageError
from aoshell.nodes.clients import CLIENT
from aoshell.nodes.httpitem import http_item
from aoshell.nodes.local.log.spans import find_message
from aoshell.nodes.local.processes.aliases import BUILT_IN
from aoshell.nodes.served import Span
from aoshell.nodes.values import HttpMessage, Limits, NotFoundError, Place
from aoshell.protocol import httpsig, signing
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.keys import KINDS
from aoshell.protocol.message import Tag
from aoshell.protocol.wallet import Wallet

# Messages in --------------------------------------------------------------------------------------


@pytest.fixture
def opening(folder, wallet):
    """Opens the test's node, for a user who also signs over HTTP."""
    return lambda **changed: opened(folder, wallet, Limits(**changed))


@in_loop
async def test_the_same_signed_item_is_one_slot(opening):
    async with opening() as local:
        pid = await spawned(local)
        await local.eval(pid, COUNTER)
        item = local.item(pid, Action="Add")
        first = await network(local).submit(item)
        assert await network(local).submit(item) == first
        assert await local.node.send(pid, item) == first  # a joined shell resends with this one
        assert await local.value(pid, "return N") == "1"
        definition = local.definition(AOS, Authority=PUBLIC)
        first = await network(local).submit(definition)
        assert await network(local).submit(definition) == first
        assert await local.node.spawn(definition) == first
        assert await local.node.slots(first.process) == 1
    async with opening() as local:  # nor after a start
        assert await network(local).submit(item) == await local.node.send(pid, item)
        assert await local.value(pid, "return N") == "1"


@in_loop
async def test_a_definition_does_not_replace_a_process_of_its_id(opening):
    async with opening() as local:
        definition = local.definition()
        await local.node.workbench.mock(definition.id, b"Mocked = true", "stand-in")
        with pytest.raises(AoError, match="not made by this definition"):
            await network(local).submit(definition)


@in_loop
async def test_a_target_that_is_not_here(opening):
    async with opening() as local:
        with pytest.raises(NotFoundError, match="no process"):
            await posted(local, PUBLIC)
        with pytest.raises(AoError, match="no module"):
            await network(local).submit(local.definition("Y" * 43))


@in_loop
async def test_who_handed_it_in_is_a_column(opening):
    async with opening() as local:
        pid = await spawned(local)
        token = CLIENT.set("shell 2")
        await local.node.send(pid, local.item(pid, "return 1", Action="Eval"))
        CLIENT.reset(token)
        await local.eval(pid, "return 2")
        page = await network(local).page(pid, Span(), 10)
        assert [entry.message.assignment.client for entry in page.entries] == [
            "http",
            "shell 2",
            "",
        ]
        assert not [
            tag for entry in page.entries for tag in entry.message.tags if "http" in tag.value
        ]


def http_message(wallet: Wallet, target: str, **fields: str) -> HttpMessage:
    headers, body = signing.sign(wallet, {"target": target, **fields})
    return HttpMessage("", tuple(headers), body)


@in_loop
async def test_an_httpsig_message_is_scheduled_as_it_came(opening, wallet):
    async with opening() as local:
        pid = await spawned(local)
        fields = {"action": "Eval", "data": "return 6 * 7", "x-long-name": "v"}
        sent = http_message(wallet, pid, **fields)
        checked = httpsig.check(sent.headers, sent.body)
        item = http_item(sent, checked)
        assert item.owner_address == wallet.address
        receipt = await network(local).submit(item)
        assert await network(local).submit(item) == receipt
        assert plain((await local.node.result(pid, receipt.slot)).output) == "42"
        stored = await network(local).item(item.id)
        assert [tag for tag in stored.message.tags if tag.name.startswith("X")] == [
            Tag("X-Long-Name", "v")
        ]
        assert stored.message.tag("Action") == "Eval"
        assert (stored.signed.headers, stored.signed.body) == (sent.headers, sent.body)
        again = httpsig.check(stored.signed.headers, stored.signed.body)
        assert again.outcome is httpsig.SignatureStatus.VERIFIED
        assert await local.node.verify_log(pid) == []


@in_loop
async def test_items_that_others_have_signed(opening, shared):
    """By arbundles with four kinds of keys, and by ao-core-libs as httpsig."""
    kinds = json.loads((shared / "vectors/serve/signature-types.json").read_text())["items"]
    raws = [base64.b64decode(each["raw"]) for each in kinds.values() if each["ok"]]
    items = [DataItem.parse(raw) for raw in raws if raw[0] in KINDS]
    recorded = json.loads((shared / "vectors/serve/httpsig-requests.json").read_text())
    posts = [each for each in recorded if each["expect"] == "verified" and each["method"] == "POST"]
    assert len(items) >= 3 and posts
    async with opening() as local:
        for item in items:
            await _stood_in_for(local, item.target)
            receipt = await network(local).submit(item)
            entry = await network(local).entry(item.target, receipt.id)
            assert (entry.message.owner, entry.message.id) == (item.owner_address, item.id)
            assert find_message(local.node._engine.store, item.id).signed == item.raw
            assert (await network(local).item(item.id)).signed is None, "it is for a stand-in"
        for post in posts:
            headers, body = tuple(post["headers"].items()), (post["body"] or "").encode()
            item = http_item(HttpMessage("", headers, body), httpsig.check(headers, body))
            await _stood_in_for(local, item.target)
            receipt = await network(local).submit(item)
            message = (await network(local).entry(receipt.process, receipt.id)).message
            assert (message.tag("Action"), message.tag("Data-Protocol")) == ("Eval", "ao")
            assert message.data == b"2+3" and message.owner == item.owner_address


@in_loop
async def test_a_definition_by_httpsig_makes_a_process(opening, wallet):
    async with opening() as local:
        fields = {"type": "Process", "module": AOS, "authority": PUBLIC, "name": "by-http"}
        headers, body = signing.sign(wallet, fields)
        item = http_item(HttpMessage("", tuple(headers), body), httpsig.check(headers, body))
        receipt = await network(local).submit(item, client="hyper")
        assert await network(local).submit(item) == receipt and receipt.process == item.id
        info = await local.node.find("by-http")
        assert (info.id, info.owner, info.authority) == (item.id, wallet.address, PUBLIC)
        assert await local.value(info.id, "return Owner") == wallet.address


async def _stood_in_for(local: Local, process: str) -> None:
    with suppress(UsageError):  # there is one already
        await local.node.workbench.mock(process, ECHO.encode(), process[:8])


def test_nobody_has_signed_it():
    sent = HttpMessage("", (("action", "Eval"),), b"")
    with pytest.raises(AoError, match="nobody has signed"):
        http_item(sent, httpsig.check(sent.headers, sent.body))


# Modules ------------------------------------------------------------------------------------------


@in_loop
@pytest.mark.parametrize("module", BUILT_IN)
async def test_the_ids_of_aos_name_the_built_in_environment(opening, module):
    async with opening() as local:
        pid = await spawned(local, module=module)
        assert await local.value(pid, "return ao.env.Module.Id") == module
        await local.eval(pid, "Send({Target = ao.id, Action = 'Ping'})")
        assert (await local.entries(pid))[-1].message.tag("From-Module") == module
        assert (await local.node.find(pid)).alias == module
        with pytest.raises(AoError, match="no module"):
            await local.node.spawn(local.definition(module))


@in_loop
async def test_an_uploaded_module_has_the_id_of_its_item(opening, wallet):
    async with opening() as local:
        pairs = tags(
            Data_Protocol="ao", Type="Module", Module_Format="lua", Content_Type="text/lua"
        )
        item = DataItem.sign(wallet, tags=pairs, data=b"Made = 'of it'")
        await network(local).keep(item, client="http")
        await network(local).keep(item)
        pid = await spawned(local, module=item.id)
        assert await local.value(pid, "return Made .. ao.env.Module.Id") == f"of it{item.id}"
        module = await network(local).module(item.id)
        assert (module.id, module.data) == (item.id, item.data)
        stored = await network(local).item(item.id)
        assert (stored.signed.raw, stored.process, stored.client) == (item.raw, "", "http")
        named = {each.id: each for each in network(local).modules()}
        assert set(named) == {item.id, *BUILT_IN}
        assert named[item.id].tags == item.tags
        assert Tag("Input-Encoding", "JSON-V1") in named[AOS].tags
        bad = DataItem.sign(wallet, tags=pairs, data=b"\0asm but no module")
        with pytest.raises(AoError, match="the version is not 1"):
            await network(local).keep(bad)
        assert await network(local).item(bad.id) is None
    async with opening() as local:
        assert await local.value(pid, "return Made") == "of it"


@in_loop
async def test_what_is_uploaded_under_an_id_of_aos_goes_before_the_built_in_one(opening):
    async with opening() as local:
        await local.node.upload(b"Real = true", AOS)  # as a fetched module is named
        pid = await spawned(local)
        assert await local.value(pid, "return tostring(Real)") == "true"


# What clients may ask and name --------------------------------------------------------------------


@in_loop
async def test_a_client_does_not_take_a_name_from_who_sits_here(opening):
    """Both aos and the shell name a process "default" when no name is given."""
    async with opening() as local:
        own = await local.spawn(name="default")
        for _ in range(2):
            await spawned(local, Name="default")
        thief = await spawned(local, Name=own)
        assert (await local.node.find("default")).id == own
        assert (await local.node.find(own)).id == own
        assert (await local.node.find(thief)).id == thief
        await spawned(local, Name="twice")
        await spawned(local, Name="twice")
        with pytest.raises(AoError, match="2 processes answer to"):
            await local.node.find("twice")


@in_loop
@pytest.mark.parametrize("odd", ["\ud800", "x", "", "X" * 100_000, "/../" * 11])
async def test_an_id_that_is_none_is_not_here(opening, odd):
    async with opening() as local:
        verbs, pid = network(local), await spawned(local)
        for ask in (
            verbs.entry(odd, 0),
            verbs.page(odd, Span(), 1),
            verbs.schedule_page(odd, Span(), 1),
            verbs.scheduled(odd, 0),
            verbs.computed(odd, 0, 1),
            verbs.monitor(odd, True),
            verbs.assign(odd, pid),
            verbs.assign(pid, odd),
            verbs.state_at(odd, None, ""),
        ):
            with pytest.raises(NotFoundError, match="is on this node"):
                await ask
        assert await verbs.item(odd) is None and await verbs.module(odd) is None
        assert await verbs.entry(pid, odd) is None and await verbs.scheduled(pid, odd) is None
        assert await verbs.computed(pid, odd, 1) is None


@in_loop
async def test_numbers_beyond_all_bounds(opening):
    async with opening() as local:
        verbs, pid, huge = network(local), await spawned(local), 10**40
        for number in (huge, -huge):
            assert await verbs.entry(pid, number) is None
            assert await verbs.computed(pid, number, 1) is None
            with pytest.raises(AoError, match="no slot"):
                await verbs.state_at(pid, number, "")
        everything = Span(Place(-huge), Place(huge, huge), -huge, huge)
        nothing = Span(Place(huge), since=huge)
        for page in (verbs.page, verbs.schedule_page):
            assert len((await page(pid, everything, 10)).entries) == 1
            assert (await page(pid, nothing, 10)).entries == ()
        assert (await verbs.stored_behind(huge, 10)).entries == ()


@in_loop
async def test_those_who_gave_up_waiting_are_forgotten(opening):
    async with opening(seconds=30) as local:
        verbs, pid = network(local), await spawned(local)
        receipt = await posted(local, pid, "while true do end", Action="Eval")
        for _ in range(5):
            assert await verbs.computed(pid, receipt.slot, 0) is None
            with suppress(TimeoutError):
                await asyncio.wait_for(verbs.stored_changed(), 0.001)
            with suppress(TimeoutError):
                await asyncio.wait_for(local.node.settled(receipt.id), 0.001)
        assert not local.engine._waiters and not local.engine.changes
        assert not local.engine.roots.awaited
        await local.node.cancel(pid, receipt.slot)
        assert (await local.node.result(pid, receipt.slot)).outcome == "time"


@in_loop
@pytest.mark.parametrize("way", ["outside", "outbox", "tag"])
async def test_an_owner_that_a_process_names_is_believed_by_no_other(opening, way):
    """A definition may name any authority, and messages can be assigned."""
    async with opening() as local:
        victim = await local.spawn()
        await local.eval(
            victim,
            "ao.addAssignable('all', function() return true end) Owners = {} "
            "Handlers.add('any', function(m) return m.Action == 'Pay' end, "
            "function(m) Owners[#Owners + 1] = m.Owner end)",
        )
        liar = await spawned(local, Authority=local.wallet.address)
        tag = f", Assignments = '[\"{victim}\"]'" if way == "tag" else ""
        await local.eval(liar, f"Send({{Target = ao.id, Action = 'Pay'{tag}}})")
        pushed = (await local.messages(liar))[-1]
        assert pushed.owner == local.wallet.address
        if way == "outside":
            receipt = await network(local).assign(victim, pushed.id)
            await local.node.result(victim, receipt.slot)
        elif way == "outbox":
            await local.eval(
                liar, f"Assign({{Message = '{pushed.id}', Processes = {{'{victim}'}}}})"
            )
        assert await local.value(victim, "return table.concat(Owners)") == local.address
        signed = await posted(local, liar, Action="Pay")  # a signature is believed
        receipt = await network(local).assign(victim, signed.id)
        await local.node.result(victim, receipt.slot)
        assert await local.value(victim, "return Owners[2]") == local.wallet.address
