"""Code on its way to a bundler: what it costs, what is sent, what is known afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from gateway_session import LUA, WASM, ask
from legacy_server import Network, Reply, told
from legacy_session import network, quick

from aoshell.errors import AoError, UnsupportedError
from aoshell.nodes.remote.arweave.gateway import Gateway
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.protocol.message import Tag
from aoshell.protocol.wallet import Wallet

__all__ = ["ask", "network", "quick"]  # fixtures


@pytest.mark.parametrize(
    ("price", "cost"),
    [
        (None, ""),
        ({"winc": "1500000000"}, "0.001500 AR"),
        ({"winc": "0"}, "free"),
        (2_000_000_000_000, "2.000000 AR"),
        ({"winc": "much"}, ""),
        ({"winc": "9" * 400}, ""),
        ({"winc": "٣"}, ""),
        ([], ""),
    ],
)
def test_what_it_would_cost(
    ask: Any, network: Network, wallet: Wallet, price: object, cost: str
) -> None:
    network.price = price
    publication = ask("publication", wallet, LUA, "adder")
    assert (publication.cost, publication.size) == (cost, len(publication.item.raw))
    assert publication.destination == network.unit("bundler")
    assert not network.asked("bundler", "POST")  # nothing is sent before it is wanted


def test_published_and_used(ask: Any, network: Network, wallet: Wallet) -> None:
    publication = ask("publication", wallet, LUA, "adder")
    item = publication.item
    assert item.verify()
    assert {
        Tag("Content-Type", "application/lua"),
        Tag("Type", "Module"),
        Tag("Data-Protocol", "ao"),
        Tag("Module-Format", "lua"),
        Tag("Name", "adder"),
    } <= set(item.tags)
    network.fail("bundler", Reply(cut=True), Reply(503, headers=(("retry-after", "0"),)))
    module = ask("publish", publication)
    assert (module.id, module.kind, module.name, module.data) == (item.id, "lua", "adder", LUA)
    sent = [body for path, body in network.asked("bundler", "POST") if path == "/tx"]
    assert sent == [item.raw] * 3  # the same item, however often
    assert ask("module", item.id) == module
    assert not network.asked("gateway")  # what was uploaded is known


def test_wasm_says_its_format(ask: Any, wallet: Wallet) -> None:
    tags = ask("publication", wallet, WASM, "").item.tags
    named = {tag.name: tag.value for tag in tags}
    assert named["Content-Type"] == "application/wasm"
    assert named["Module-Format"].startswith("wasm")
    assert "Name" not in named


@pytest.mark.parametrize("data", [b"", b"  \n", b"\xff\xfe", b"\0asm\1\0\0\0\xff"])
def test_what_is_no_code_is_not_published(ask: Any, wallet: Wallet, data: bytes) -> None:
    with pytest.raises(AoError):
        ask("publication", wallet, data, "")


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (told({"error": "Insufficient balance"}, 402), "402"),
        (told({"id": "x" * 43}), "says it keeps it as xxx"),
        (Reply(200, b"Success"), ""),
    ],
)
def test_what_the_bundler_says(
    ask: Any, network: Network, wallet: Wallet, reply: Reply, what: str
) -> None:
    publication = ask("publication", wallet, LUA, "adder")
    network.fail("bundler", reply)
    if not what:
        assert ask("publish", publication).id == publication.item.id
        return
    with pytest.raises(AoError, match=what) as caught:
        ask("publish", publication)
    assert caught.value.stage == "upload"
    assert caught.value.hint


def test_without_a_bundler(network: Network, tmp_path: Path, wallet: Wallet) -> None:
    async def whole() -> None:
        opened = Gateway(Client(network.unit("gateway"), Waiting()), tmp_path)
        with pytest.raises(UnsupportedError):
            await opened.publication(wallet, LUA, "")
        assert [name for name, _, _ in opened.probes] == ["gateway"]
        await opened.close()

    asyncio.run(whole())
