"""Our own remote client against our own server, with every answer verified."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from eventually import in_loop, until
from hyper_home import MODULE
from zygotes import SHARED

from aoshell.backends import _completed
from aoshell.home.endpoints import resolve_endpoints
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.remote.arweave.gateway import Gateway
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.hyperbeam.node import HyperBeamNode
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.values import Event, Verify
from aoshell.protocol.message import Message, Result, tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.sandbox import hyperaos
from aoshell.serve.serving import ServeOptions, Serving

SGR = re.compile(r"\x1b\[[0-9;]*m")
EVAL = tags_of([("Action", "Eval")])
LUA = tags_of([("execution-device", "lua@5.3a")])  # messages to such are httpsig, to others items


class Remote:
    """A session of the remote client: its lines, and what its feed showed."""

    def __init__(self, node: HyperBeamNode, wallet: Wallet) -> None:
        self.node, self.wallet = node, wallet
        self.process = ""
        self.shown: list[Event] = []

    async def spawn(self, *tags: object) -> str:
        wanted = (*tags_of([("Module", MODULE), ("Name", "own")]), *tags)
        item = await self.node.sign(self.wallet, "", wanted, b"")  # type: ignore[arg-type]
        self.process = (await self.node.spawn(item, "own")).process
        await self.node.watch(self.process)
        return self.process

    async def eval(self, line: str) -> Result:
        item = await self.node.sign(self.wallet, self.process, EVAL, line.encode())
        receipt = await self.node.send(self.process, item)
        assert receipt.slot is not None
        result = await self.node.result(self.process, receipt.slot)
        await self.node.settled(item.id)
        return result

    def outputs(self) -> list[str]:
        entries = [event.entry for event in self.shown if event.kind == "result"]
        return [SGR.sub("", one.result.output) for one in entries if one and one.result]

    def notices(self) -> str:
        return "\n".join(event.detail for event in self.shown if event.kind == "notice")


@contextlib.asynccontextmanager
async def connected(folder: Path, key: Wallet, wallet: Wallet) -> AsyncIterator[Remote]:
    """A client that verifies, and the server that it speaks to."""

    async def mine() -> Wallet:
        return wallet

    local = await LocalNode.open(folder / "node", supervisor=SHARED)
    serving = await Serving.open(local, ServeOptions(0), tell=print, key=key)
    url, waiting = serving.facts.url, Waiting()
    gateway = Gateway(Client(url, waiting), folder / "code")
    node = HyperBeamNode(url, Book(folder / "book.db"), gateway, mine, waiting)
    node.verify = Verify.ON
    client = Remote(node, wallet)
    following = asyncio.create_task(_follow(client))
    try:
        yield client
    finally:
        following.cancel()
        await node.close()
        await serving.close()
        await local.close()


async def _follow(client: Remote) -> None:
    async for event in client.node.subscribe():
        client.shown.append(event)


@pytest.mark.parametrize("tags", [(), LUA], ids=["items", "httpsig"])
@in_loop
async def test_a_whole_session_is_verified(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet, tags: tuple[object, ...]
) -> None:
    async with connected(tmp_path, other_wallet, wallet) as client:
        node = client.node
        assert (await node.info()).address == other_wallet.address
        assert await node.default_module() == MODULE
        assert (await node.fetch(MODULE)).name == "aos"  # the node has it, and no gateway does
        process = await client.spawn(*tags)
        assert (await client.eval("1+1")).output == "2"
        assert "boom" in (await client.eval("error('boom')")).error
        assert (await client.eval("return 'a\\nb  '")).output == "a\nb  "
        await client.eval("Handlers.add('P', 'Ping', function(m) print('PING ' .. m.From) end)")
        sent = await client.eval("Send({Target = ao.id, Action = 'Ping'})")
        assert [one.target for one in sent.messages] == [process]
        await until(lambda: f"PING {process}" in client.outputs(), "the feed shows the pushed one")
        patch = "Send({device = 'patch@1.0', cache = {list = {'a', 'b'}, Name = 'Tok'}, n = 5})"
        await client.eval(patch)
        assert await node.now(process, "cache") == {"list": ["a", "b"], "Name": "Tok"}
        assert (await node.now(process, "cache/Name"), await node.now(process, "n")) == ("Tok", 5)
        line = Message("", wallet.address, wallet.address, process, EVAL, b"'dry/' .. Name")
        assert (await node.dryrun(process, line)).output == "dry/own"
        log = await node.schedule(process, 0, 99)
        assert [one.assignment.slot for one in log if one.assignment] == [*range(8)]
        assert [one.from_ == process for one in log] == [False] * 6 + [True, False]
        entries = await node.results(process)
        assert [e.result.outcome for e in entries if e.result].count("error") == 1
        assert (await node.find(process)).slots == 8
        findings = await node.doctor()
        assert findings[0].ok, findings
        assert node._trust.state == "verified", node.last_failure
        assert "names the process and the slot" in client.notices()
        assert not [event for event in client.shown if event.kind == "undelivered"]


@in_loop
async def test_what_does_not_arrive_is_told(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with connected(tmp_path, other_wallet, wallet) as client:
        await client.spawn()
        await client.eval("Send({Target = string.rep('A', 43), Action = 'Lost'})")
        await until(lambda: any(event.kind == "undelivered" for event in client.shown))


@in_loop
async def test_bytes_that_are_no_text_are_listed(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with connected(tmp_path, other_wallet, wallet) as client:
        process = await client.spawn()
        item = await client.node.sign(wallet, process, tags_of([("Action", "X")]), b"\xff\xfe")
        await client.node.send(process, item)
        found = await client.node.schedule(process, 1, 1)
        assert found[0].id == item.id


@in_loop
async def test_code_is_published_and_run(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with connected(tmp_path, other_wallet, wallet) as client:
        publication = await client.node.publication(wallet, hyperaos.source(), "environment")
        module = await client.node.publish(publication)
        assert await client.node.fetch(module.id) == replace(module, data=b"")
        item = await client.node.sign(wallet, "", tags_of([("Module", module.id)]), b"")
        client.process = (await client.node.spawn(item)).process
        assert (await client.eval("6*7")).output == "42"


@in_loop
async def test_a_served_node_is_its_own_gateway(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with connected(tmp_path, other_wallet, wallet) as client:
        url, named = client.node.endpoint, Path("/nowhere")
        found = await _completed(resolve_endpoints({"node": url}, {}, named))
        assert (found.gateway, found.bundler) == (url, url)
        mine = resolve_endpoints({"node": url, "gateway": "https://g.example"}, {}, named)
        assert await _completed(mine) == mine
        findings = {one.name: one.ok for one in await client.node.doctor()}
        assert findings == {"node": True, "gateway": True}
    nobody = resolve_endpoints({"node": url}, {}, named)
    assert await _completed(nobody) == nobody


@in_loop
async def test_head(tmp_path: Path, wallet: Wallet, other_wallet: Wallet) -> None:
    async with connected(tmp_path, other_wallet, wallet) as client:
        process = await client.spawn()
        await client.eval("Send({device = 'patch@1.0', cache = {a = 1}})")
        async with httpx.AsyncClient(base_url=client.node.endpoint) as plain:
            path = f"/{process}~process@1.0/now/cache"
            head, whole = await plain.head(path), await plain.get(path)
            assert (head.status_code, head.content, whole.headers["a"]) == (200, b"", "1")
            assert (await plain.head(path + "/none")).status_code == 404


@in_loop
async def test_monitoring(tmp_path: Path, wallet: Wallet, other_wallet: Wallet) -> None:
    """`.monitor` and `.unmonitor` of our own client at our own server."""
    async with connected(tmp_path, other_wallet, wallet) as client:
        process = await client.spawn(*tags_of([("Cron-Interval", "5-minutes")]))

        async def runs() -> bool:
            address = re.sub("^http://", "", client.node.endpoint)
            async with httpx.AsyncClient() as http:
                stopped = await http.get(f"http://{address}/~cron@1.0/stop?task={process}")
            return stopped.status_code == 200

        await client.node.monitor(wallet, process, True)
        await client.node.monitor(wallet, process, False)
        assert not await runs()
        await client.node.monitor(wallet, process, True)
        assert await runs()
        await client.node.monitor(wallet, process, False)  # what is stopped already is no error
