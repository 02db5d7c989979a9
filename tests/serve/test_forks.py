"""Live processes brought home: our own `aoshell serve` is the network that they live on."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from eventually import in_loop
from served_node import AUTHORITY, COUNTER, ServedNode, served
from zygotes import SHARED

from aoshell.errors import AoError
from aoshell.forks.cache import LogCache
from aoshell.forks.remote import ForeignFork, Remote, cache_folder
from aoshell.forks.taking import take, take_from
from aoshell.home.folders import Settings
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.values import ProcessInfo
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Tag, tags_of
from aoshell.protocol.wallet import Wallet

FORWARDER = """
Handlers.add("Pass", "Pass", function(msg) Send({Target = msg.Data, Action = "Add"}) end)
"""


def settings(folder: Path) -> Settings:
    return Settings(folder, folder / "state", folder / "config", folder / "cache")


@contextlib.asynccontextmanager
async def home(folder: Path) -> AsyncIterator[LocalNode]:
    node = await LocalNode.open(settings(folder).state, supervisor=SHARED)
    try:
        yield node
    finally:
        await node.close()


async def forked(
    node: LocalNode, folder: Path, there: ServedNode, place: str, name: str = "twin"
) -> ProcessInfo:
    told: list[str] = []
    url = there.serving.facts.url
    return (await take_from(node, settings(folder), url, place, name, told.append)).process


async def counted(there: ServedNode, times: int = 3) -> str:
    """A counter that has counted; its id."""
    process = await there.spawn(COUNTER)
    for _ in range(times):
        await there.result(process, await there.send(process, Action="Add"))
    return process


async def asked(node: LocalNode, process: str, code: str) -> str:
    """What a line answers that the owner would send."""
    info = await node.find(process)
    tags = tags_of([("Action", "Eval"), ("Type", "Message"), ("Data-Protocol", "ao")])
    item = Message("q" * 43, info.owner, info.owner, process, tags, code.encode())
    return (await node.dryrun(process, item)).output


@in_loop
async def test_a_fork_has_the_log_the_id_and_the_state_of_the_live_one(
    folder: Path, wallet: Wallet
) -> None:
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        process = await counted(there)
        fork = await forked(node, folder / "here", there, process)
        assert (fork.id, fork.name, fork.slots, fork.computed) == (process, "twin", 5, 5)
        assert fork.origin is not None and fork.origin.slot == 4
        assert fork.origin.source == there.serving.facts.url
        here = [entry.message.id for entry in await node.results(process)]
        theirs = [entry.message.id for entry in await there.node.results(process)]
        assert here == theirs
        assert await asked(node, process, "return N") == "3"
        assert await node.verify_log(process) == []
        assert not await node.undelivered()


@in_loop
async def test_a_fork_of_an_earlier_slot_has_the_state_of_then(
    folder: Path, wallet: Wallet
) -> None:
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        process = await counted(there)
        fork = await forked(node, folder / "here", there, f"{process}@3")
        assert fork.slots == 4
        assert await asked(node, process, "return N") == "2"


@in_loop
async def test_what_the_past_sent_is_not_sent_again_and_what_comes_is_sent_at_home(
    folder: Path, wallet: Wallet
) -> None:
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        counter = await counted(there, 0)
        passing = await there.spawn(FORWARDER)
        await there.result(passing, await there.send(passing, counter, Action="Pass"))
        first = await forked(node, folder / "here", there, f"{counter}@1", "counter")
        await forked(node, folder / "here", there, passing, "passing")
        assert (await node.find(counter)).slots == first.slots == 2, "it was delivered there"
        item = await node.sign(wallet, passing, (Tag("Action", "Pass"),), counter.encode())
        receipt = await node.send(passing, item)
        await node.settled(receipt.id)
        assert await asked(node, counter, "return N") == "1"
        pushed = (await node.schedule(counter, 2, 2))[0]
        assert (pushed.from_, pushed.owner) == (passing, AUTHORITY)


@in_loop
async def test_a_kill_after_the_fork_sends_nothing_either(folder: Path, wallet: Wallet) -> None:
    async with served(folder / "there", wallet) as there:
        counter = await counted(there, 0)
        passing = await there.spawn(FORWARDER)
        for _ in range(3):
            await there.result(passing, await there.send(passing, counter, Action="Pass"))
        async with home(folder / "here") as node:
            await forked(node, folder / "here", there, f"{counter}@1", "counter")
            await forked(node, folder / "here", there, passing, "passing")
            number = node._engine.processes.look_up(passing).number
        # As if it had been killed before anything of it was computed.
        with sqlite3.connect(settings(folder / "here").state / "node.db") as database:
            database.execute(
                "DELETE FROM results WHERE seq IN (SELECT seq FROM log WHERE process = ?)",
                (number,),
            )
            database.execute("UPDATE meta SET value = 0 WHERE key = 'computed_to'")
        database.close()
        async with home(folder / "here") as node:
            await node.idle()
            assert (await node.find(passing)).computed == 8
            assert (await node.find(counter)).slots == 2
            assert not await node.undelivered()


@in_loop
async def test_nothing_is_signed_for_a_fork(folder: Path, wallet: Wallet) -> None:
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        process = await counted(there)
        await forked(node, folder / "here", there, process)
        item = await node.sign(wallet, process, (Tag("Action", "Add"),), b"")
        assert isinstance(item, Message) and item.owner == wallet.address
        result = await node.result(process, (await node.send(process, item)).place)
        assert result.ok and await asked(node, process, "return N") == "4"
        again = await node.send(process, item)
        assert again.slot == 5, "the same message once more is where it was"
        signed = DataItem.sign(wallet, process, tags_of([("Action", "Add")]), b"")
        with pytest.raises(AoError, match="fork of a live process"):
            await node.send(process, signed)
        with pytest.raises(AoError, match="no fork"):
            own = await node.spawn(there.definition("aos"))
            await node.send(own.process, item)


@in_loop
async def test_serve_refuses_signed_items_for_forks_and_gives_no_signature_out(
    folder: Path, wallet: Wallet
) -> None:
    async with served(folder / "there", wallet) as there:
        process = await counted(there)
        async with home(folder / "here") as node:
            await forked(node, folder / "here", there, process)
        async with served(settings(folder / "here").state, wallet) as here:
            answer = await here.post(here.message(process, Action="Add"))
            assert answer.status_code == 400 and "fork of a live process" in answer.text
            page = await here.get(f"/{process}?process-id={process}&from-nonce=-1")
            assert len(page["edges"]) == 5
            assert {edge["node"]["message"]["signature"] for edge in page["edges"]} == {""}
            ids = [edge["node"]["message"]["id"] for edge in page["edges"]]
            found = await here.client.post(
                "/graphql",
                json={
                    "query": "query($ids:[ID!]!){transactions(ids:$ids){edges{node{signature}}}}",
                    "variables": {"ids": ids},
                },
            )
            edges = found.json()["data"]["transactions"]["edges"]
            assert {edge["node"]["signature"] for edge in edges} <= {""}
        async with served(settings(folder / "here").state, wallet, accept_signed=True) as here:
            sent = here.message(process, Action="Add")
            assert (await here.post(sent)).status_code == 202
            result = await here.result(process, sent.id)
            assert result["Messages"][0]["Data"] == "4"
            assert (await here.post(sent)).status_code == 202, "once more it is the same slot"
            stored = here.node._engine.store.select(
                "SELECT count(*), count(signed) FROM log WHERE id = ?", sent.id
            )
            assert stored == [(1, 0)], "the signature is not kept"
            page = await here.get(f"/{process}?process-id={process}&from-nonce=4")
            assert page["edges"][0]["node"]["message"]["signature"] == ""
            held = await here.client.get(f"/tx/{sent.id}")
            assert held.json()["signature"] == ""


@in_loop
async def test_an_upload_that_is_signed_for_a_fork_is_not_kept(
    folder: Path, wallet: Wallet
) -> None:
    async with served(folder / "there", wallet) as there:
        process = await counted(there)
        async with home(folder / "here") as node:
            await forked(node, folder / "here", there, process)
        for accept in (False, True):
            state = settings(folder / "here").state
            async with served(state, wallet, accept_signed=accept) as here:
                sent = here.message(process, Action="Add")
                for path in ("/tx", "/upload", "/v1/tx/arweave"):
                    answer = await here.client.post(path, content=sent.raw)
                    assert answer.status_code == 400 and "fork of a live process" in answer.text
                assert (await here.client.get(f"/tx/{sent.id}")).status_code == 404
                assigned = await here.client.post(f"/?process-id={process}&assign={sent.id}")
                assert assigned.status_code == 404


@in_loop
async def test_a_home_holds_one_fork_of_an_id_and_half_a_fork_never(
    folder: Path, wallet: Wallet
) -> None:
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        process = await counted(there)
        with pytest.raises(AoError, match="has no slot 99 there"):
            await forked(node, folder / "here", there, f"{process}@99")
        assert not await node.processes()
        await forked(node, folder / "here", there, process)
        with pytest.raises(AoError, match="in this home already"):
            await forked(node, folder / "here", there, process, "other")
        with pytest.raises(AoError, match="twin exists already"):
            await forked(node, folder / "here", there, await counted(there, 0))
        await node.delete(process)
        await forked(node, folder / "here", there, process)


@in_loop
async def test_what_was_read_is_kept_and_read_again_where_the_source_has_changed(
    folder: Path, wallet: Wallet
) -> None:
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        process = await counted(there)
        url = there.serving.facts.url
        await forked(node, folder / "here", there, f"{process}@2")
        cache = LogCache(cache_folder(settings(folder / "here")), url, process)
        pages = list(cache.pages())
        assert [len(page) for page in pages] == [3]
        pages[0][2]["node"]["message"]["data"] = "another"
        cache.keep(pages)
        await node.delete(process)
        await forked(node, folder / "here", there, process)
        assert await asked(node, process, "return N") == "3"
        assert sum(len(page) for page in cache.pages()) == 5


@in_loop
async def test_a_served_fork_is_forked_again_and_its_source_vouches_for_it(
    folder: Path, wallet: Wallet
) -> None:
    state = settings(folder / "here").state
    async with served(folder / "there", wallet) as there:
        process = await counted(there)
        async with home(folder / "here") as node:
            await forked(node, folder / "here", there, f"{process}@3")
            item = await node.sign(wallet, process, (Tag("Action", "Add"),), b"")
            for _ in range(2):
                await node.result(process, (await node.send(process, item)).place)
                item = await node.sign(wallet, process, (Tag("Action", "Add"),), b"")
        async with served(state, wallet) as here, home(folder / "third") as node:
            url = here.serving.facts.url
            args = (node, settings(folder / "third"), url, process, "twin", print)
            taken = await take_from(*args)
            first = there.serving.facts.url
            assert any(f"as a fork itself, of {first} up to slot 3" in one for one in taken.notes)
            assert "6 messages are not signed" in taken.notes[-1]
            origin = taken.process.origin
            assert origin is not None and (origin.source, origin.slot) == (url, 5)
            assert await asked(node, process, "return N") == "4"
            ids = [entry.message.id for entry in await node.results(process)]
            assert ids == [entry.message.id for entry in await here.node.results(process)]
            assert await node.verify_log(process) == []
            with pytest.raises(AoError, match="slot 5 comes from"):
                await node.workbench.undo(process, 5)
        async with (  # and once more, from the home of the second fork
            served(settings(folder / "third").state, wallet) as third,
            home(folder / "fourth") as node,
        ):
            fork = await forked(node, folder / "fourth", third, process)
            assert fork.slots == 6 and await asked(node, process, "return N") == "4"


@in_loop
async def test_only_what_a_source_has_from_elsewhere_may_have_other_links(
    folder: Path, wallet: Wallet
) -> None:
    class Lying(Remote):
        async def forked(self, process: str) -> ForeignFork | None:
            found = await super().forked(process)
            return found and replace(found, slot=2)

    state = settings(folder / "here").state
    async with served(folder / "there", wallet) as there:
        process = await counted(there)
        async with home(folder / "here") as node:
            await forked(node, folder / "here", there, process)
        async with served(state, wallet) as here, home(folder / "third") as node:
            remote = Lying.named(here.serving.facts.url, settings(folder / "third"))
            with pytest.raises(AoError, match="hash chain that breaks at slot 3"):
                await take(node, settings(folder / "third"), remote, process, "twin", print)
            await remote.close()
            assert not await node.processes()


@in_loop
async def test_undo_stops_at_the_fork_point_and_a_copy_is_a_fork_too(
    folder: Path, wallet: Wallet
) -> None:
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        process = await counted(there)
        await forked(node, folder / "here", there, process)
        item = await node.sign(wallet, process, (Tag("Action", "Add"),), b"")
        await node.result(process, (await node.send(process, item)).place)
        with pytest.raises(AoError, match="slot 4 comes from"):
            await node.workbench.undo(process, 4)
        await node.workbench.undo(process, 5)
        assert await asked(node, process, "return N") == "3"
        data = await node.export(process)
        await node.delete(process)
        back = await node.restore(data)
        assert back.origin is not None and back.origin.slot == 4
        assert isinstance(await node.sign(wallet, process, (), b""), Message)
        copy = await node.workbench.fork(process, 3, "copy")
        assert copy.origin is not None and copy.origin.slot == 3
        item = await node.sign(wallet, process, (Tag("Action", "Add"),), b"")
        await node.result(process, (await node.send(process, item)).place)
        later = await node.workbench.fork(process, None, "later")  # what follows was computed here
        assert later.slots == 6 and later.origin is not None and later.origin.slot == 4
