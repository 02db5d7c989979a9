"""`HyperBeamNode` against a node over loopback: real HTTP, real signatures, faults on switches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import eventually
import pytest
from eventually import in_loop
from hyper_server import HyperServer, serving
from rsa_keys import RsaKeys

from aoshell.errors import AoError, UnsupportedError
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.hyperbeam.node import HyperBeamNode
from aoshell.nodes.remote.hyperbeam.publishing import CODE
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.values import Event, HttpMessage, Module, NotFoundError, Verify
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.commitment import CURRENT, EDGE, Profile
from aoshell.protocol.message import Message, tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.sandbox import hyperaos

LUA_MODULE, WASM_MODULE = "L" * 43, "W" * 43
EVAL = tags_of([("Action", "Eval")])


class NoGateway:
    async def find(self, name: str, *_: str) -> str:
        raise NotFoundError(f"no process {name}", stage="find")

    probes: tuple[Any, ...] = ()

    async def close(self) -> None: ...


class Home:
    """A shell's end: the node, its wallet, its book."""

    def __init__(self, server: HyperServer, wallet: Wallet, folder: Path) -> None:
        self.server, self.wallet, self.folder = server, wallet, folder
        self.waiting = Waiting()

    def open(self) -> HyperBeamNode:
        async def wallet() -> Wallet:
            return self.wallet

        book = Book(self.folder / "remote.db")
        book.put(self.server.url, "module", LUA_MODULE, {"kind": "lua", "name": ""})
        gateway: Any = NoGateway()
        return HyperBeamNode(self.server.url, book, gateway, wallet, self.waiting)


@pytest.fixture(scope="module")
def node_wallet(rsa_keys: RsaKeys) -> Wallet:
    return rsa_keys.quick_wallet()


@pytest.fixture(params=[EDGE, CURRENT], ids=["june", "later"])
def profile(request: pytest.FixtureRequest) -> Profile:
    """How the node signs; both generations must behave alike."""
    found: Profile = request.param
    return found


@pytest.fixture
def server(node_wallet: Wallet, profile: Profile) -> HyperServer:
    return HyperServer(node_wallet, profile)


@pytest.fixture
def home(server: HyperServer, wallet: Wallet, tmp_path: Path) -> Home:
    return Home(server, wallet, tmp_path)


@asynccontextmanager
async def up(home: Home) -> AsyncIterator[HyperBeamNode]:
    async with serving(home.server):
        node = home.open()
        try:
            yield node
        finally:
            await node.close()


async def spawn(node: HyperBeamNode, home: Home, module: str = LUA_MODULE) -> str:
    tags = tags_of([("Module", module), ("Name", "first")])
    return (await node.spawn(await node.sign(home.wallet, "", tags, b""), "first")).process


async def evaluate(node: HyperBeamNode, home: Home, process: str, code: str) -> Any:
    item = await node.sign(home.wallet, process, EVAL, code.encode())
    receipt = await node.send(process, item)
    assert receipt.id == item.id and receipt.slot is not None
    return await node.result(process, receipt.slot)


# The way of a line ------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [LUA_MODULE, WASM_MODULE])
@pytest.mark.parametrize("profile", [EDGE, CURRENT], ids=lambda profile: profile.label)
@in_loop
async def test_spawn_send_result(home: Home, module: str, profile: Profile) -> None:
    home.server.profile = profile
    async with up(home) as node:
        process = await spawn(node, home, module)
        definition = home.server.logs[process][0].keys
        assert definition["device"] == "process@1.0"
        assert definition["scheduler"] == definition["authority"] == home.server.wallet.address
        expected = "lua@5.3a" if module == LUA_MODULE else "genesis-wasm@1.0"
        assert definition["execution-device"] == expected
        for code, answer in (("1+1", "2"), ("6*7", "42")):
            result = await evaluate(node, home, process, code)
            assert (result.ok, result.output, result.prompt) == (True, answer, "sim> ")
        assert await node.slots(process) == 3
        assert [one.data for one in await node.schedule(process, 1, 2)] == [b"1+1", b"6*7"]
        info = await node.find("first")
        assert (info.id, info.owner, info.slots) == (process, home.wallet.address, 3)


@in_loop
async def test_each_kind_of_process_gets_its_kind_of_signature(home: Home) -> None:
    async with up(home) as node:
        for module, kind in ((LUA_MODULE, HttpMessage), (WASM_MODULE, DataItem)):
            process = await spawn(node, home, module)
            assert isinstance(await node.sign(home.wallet, process, EVAL, b"1"), kind)


@in_loop
async def test_what_a_process_wants_is_found_out_by_its_definition(home: Home) -> None:
    async with up(home) as node:
        process = await spawn(node, home)
        node._book.put(node.endpoint, "process", process, None)
        assert isinstance(await node.sign(home.wallet, process, EVAL, b"1"), HttpMessage)
        assert (await node.find(process)).owner == home.wallet.address


