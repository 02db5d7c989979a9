"""What units over HTTP ask of the node: owners of what is pushed, assignments and their chain."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from eventually import in_loop
from local_home import plain, tags
from network_home import (
    AOS,
    ECHO,
    PUBLIC,
    as_a_cu_checks_it,
    bytes_of,
    network,
    posted,
    spawned,
    tag_of,
    text_of,
)

from aoshell.nodes.local.log.assigning import next_link
from aoshell.nodes.served import Span
from aoshell.nodes.values import NotFoundError
from aoshell.protocol.ans104 import DataItem

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
        assert first.assignment.hash_chain == text_of(link)


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
            assert tag_of(entry.assignment, "Process") == twin.id
        assert await local.node.verify_log(twin.id) == []


# Assignments --------------------------------------------------------------------------------------


def test_a_link_as_the_cu_of_the_network_tests_it():
    """`isHashChainValid`, "should calculate and compare …" of servers/cu in permaweb/ao."""
    assignment, link = text_of(b"assignment-123"), text_of(b"hashchain-123")
    expected = text_of(hashlib.sha256(b"assignment-123hashchain-123").digest())
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
        seed = text_of(hashlib.sha256(bytes_of(pid)).digest())
        assert tag_of(items[0], "Hash-Chain") == seed
        for slot, entry in enumerate(page.entries):
            item, message = entry.assignment, entry.stored.message
            assert item.verify() and item.type == 2 and item.owner_address == local.address
            assert message.assignment.hash_chain == tag_of(item, "Hash-Chain")
            assert (tag_of(item, "Nonce"), tag_of(item, "Process")) == (str(slot), pid)
            assert (tag_of(item, "Message"), len(tag_of(item, "Block-Height"))) == (message.id, 12)
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
