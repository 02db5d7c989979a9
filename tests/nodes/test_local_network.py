"""What units over HTTP ask of the node: messages in, pages out, assignments, uploads, state."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest
from eventually import in_loop
from local_home import COUNTER, Local, plain, tags

from aoshell.errors import AoError, UsageError
from aoshell.nodes.httpitem import http_item
from aoshell.nodes.local.aliases import BUILT_IN
from aoshell.nodes.local.log.assigning import next_link
from aoshell.nodes.values import HttpMessage, NotFoundError, Place, Span
from aoshell.protocol import httpsig, signing
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.keys import KINDS
from aoshell.protocol.message import Tag
from aoshell.protocol.wallet import Wallet

AOS = next(iter(BUILT_IN))
PUBLIC = "fcoN_xJeisVsPXA-trzVAuIiqO3ydLQxM-L4XbrQKzY"  # the authority that aos names
ECHO = """
Seen = {}
Handlers.add("Ping", "Ping", function(msg)
  Seen[#Seen + 1] = msg.Owner
  if msg["Reply-To-Me"] then Send({Target = ao.id, Action = "Ping"}) end
end)
"""


def network(local: Local):
    found = local.node.network
    assert found is not None
    return found


async def spawned(local: Local, rule: str = "auto", module: str = AOS, **values: str) -> str:
    """A process that a client has spawned; its id."""
    values.setdefault("Authority", PUBLIC)
    item = local.definition(module, **values)
    receipt = await network(local).submit(item, authority=rule, client="http")
    assert (await local.node.result(receipt.process, 0)).ok
    return receipt.process


async def posted(local: Local, process: str, data: str = "", **values: str):
    return await network(local).submit(local.item(process, data, **values), client="http")


# Messages in --------------------------------------------------------------------------------------


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
        await local.node.send(pid, local.item(pid, "return 1", Action="Eval"), client="shell 2")
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
            assert (await network(local).item(item.id)).signed.raw == item.raw
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


# Authority ----------------------------------------------------------------------------------------


@in_loop
@pytest.mark.parametrize(
    ("rule", "named", "owner"),
    [
        ("auto", PUBLIC, PUBLIC),
        ("auto", "node", "node"),
        ("auto", f"{PUBLIC},node", "node"),
        ("auto", "no address", "node"),
        ("", PUBLIC, "node"),
        ("A" * 43, PUBLIC, "A" * 43),
    ],
)
async def test_who_owns_what_is_pushed_to_a_process(opening, rule, named, owner):
    async with opening() as local:
        named, owner = named.replace("node", local.address), owner.replace("node", local.address)
        pid = await spawned(local, rule, Authority=named)
        await local.eval(pid, ECHO)
        await local.eval(pid, "Send({Target = ao.id, Action = 'Ping'})")
        entries = await local.entries(pid)
        assert entries[-1].message.owner == owner
        trusts = owner in named
        assert ("not trusted" in plain(entries[-1].result.output)) is not trusts
        info = await local.node.find(pid)
        assert (info.authority or local.address) == owner
        assert await local.node.verify_log(pid) == []


@in_loop
async def test_a_child_is_of_the_form_of_its_parent(opening):
    async with opening() as local:
        pid = await spawned(local)
        await local.eval(pid, f"Spawn('{AOS}', {{Name = 'child', Authority = '{PUBLIC}'}})")
        await local.eval(pid, f"Spawn('{AOS}', {{Name = 'heir'}})")
        for name in ("child", "heir"):
            child = await local.node.find(name)
            assert (child.authority, child.alias, child.monitored) == (PUBLIC, AOS, False)
            scheduled = await network(local).scheduled(child.id, 0)
            assert scheduled.stored.message.owner == PUBLIC


@in_loop
async def test_processes_of_the_prompt_keep_their_rules(opening):
    async with opening() as local:
        pid = await local.spawn(Authority=PUBLIC)
        await local.eval(pid, "Send({Target = ao.id, Action = 'Ping'})")
        assert (await local.entries(pid))[-1].message.owner == local.address
        info = await local.node.find(pid)
        assert (info.authority, info.alias, info.monitored) == ("", "", True)
        first = (await local.entries(pid))[0].message
        link = hashlib.sha256(first.id.encode()).digest()
        assert first.assignment.hash_chain == _text(link)


@in_loop
async def test_a_fork_keeps_the_authority_and_has_a_chain_of_its_own(opening):
    async with opening() as local:
        pid = await spawned(local)
        await local.eval(pid, "return 1")
        twin = await local.node.workbench.fork(pid, None, "twin")
        assert twin.authority == PUBLIC
        await local.eval(twin.id, "return 2")
        page = await network(local).schedule_page(twin.id, Span(), 10)
        assert len(page.entries) == 3
        for entry in page.entries:
            assert entry.assignment.verify()
            assert _tag(entry.assignment, "Process") == twin.id
        assert await local.node.verify_log(twin.id) == []


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


# Assignments --------------------------------------------------------------------------------------


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=")


def _tag(item: DataItem, name: str) -> str:
    return next(tag.value for tag in item.tags if tag.name == name)


def as_a_cu_checks_it(items: Sequence[DataItem]) -> bool:
    """`isHashChainValid` of permaweb/ao's CU over a schedule, in words of our own."""
    for before, item in pairwise(items):
        whole = _bytes(before.id) + _bytes(_tag(before, "Hash-Chain"))
        if _tag(item, "Hash-Chain") != _text(hashlib.sha256(whole).digest()):
            return False
    return True


def test_a_link_as_the_cu_of_the_network_tests_it():
    """`isHashChainValid`, "should calculate and compare …" of servers/cu in permaweb/ao."""
    assignment, link = _text(b"assignment-123"), _text(b"hashchain-123")
    expected = _text(hashlib.sha256(b"assignment-123hashchain-123").digest())
    assert next_link(assignment, link) == expected


@in_loop
async def test_the_chain_is_the_one_that_units_check(opening):
    async with opening() as local:
        pid = await spawned(local)
        await local.eval(pid, ECHO)
        for _ in range(3):
            await local.eval(pid, "Send({Target = ao.id, Action = 'Ping'})")
    async with opening() as local:
        await local.eval(pid, "return 1")
        page = await network(local).schedule_page(pid, Span(), 100)
        items = [entry.assignment for entry in page.entries]
        assert len(items) == 9 and as_a_cu_checks_it(items)
        seed = _text(hashlib.sha256(_bytes(pid)).digest())
        assert _tag(items[0], "Hash-Chain") == seed
        for slot, entry in enumerate(page.entries):
            item, message = entry.assignment, entry.stored.message
            assert item.verify() and item.type == 2 and item.owner_address == local.address
            assert message.assignment.hash_chain == _tag(item, "Hash-Chain")
            assert (_tag(item, "Nonce"), _tag(item, "Process")) == (str(slot), pid)
            assert (_tag(item, "Message"), len(_tag(item, "Block-Height"))) == (message.id, 12)
            assert (await network(local).scheduled(pid, item.id)) == entry
        assert [bool(entry.stored.signed) for entry in page.entries[:4]] == [
            True,
            True,
            True,
            False,
        ]
        assert await local.node.verify_log(pid) == []
        await local.node.workbench.undo(pid, 5)
        await local.eval(pid, "return 'other'")
        page = await network(local).schedule_page(pid, Span(), 100)
        assert as_a_cu_checks_it([entry.assignment for entry in page.entries])
        kept = await local.node.export(pid)
        await local.node.delete(pid)
        await local.node.restore(kept)
        await local.eval(pid, "return 'later'")
        later = await network(local).schedule_page(pid, Span(), 100)
        assert later.entries[:6] == tuple(
            _renumbered(entry, there)
            for entry, there in zip(page.entries, later.entries, strict=False)
        )
        assert as_a_cu_checks_it([entry.assignment for entry in later.entries])


def _renumbered(entry, like):
    order = like.stored.message.assignment.order
    assignment = replace(entry.stored.message.assignment, order=order)
    message = replace(entry.stored.message, assignment=assignment)
    return replace(entry, stored=replace(entry.stored, seq=like.stored.seq, message=message))


@in_loop
async def test_a_message_is_assigned_from_outside(opening):
    async with opening() as local:
        one, other, old = await spawned(local), await spawned(local), await local.spawn()
        sent = await posted(local, one, "hello", Action="Note")
        for process in (other, old):
            await local.eval(
                process,
                "ao.addAssignable('all', function() return true end) "
                "Handlers.add('Note', 'Note', function(m) Got = m.Data .. m.Target end)",
            )
            receipt = await network(local).assign(process, sent.id, client="http")
            assert (await local.node.result(process, receipt.slot)).ok
            assert await local.value(process, "return Got") == f"hello{one}"
            scheduled = await network(local).scheduled(process, receipt.slot)
            assert scheduled.assigned and scheduled.assignment.id == receipt.id
            assert scheduled.stored.signed.id == sent.id
            assert (await network(local).entry(process, receipt.id)).message.id == sent.id
            cut = await network(local).assign(process, sent.id, ["Data"])
            scheduled = await network(local).scheduled(process, cut.id)
            assert (scheduled.exclude, scheduled.stored.message.data) == (("Data",), b"")
            assert await local.node.verify_log(process) == []
        with pytest.raises(NotFoundError, match="no message"):
            await network(local).assign(other, "Z" * 43)
        with pytest.raises(NotFoundError, match="no process"):
            await network(local).assign("Z" * 43, sent.id)


@in_loop
async def test_an_uploaded_item_is_assigned(opening, wallet):
    async with opening() as local:
        item = DataItem.sign(wallet, tags=tags(Content_Type="image/png"), data=b"\x89PNG\xff")
        await network(local).keep(item)
        pid = await spawned(local)
        await local.eval(
            pid,
            "ao.addAssignable('all', function() return true end) "
            "Handlers.add('it', function() return true end, function(m) Length = #m.Data end)",
        )
        receipt = await network(local).assign(pid, item.id)
        assert (await local.node.result(pid, receipt.slot)).ok
        assert await local.value(pid, "return Length") == "5"
        scheduled = await network(local).scheduled(pid, receipt.slot)
        assert scheduled.assigned and scheduled.stored.signed == item


# Out ----------------------------------------------------------------------------------------------


@in_loop
async def test_pages_both_ways_by_place_and_time(opening):
    async with opening() as local:
        pid = await spawned(local)
        for number in range(6):
            await local.node.workbench.warp(1000)
            await local.eval(pid, "error('no')" if number == 2 else f"return {number}")
        verbs = network(local)
        everything = (await verbs.page(pid, Span(), 100)).entries
        assert [entry.message.assignment.slot for entry in everything] == list(range(7))

        async def slots(limit: int = 100, *, failed: bool = True, **bounds):
            page = await verbs.page(pid, Span(**bounds), limit, failed=failed)
            schedule = await verbs.schedule_page(pid, Span(**bounds), limit)
            found = [entry.result.slot for entry in page.entries]
            if failed:
                assert found == [each.stored.message.assignment.slot for each in schedule.entries]
                assert page.more == schedule.more
            return found, page.more

        assert await slots(3) == ([0, 1, 2], True)
        assert await slots(3, newest_first=True) == ([6, 5, 4], True)
        assert await slots(after=Place(4)) == ([5, 6], False)
        assert await slots(to=Place(1)) == ([0, 1], False)
        assert await slots(2, after=Place(1), to=Place(4), newest_first=True) == ([4, 3], True)
        times = [entry.message.assignment.timestamp for entry in everything]
        assert await slots(since=times[4]) == ([5, 6], False)
        assert await slots(until=times[1]) == ([0, 1], False)
        assert await slots(1, since=times[1], until=times[4]) == ([2], True)
        assert await slots(since=times[6]) == ([], False)
        assert await slots(until=times[0] - 1) == ([], False)
        assert await slots(2, after=Place(1), failed=False) == ([2, 4], True)
        assert [entry.result.print for entry in everything] == [True] + 6 * [False]


@in_loop
async def test_cron_is_in_pages_of_results_alone(opening):
    async with opening() as local:
        pid = await spawned(local, Cron_Interval="1-minute")
        assert not (await local.node.find(pid)).monitored
        await local.node.workbench.warp(120_000)
        await local.node.idle()
        assert len((await network(local).page(pid, Span(), 10)).entries) == 1
        await network(local).monitor(pid, True)
        await local.node.idle()
        page = await network(local).page(pid, Span(), 10)
        places = [
            Place(entry.message.assignment.slot, entry.message.assignment.tick)
            for entry in page.entries
        ]
        assert places == [Place(0), Place(0, 1)] and page.entries[1].result.print
        assert len((await network(local).page(pid, Span(after=places[0]), 10)).entries) == 1
        assert not (await network(local).page(pid, Span(after=places[1]), 10)).entries
        assert len((await network(local).schedule_page(pid, Span(), 10)).entries) == 1
        await network(local).monitor(pid, False)
        await local.node.workbench.warp(120_000)
        await local.node.idle()
        assert len((await network(local).page(pid, Span(), 10)).entries) == 2
        receipt = await posted(local, pid, "return 1", Action="Eval")  # behind a tick
        scheduled = [await network(local).scheduled(pid, slot) for slot in (0, receipt.slot)]
        assert as_a_cu_checks_it([each.assignment for each in scheduled])


@in_loop
async def test_a_wait_has_an_end(opening):
    async with opening(seconds=30) as local:
        pid = await spawned(local)
        receipt = await posted(local, pid, "while true do end", Action="Eval")
        assert (await network(local).entry(pid, receipt.id)).result is None
        assert await network(local).computed(pid, receipt.id, 0.01) is None
        assert await network(local).computed(pid, "Z" * 43, 5) is None
        await local.node.cancel(pid, receipt.slot)
        found = await network(local).computed(pid, receipt.id, 60)
        assert found.result.outcome == "time"
        assert await network(local).computed(pid, receipt.slot, 0) is not None


@in_loop
async def test_an_index_follows_the_log(opening, wallet):
    async with opening() as local:
        verbs = network(local)
        pid = await spawned(local)
        item = DataItem.sign(wallet, tags=tags(Type="Note"), data=b"kept")
        await verbs.keep(item)
        await local.eval(pid, "Send({Target = ao.id, Data = 'x'})")
        page = await verbs.stored_behind(0, 100)
        assert [(one.process, one.message.id) for one in page.entries][:2] == [
            (pid, pid),
            ("", item.id),
        ]
        assert len(page.entries) == 4
        seqs = [one.seq for one in page.entries]
        assert seqs == sorted(seqs)
        assert (await verbs.stored_behind(seqs[1], 1)).entries == page.entries[2:3]
        assert (await verbs.stored_behind(seqs[-1], 10)).entries == ()
        waiting = asyncio.ensure_future(verbs.stored_changed())
        await asyncio.sleep(0)
        await local.eval(pid, "return 1")
        await asyncio.wait_for(waiting, 60)
        waiting = asyncio.ensure_future(verbs.stored_changed())
        await asyncio.sleep(0)
        await local.node.workbench.undo(pid, 2)
        await asyncio.wait_for(waiting, 60)
        cut = await verbs.stored_behind(0, 100)
        assert cut.cuts > page.cuts
        assert cut.stands(page.cuts) == seqs[2]  # `.undo` took back what is behind it
        assert cut.stands(cut.cuts) > seqs[-1]
        assert cut.stands(page.cuts - 1000) == 0  # too long ago to be known
    async with opening() as local:  # an upload's number is not given again
        await network(local).keep(DataItem.sign(wallet, data=b"last"))
        receipt = await posted(local, pid, "return 1", Action="Eval")
        entries = (await network(local).stored_behind(0, 100)).entries
        assert len({one.seq for one in entries}) == len(entries)
        assert entries[-1].message.id == receipt.id


@in_loop
async def test_state_at_a_slot(opening, monkeypatch):
    async with opening() as local:
        pid = await spawned(local)
        for number in (1, 2, 3):
            await local.eval(pid, f"Send({{device = 'patch@1.0', n = '{number}'}})")
        verbs = network(local)
        asked = []
        dry_run = local.engine.computer.dry_run

        def counting(*args):
            asked.append(args)
            return dry_run(*args)

        monkeypatch.setattr(local.engine.computer, "dry_run", counting)
        assert await verbs.state_at(pid, None, "n") == "3"
        assert await local.node.now(pid, "n") == "3"
        assert await verbs.state_at(pid, 3, "n") == "3"
        assert len(asked) == 1  # the newest slot is asked once
        assert [await verbs.state_at(pid, slot, "n") for slot in (0, 1, 2)] == ["", "1", "2"]
        assert len(asked) == 1
        await local.eval(pid, "Send({device = 'patch@1.0', n = '4'})")
        assert await verbs.state_at(pid, None, "n") == "4"
        await local.node.workbench.undo(pid, 4)
        await local.eval(pid, "Send({device = 'patch@1.0', n = 'other'})")
        assert await verbs.state_at(pid, 4, "n") == "other"
        with pytest.raises(AoError, match="no slot 9"):
            await verbs.state_at(pid, 9, "n")


# What clients may ask and name --------------------------------------------------------------------


@in_loop
async def test_a_client_does_not_take_a_name_from_who_sits_here(opening):
    """aos calls a process "default" where nobody says a name, as the shell does."""
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
    """A definition may name anybody as its authority, and messages can be assigned."""
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