@in_loop
async def test_a_result_by_the_id_of_its_message(home: Home) -> None:
    async with up(home) as node:
        process = await spawn(node, home)
        item = await node.sign(home.wallet, process, EVAL, b"5*5")
        await node.send(process, item)
        assert (await node.result(process, item.id)).output == "25"
        with pytest.raises(AoError, match="no message"):
            await node.result(process, "x" * 43)


@in_loop
async def test_errors_and_outboxes_come_out_of_each_form(home: Home) -> None:
    home.server.evaluations = {
        "boom": {"error": "[string]:1: boom", "output": {"data": ""}, "outbox": {}},
        "send": {
            "output": {"data": "sent"},
            "outbox": {"1": {"target": "T" * 43, "action": "Ping", "data": "hé"}},
        },
    }
    async with up(home) as node:
        process = await spawn(node, home)
        failed = await evaluate(node, home, process, "boom")
        assert (failed.outcome, failed.error) == ("error", "[string]:1: boom")
        (sent,) = (await evaluate(node, home, process, "send")).messages
        assert (sent.target, sent.data.decode()) == ("T" * 43, "hé")
        assert ("action", "Ping") in [(tag.name, tag.value) for tag in sent.tags]


@pytest.mark.parametrize(
    ("module", "profile", "path"),
    [
        (LUA_MODULE, CURRENT, "as=execution/compute/results"),
        (WASM_MODULE, CURRENT, "as=execution/compute&Action=Eval"),
        (WASM_MODULE, EDGE, "as=execution/compute&Action=Eval"),
    ],
)
@in_loop
async def test_dry_runs(home: Home, module: str, profile: Profile, path: str) -> None:
    home.server.profile = profile
    async with up(home) as node:
        process = await spawn(node, home, module)
        asked = Message("", "", "", process, EVAL, b"2+3")
        assert (await node.dryrun(process, asked)).output == "5"
        assert await node.slots(process) == 1
        assert f"POST /{process}~process@1.0/{path}" in home.server.asked


@in_loop
async def test_a_node_without_dry_runs_says_so(home: Home) -> None:
    home.server.profile = EDGE
    async with up(home) as node:
        process = await spawn(node, home)
        with pytest.raises(UnsupportedError, match="June 2025") as raised:
            await node.dryrun(process, Message("", "", "", process, EVAL, b"2+3"))
        assert ".now" in raised.value.hint


@in_loop
async def test_state_is_read_by_key(home: Home) -> None:
    async with up(home) as node:
        process = await spawn(node, home)
        assert await node.now(process, "cache/total") == "cache/total"


@in_loop
async def test_what_it_cannot_do_says_what_to_use(home: Home) -> None:
    async with up(home) as node:
        assert (node.local, node.remote, node.cron, node.state) == (None, node, node, node)
        with pytest.raises(UnsupportedError) as raised:
            await node.upload(b"")
        assert raised.value.hint


# Nothing twice, nothing lost --------------------------------------------------------------------


