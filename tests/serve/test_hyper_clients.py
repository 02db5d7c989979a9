"""Clients of HyperBEAM nodes from npm, unchanged, against our server.

Checks 5 (its mainnet mode), 7 and 8 of the specification of `aoshell serve`. Without npm or node
they are skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from eventually import in_loop
from zygotes import SHARED

from aoshell.nodes.local.node import LocalNode
from aoshell.protocol.wallet import Wallet
from aoshell.serve.serving import ServeOptions, Serving

pytestmark = pytest.mark.long

DRIVER = Path(__file__).with_name("hyper_clients.mjs")


@contextlib.asynccontextmanager
async def served(folder: Path, key: Wallet) -> AsyncIterator[tuple[LocalNode, str]]:
    """A node, and its URL."""
    node = await LocalNode.open(folder, supervisor=SHARED)
    serving = await Serving.open(node, ServeOptions(0), tell=print, key=key)
    try:
        yield node, serving.facts.url
    finally:
        await serving.close()
        await node.close()


async def session(packages: Path, url: str, name: str) -> Any:
    """What a session of the driver found."""
    pipe = asyncio.subprocess.PIPE
    command = ("node", str(DRIVER), str(packages), url, name)
    running = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    try:
        said, errors = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
    assert running.returncode == 0, errors.decode()[-3000:]
    return json.loads(said)


@in_loop
async def test_aoconnect(packages: Path, tmp_path: Path, wallet: Wallet) -> None:
    async with served(tmp_path, wallet) as (node, url):
        found = await session(packages, url, "aoconnect")
        assert found["scheduler"] == wallet.address
        assert (found["slot"], found["id"]) == (1, 2)
        assert found["result"]["Output"]["data"] == "2"
        assert found["full"]["Output"]["data"] == "6"
        assert "boom" in found["failed"]["Error"]
        assert found["lines"]["Output"]["data"] == "two\nlines"
        (edge,) = found["results"]["edges"]
        assert (edge["cursor"], edge["node"]["Output"]["data"]) == ("5", "two\nlines")
        assert found["dryrun"]["Output"]["data"] == "mn1!"
        assert found["absent"]["error"]
        info = await node.find(found["process"])
        assert (info.name, info.slots, info.authority) == ("mn1", 6, wallet.address)


@in_loop
async def test_core_libs(packages: Path, tmp_path: Path, wallet: Wallet) -> None:
    async with served(tmp_path, wallet) as (node, url):
        found = await session(packages, url, "coreLibs")
        assert (found["read"]["status"], found["read"]["text"]) == (200, "0")
        assert json.loads(found["one"]["text"])["raw"]["Output"]["data"] == "23"
        assert found["lines"]["status"] == 400  # it has signed a body, and sent none
        assert "ao-core-libs 0.0.9 loses it" in json.loads(found["lines"]["text"])["body"]
        assert json.loads(found["item"]["text"])["raw"]["Output"]["data"] == "1"
        assert found["slot"] == 2 == await node.slots(found["process"]) - 1


@in_loop
async def test_wao(packages: Path, tmp_path: Path, wallet: Wallet) -> None:
    async with served(tmp_path, wallet) as (node, url):
        found = await session(packages, url, "wao")
        assert found["operator"] == found["address"] == wallet.address
        assert found["slots"] == [1, 2, 3, 4]
        assert found["compute"]["Output"]["data"] == "2"
        assert found["lines"]["Output"]["data"] == "1"
        assert found["flat"] == "8"
        assert found["legacy"]["Output"]["data"] == "10"
        assert found["now"] == found["slot"] == 4
        assert [edge["node"]["Output"]["data"] for edge in found["results"]["edges"]] == ["10", "8"]
        assert found["dryrun"]["Output"]["data"] == "12"
        assert found["long"]["Output"]["data"] == "9000"
        assert "error" in found["elsewhere"]  # its own default is another port
        edges = found["messages"]["edges"]
        assert [edge["cursor"] for edge in edges] == [0, 1, 2]
        async with httpx.AsyncClient(base_url=url) as legacy:  # the same as the CU gives it
            for slot, name in ((1, "compute"), (2, "lines"), (4, "legacy")):
                answer = await legacy.get(f"/result/{slot}?process-id={found['pid']}")
                assert answer.json() == found[name]
        entry = await node.schedule(found["pid"], 1, 1)
        assert edges[1]["node"]["message"]["Id"] == entry[0].id


@in_loop
async def test_the_legacy_client_of_wao(packages: Path, tmp_path: Path, wallet: Wallet) -> None:
    async with served(tmp_path, wallet) as (_, url):
        found = await session(packages, url, "waoLegacy")
        assert found["err"] is None
        assert found["evaluated"]["Output"]["data"] == "2"
        assert [one["Data"] for res in found["said"] for one in res["Messages"]] == ["hi you"]
        assert "Error" not in found["dry"]
