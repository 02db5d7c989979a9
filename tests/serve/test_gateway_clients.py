"""arweave-js, arbundles and scheduler-utils, from npm, against a node that is served.

This is conformance check 10, and the part of check 16 that a client can do alone.

Without npm this is skipped.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from eventually import in_loop
from zygotes import SHARED

from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.values import envelope
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Tag
from aoshell.protocol.wallet import Wallet
from aoshell.serve.serving import ServeOptions, Serving

pytestmark = pytest.mark.long

PEER = Path(__file__).with_name("gateway_peer.mjs")
SCHEDULER = "_GQ33BkPtZrqxA84vM8Zk-N2aO0toNNu_C-l-rawrBA"  # of the network, as aoconnect names it
SIZES = [5, 0, 300_000, 1_100_000]


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[LocalNode, str]]:
    """A node, and the URL at which it is served."""
    node = await LocalNode.open(folder, supervisor=SHARED)
    serving = None
    try:
        serving = await Serving.open(node, ServeOptions(port=0), tell=pytest.fail)
        yield node, serving.facts.url
    finally:
        if serving is not None:
            await serving.close()
        await node.close()


async def ask(
    packages: Path, url: str, wallet: Wallet, folder: Path, process: str
) -> dict[str, Any]:
    key = folder / "wallet.json"
    key.write_text(json.dumps(wallet.jwk()))
    command = ["node", str(PEER), str(packages), url, str(key), process]
    pipe = asyncio.subprocess.PIPE
    started = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    out, err = await started.communicate()
    assert started.returncode == 0, err.decode()
    answer: dict[str, Any] = json.loads(out)
    return answer


def test_clients(packages: Path, tmp_path: Path, wallet: Wallet) -> None:
    """Not `in_loop`: clients sign with RSA in JavaScript, for a minute on a busy machine."""
    asyncio.run(check_clients(packages, tmp_path, wallet))


async def check_clients(packages: Path, tmp_path: Path, wallet: Wallet) -> None:
    async with served(tmp_path / "node") as (node, url):
        tags = (*envelope("Process"), Tag("Scheduler", SCHEDULER))
        process = (await node.spawn(DataItem.sign(wallet, tags=tags))).process
        got = await ask(packages, url, wallet, tmp_path, process)
        assert got["network"]["height"] == got["current"]["height"]
        assert got["block"] == got["current"]
        assert (got["balance"], got["last"], got["price"], got["peers"]) == ("0", "", "0", [])
        for post, size in zip(got["posts"], SIZES, strict=True):
            assert (post["status"], post["same"], post["verified"]) == (200, True, True), post
            assert post["tags"] == [["Content-Type", "image/png"], ["Size", str(size)]]
            assert post["confirmed"]["confirmed"]["number_of_confirmations"] >= 0
        posts = [post["id"] for post in got["posts"]]
        assert [one["id"] for one in got["found"]] == [process, *posts]
        for one, size in zip(got["found"][1:], SIZES, strict=True):
            assert one["owner"] == {"address": wallet.address}
            assert one["data"] == {"size": str(size), "type": "image/png"}
            assert one["block"]["height"] > 2_000_000
        assert got["module"] == {"id": got["module"]["id"], "status": 200, "same": True}
        assert (got["located"]["url"], got["located"]["address"]) == (url, SCHEDULER)
        assert got["valid"] is True and got["location"]["url"] == url
        assert got["none"]["status"] == 200 and got["none"]["body"]["data"] is None
        await spawn_of(node, got["module"]["id"], wallet)
    async with served(tmp_path / "node") as (node, url), httpx.AsyncClient(base_url=url) as client:
        answer = await client.get(f"/{got['posts'][3]['id']}")
        assert len(answer.content) == SIZES[3] and answer.headers["content-type"] == "image/png"
        assert answer.headers["content-security-policy"] == "sandbox"


async def spawn_of(node: LocalNode, module: str, wallet: Wallet) -> None:
    """A process of an uploaded module evaluates a line."""
    tags = (*envelope("Process"), Tag("Module", module), Tag("Authority", wallet.address))
    receipt = await node.spawn(DataItem.sign(wallet, tags=tags))
    tags = (*envelope("Message"), Tag("Action", "Eval"))
    line = DataItem.sign(wallet, receipt.process, tags, b"return Made")
    sent = await node.send(receipt.process, line)
    result = await node.result(receipt.process, sent.place)
    assert (result.ok, result.output) == (True, "in arbundles"), result


@in_loop
async def test_what_a_node_computed_is_found(tmp_path: Path, wallet: Wallet) -> None:
    """Of a real log: definitions, messages of users and processes, spawns; and `.undo`."""

    async def find(arguments: str) -> list[str]:
        query = f"{{ transactions({arguments}) {{ edges {{ node {{ id recipient }} }} }} }}"
        answer = await client.post("/graphql", json={"query": query})
        return [edge["node"]["id"] for edge in answer.json()["data"]["transactions"]["edges"]]

    async with served(tmp_path / "node") as (node, url), httpx.AsyncClient(base_url=url) as client:
        address = (await node.info()).address
        tags = (*envelope("Process"), Tag("Name", "one"), Tag("Authority", address))
        process = (await node.spawn(DataItem.sign(wallet, tags=tags), "one")).process
        code = (
            b"Send({Target = ao.id, Action = 'Ping'}) "
            b"Spawn(ao.env.Module.Id, {Name = 'child', Tags = {Name = 'child'}})"
        )
        tags = (*envelope("Message"), Tag("Action", "Eval"))
        line = DataItem.sign(wallet, process, tags, code)
        sent = await node.send(process, line)
        assert (await node.result(process, sent.place)).ok
        await node.settled(line.id)
        assert await find('tags: [{name: "Name", values: ["one"]}]') == [process]
        owned = await find(f'owners: ["{wallet.address}"], sort: HEIGHT_ASC')
        assert owned == [process, line.id]
        caused = await find(f'tags: {{name: "Pushed-For", values: "{line.id}"}}')
        (ping,) = await find('tags: {name: "Action", values: "Ping"}')
        spawned = (
            f'{{name: "From-Process", values: "{process}"}}, {{name: "Type", values: "Process"}},'
            '{name: "Action", values: "Spawned", op: NEQ}'
        )
        (child,) = await find(f"tags: [{spawned}]")
        assert {ping, child} < set(caused)
        assert ping in await find(f'recipients: ["{process}"]')
        assert child not in await find(f'recipients: ["{child}"]')
        await node.workbench.undo(process, 1)
        assert await find(f'ids: ["{line.id}", "{ping}", "{process}"]') == [process]