@pytest.mark.parametrize("module", [LUA_MODULE, WASM_MODULE])
@in_loop
async def test_an_answer_that_is_lost_is_looked_for(
    home: Home, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.nodes.remote.hyperbeam.sending.LOOKS", (0.01, 0.01))
    async with up(home) as node:
        process = await spawn(node, home, module)
        home.server.drop_after_scheduling = 1
        assert (await evaluate(node, home, process, "1+1")).output == "2"
        assert len(home.server.logs[process]) == 2
        home.server.drop_after_scheduling = 1
        assert await spawn(node, home, module) in home.server.logs


@in_loop
async def test_a_message_whose_fate_is_unknown_is_not_sent_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.nodes.remote.hyperbeam.sending.LOOKS", (0.01,))
    async with up(home) as node:
        process = await spawn(node, home)
        item = await node.sign(home.wallet, process, EVAL, b"1")
        home.server.faults["POST .*schedule"] = lambda _request, _reply: None  # type: ignore
        home.server.faults["GET .*schedule"] = lambda _request, _reply: (404, [], b"gone")
        with pytest.raises(AoError, match="not known") as raised:
            await node.send(process, item)
        assert f".result {item.id}" in raised.value.hint
        posts = [path for path in home.server.asked if path.startswith("POST /" + process)]
        assert len(posts) == 1


@in_loop
async def test_a_message_leaves_when_a_connection_is_made(home: Home) -> None:
    """A message that is given up while all connections are refused has not arrived."""
    async with up(home) as node:
        process = await spawn(node, home)
        first, second = [await node.sign(home.wallet, process, EVAL, code) for code in (b"1", b"2")]
        there, node._client.endpoint = node._client.endpoint, "http://127.0.0.1:9"
        sending = asyncio.create_task(node.send(process, first))
        await eventually.until(lambda: node.stage and "try 2" in node.stage.note)
        sending.cancel()
        await asyncio.wait({sending})
        assert not node.has_left(first.id)
        node._client.endpoint = there
        await node.send(process, second)
        assert (node.has_left(first.id), node.has_left(second.id)) == (False, True)


@in_loop
async def test_the_first_message_to_a_new_process_is_tried_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.nodes.remote.http.client.FIRST_PAUSE", 0.01)
    async with up(home) as node:
        process = await spawn(node, home)
        home.server.refuse_first = 2
        assert (await evaluate(node, home, process, "1+1")).output == "2"
        assert len(home.server.logs[process]) == 2


# The feed ---------------------------------------------------------------------------------------


async def until(events: Any, count: int) -> list[Event]:
    found: list[Event] = []
    while len(found) < count:
        event = await asyncio.wait_for(anext(events), 60)
        if event.kind == "result":
            found.append(event)
    return found


@in_loop
async def test_every_slot_in_order_across_restarts(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.nodes.remote.feed.SHORTEST", 0.02)
    async with serving(home.server):
        node = home.open()
        process = await spawn(node, home)
        events = node.subscribe()
        await node.watch(process)
        for number in range(3):
            await evaluate(node, home, process, f"{number}+1")
        entries = [event.entry for event in await until(events, 3)]
        told = [(one.message.data, one.result.output) for one in entries if one and one.result]
        assert told == [(b"0+1", "1"), (b"1+1", "2"), (b"2+1", "3")]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.1)
        await node.close()
        # Meanwhile: an answered line, and one that nobody waited for.
        again = home.open()
        await evaluate(again, home, process, "5*5")
        await again.send(process, await again.sign(home.wallet, process, EVAL, b"7*7"))
        events = again.subscribe()
        await again.watch(process)
        (event,) = await until(events, 1)
        assert event.entry is not None and event.entry.message.data == b"7*7"
        await again.close()


@in_loop
async def test_an_unsigned_slot_of_another_process_is_not_taken(home: Home) -> None:
    """Nothing is verified here. The log says the slot instead."""
    async with up(home) as node:
        process = await spawn(node, home)
        for number, (named, slot) in enumerate((("Q" * 43, 1), (process, 77)), 1):
            reply = 200, [("process", named), ("slot", "77")], b""
            home.server.faults["POST .*schedule"] = lambda _request, _reply, reply=reply: reply
            item = await node.sign(home.wallet, process, EVAL, str(number).encode())
            assert (await node.send(process, item)).slot == slot


# Code that a node of one's own is given --------------------------------------------------------


@in_loop
async def test_published_code_is_the_nodes_own(home: Home) -> None:
    """No gateway has it: the gateway here has no data."""
    async with up(home) as node:
        assert await node.default_module() == ""
        publication = await node.publication(home.wallet, hyperaos.source(), "environment")
        assert not publication.permanent
        module = await node.publish(publication)
        assert module.id == publication.item.id == await node.default_module()
        found = await node.fetch(module.id)
        assert (found.id, found.kind, found.name, found.data) == (
            module.id,
            "lua",
            "environment",
            b"",
        )


@in_loop
async def test_other_code_is_the_gateways(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is code that is noted as uploaded, if its kind and name were not noted any more."""

    async def module(_: NoGateway, reference: str) -> Module:
        return Module(reference, "wasm", "", b"\0asm")

    monkeypatch.setattr(NoGateway, "module", module, raising=False)
    async with up(home) as node:
        book = Book(home.folder / "remote.db")
        book.put(home.server.url, CODE, "0" * 64, WASM_MODULE)
        book.close()
        for known in (LUA_MODULE, WASM_MODULE):
            assert (await node.fetch(known)).data == b"\0asm"


@in_loop
async def test_code_is_known_by_the_name_it_was_published_under_last(home: Home) -> None:
    async with up(home) as node:
        made = []
        for code in (b"x = 1", b"x = 2"):
            publication = await node.publication(home.wallet, code, "prog")
            made.append((await node.publish(publication)).id)
        assert (await node.fetch("prog")).id == made[1] != made[0]
        assert (await node.fetch(made[0])).id == made[0]


@in_loop
async def test_an_error_that_nobody_signed_says_what_was_asked(home: Home) -> None:
    home.server.sign_all = True
    async with up(home) as node:
        process = await spawn(node, home)
        node.verify = Verify.ON
        home.server.faults["slot/current"] = lambda *_: (500, [], b"who knows")
        with pytest.raises(AoError, match=f"when asked about the process {process}") as raised:
            await node.slots(process)
        assert "who knows" not in raised.value.what
