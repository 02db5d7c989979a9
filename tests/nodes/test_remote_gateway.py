"""Code from a gateway is what its id stands for, or refused; and code on its way there."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from legacy_server import Network, Reply, served, told

from aoshell.errors import AoError, UnsupportedError
from aoshell.nodes.remote.arweave import gateway, transactions
from aoshell.nodes.remote.arweave.gateway import Gateway
from aoshell.nodes.remote.arweave.transactions import data_root
from aoshell.nodes.remote.http import client as http
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.deephash import deep_hash
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Tag, tags_of
from aoshell.protocol.wallet import Wallet

LUA = b"return 1 + 1"
WASM = (Path(__file__).parents[2] / "examples/wasm/counter.wasm").read_bytes()
T = TypeVar("T")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)


@pytest.fixture
def network() -> Iterator[Network]:
    with served(Network()) as network:
        yield network


@pytest.fixture
def ask(network: Network, tmp_path: Path) -> Callable[..., Any]:
    """Calls a method of a gateway that was not open before."""

    def asking(method: str, *args: Any) -> Any:
        async def whole() -> Any:
            waiting = Waiting()
            clients = (Client(network.unit(unit), waiting) for unit in ("gateway", "bundler"))
            opened = Gateway(next(clients), tmp_path / "cache" / "code", next(clients))
            try:
                return await asyncio.wait_for(getattr(opened, method)(*args), 60)
            finally:
                await opened.close()

        return asyncio.run(whole())

    return asking


def signed(wallet: Wallet, data: bytes = LUA, **fields: Any) -> DataItem:
    return DataItem.sign(wallet, tags=tags_of([("Name", "n\u00e4me")]), data=data, **fields)


# Data items --------------------------------------------------------------------------------------


@pytest.mark.parametrize("anchor", [b"", bytes(range(200, 232)), b"0" * 32])
def test_an_item_is_built_again_and_kept(
    ask: Any, network: Network, wallet: Wallet, anchor: bytes
) -> None:
    item = signed(wallet, target=wallet.address, anchor=anchor)
    network.publish(item)
    for _ in range(2):
        module = ask("module", item.id)
        assert (module.id, module.kind, module.name) == (item.id, "lua", "n\u00e4me")
        assert module.data == LUA
    assert len(network.asked("gateway")) == 2  # once: what is known of it, and its data


def test_an_anchor_as_gateways_also_write_it(ask: Any, network: Network, wallet: Wallet) -> None:
    item = signed(wallet, anchor=b"0123456789abcdef0123456789abcdef")
    network.publish(item, anchor=item.anchor.decode())
    assert ask("module", item.id).data == LUA


def test_wasm_is_told_by_its_content(ask: Any, network: Network, wallet: Wallet) -> None:
    item = signed(wallet, WASM)
    network.publish(item)
    assert ask("module", item.id).kind == "wasm"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"signature": ""}, "does not report its signature"),
        ({"signature": "<not-found>"}, "does not report its signature"),
        ({"owner": {"address": "x"}}, "does not report its owner's key"),
        ({"owner": None}, "does not report its owner's key"),
        ({"tags": None}, "does not report its tags"),
        ({"tags": []}, "has not signed"),
        ({"tags": [{"name": "Name", "value": "other"}]}, "has not signed"),
        ({"recipient": "A" * 43}, "has not signed"),
        ({"recipient": "nobody"}, "recipient is no address"),
        ({"anchor": "x"}, "anchor"),
        ({"owner": {"key": b64url(os.urandom(512))}}, "has not signed"),
        ({"owner": {"key": b64url(os.urandom(20))}}, "has not signed"),
        ({"signature": b64url(os.urandom(512))}, "belongs to another id"),
    ],
)
def test_what_cannot_be_verified_is_refused(
    ask: Any, network: Network, wallet: Wallet, tmp_path: Path, changes: Any, what: str
) -> None:
    item = signed(wallet)
    network.publish(item, **changes)
    with pytest.raises(AoError, match=what) as caught:
        ask("module", item.id)
    assert caught.value.stage == "verify"
    assert item.id in caught.value.what
    assert not (tmp_path / "cache" / "code" / item.id).exists()


def test_changed_data_is_refused(ask: Any, network: Network, wallet: Wallet) -> None:
    item = signed(wallet)
    network.publish(item)
    network.data[item.id] = LUA + b" "
    with pytest.raises(AoError, match="has not signed"):
        ask("module", item.id)


def test_what_was_changed_in_the_cache_is_fetched_again(
    ask: Any, network: Network, wallet: Wallet, tmp_path: Path
) -> None:
    item = signed(wallet)
    network.publish(item)
    ask("module", item.id)
    kept = tmp_path / "cache" / "code" / item.id
    assert kept.stat().st_mode & 0o077 == 0
    for damage in (b"", b"{}", b"{\n", os.urandom(2000), kept.read_bytes()[:-1] + b"2"):
        kept.write_bytes(damage)
        assert ask("module", item.id).data == LUA
    assert kept.read_bytes() == item.raw


def test_a_cache_that_cannot_be_written_keeps_no_part(
    ask: Any, network: Network, wallet: Wallet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(file: Path, data: bytes) -> int:
        with file.open("wb") as half:
            half.write(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    item = signed(wallet)
    network.publish(item)
    monkeypatch.setattr(Path, "write_bytes", is_full)
    assert ask("module", item.id).data == LUA
    assert not list((tmp_path / "cache" / "code").iterdir())


def test_no_such_transaction(ask: Any, network: Network) -> None:
    with pytest.raises(AoError, match="has no transaction") as caught:
        ask("module", "A" * 43)
    assert caught.value.stage == "fetch"
    for reference in ("", "aos", "A" * 42, "../" * 14 + "x"):
        with pytest.raises(AoError, match="no transaction id"):
            ask("module", reference)
    network.fail("gateway", told({"data": None}))
    with pytest.raises(AoError) as caught:
        ask("module", "A" * 43)
    assert caught.value.stage == "lookup"


def test_too_much_is_not_begun(ask: Any, network: Network, wallet: Wallet) -> None:
    item = signed(wallet)
    network.publish(item, data={"size": str(gateway.LARGEST_CODE + 1)})
    with pytest.raises(AoError, match="code may have 64"):
        ask("module", item.id)
    assert len(network.asked("gateway")) == 1


def test_no_data(ask: Any, network: Network, wallet: Wallet) -> None:
    item = signed(wallet)
    network.publish(item)
    del network.data[item.id]
    with pytest.raises(AoError, match="does not give the data"):
        ask("module", item.id)


# Base layer transactions -------------------------------------------------------------------------


def transaction(wallet: Wallet, data: bytes, format: int, **changes: Any) -> dict[str, Any]:
    """A signed header, as a gateway gives it."""
    tags = [(b"Content-Type", b"application/lua"), (b"Name", b"base")]
    last, reward = os.urandom(48), b"1234"
    root = data_root(data) if data else b""
    if format == 1:
        parts = (wallet.owner, b"", data, b"0", reward, last, *(p for tag in tags for p in tag))
        message = b"".join(parts)
    else:
        size = b"%d" % len(data)
        message = deep_hash((b"2", wallet.owner, b"", b"0", reward, last, tags, size, root))
    signature = wallet.sign(message)
    return {
        "format": format,
        "id": b64url(hashlib.sha256(signature).digest()),
        "last_tx": b64url(last),
        "owner": b64url(wallet.owner),
        "tags": [{"name": b64url(name), "value": b64url(value)} for name, value in tags],
        "target": "",
        "quantity": "0",
        "reward": "1234",
        "signature": b64url(signature),
        "data_root": b64url(root) if format == 2 else "",
        "data_size": str(len(data)),
        "data": b64url(data) if format == 1 else "",
    } | changes


@pytest.mark.parametrize("format", [1, 2])
def test_a_transaction_is_verified_and_kept(
    ask: Any, network: Network, wallet: Wallet, format: int
) -> None:
    header = transaction(wallet, LUA, format)
    id = header["id"]
    network.headers[id], network.data[id] = header, LUA
    for _ in range(2):
        module = ask("module", id)
        assert (module.id, module.name, module.data) == (id, "base", LUA)
    assert len(network.asked("gateway")) == (2 if format == 1 else 3)  # GraphQL, header, data


@pytest.mark.parametrize("format", [1, 2])
@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"reward": "1235"}, "has not signed"),
        ({"reward": 7}, "reward is no number"),
        ({"tags": []}, "has not signed"),
        ({"tags": [7]}, "tags are no list"),
        ({"tags": [{"name": "!", "value": ""}]}, "name is no base64url"),
        ({"owner": ""}, "ECDSA"),
        ({"format": 3}, "format 3 is not known"),
        ({"signature": b64url(os.urandom(512))}, "belongs to another id"),
        ({"signature": None}, "belongs to another id"),
        ({"target": "A" * 43}, "has not signed"),
    ],
)
def test_a_changed_transaction_is_refused(
    wallet: Wallet, format: int, changes: Any, what: str
) -> None:
    header = transaction(wallet, LUA, format)
    transactions.check_transaction(header["id"], header, LUA)
    with pytest.raises(transactions.NotVerifiedError, match=what):
        transactions.check_transaction(header["id"], header | changes, LUA)


@pytest.mark.parametrize(
    ("format", "data", "what"),
    [(1, b"other", "signed"), (2, b"return 1 + 2", "data_root"), (2, b"other", "12 bytes of data")],
)
def test_other_data_is_refused(wallet: Wallet, format: int, data: bytes, what: str) -> None:
    header = transaction(wallet, LUA, format)
    with pytest.raises(transactions.NotVerifiedError, match=what):
        transactions.check_transaction(header["id"], header, data)


def h(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()


def at(offset: int) -> bytes:
    return offset.to_bytes(32, "big")


def leaf(chunk: bytes, end: int) -> bytes:
    return h(hashlib.sha256(chunk).digest(), at(end))


K = 1024


def test_the_root_of_one_chunk() -> None:
    assert data_root(b"abc") == leaf(b"abc", 3)


@pytest.mark.parametrize(
    ("size", "chunks"),
    [
        (256 * K - 1, [256 * K - 1]),
        (300 * K, [256 * K, 44 * K]),
        (270 * K + 1, [135 * K + 1, 135 * K]),  # the last would have 14 KiB: two alike
        (3 * 256 * K + 40 * K, [256 * K, 256 * K, 256 * K, 40 * K]),
        (2 * 256 * K + 5, [256 * K, 128 * K + 3, 128 * K + 2]),
    ],
)
def test_the_root_of_many(size: int, chunks: list[int]) -> None:
    data, start, layer = os.urandom(size), 0, []
    for length in chunks:
        layer.append((leaf(data[start : start + length], start + length), start + length))
        start += length
    assert start == size
    while len(layer) > 1:
        upper = []
        for n in range(0, len(layer), 2):
            if n + 1 == len(layer):
                upper.append(layer[n])
            else:
                (left, end), (right, last) = layer[n : n + 2]
                upper.append((h(left, right, at(end)), last))
        layer = upper
    assert data_root(data) == layer[0][0]


def test_full_chunks_may_be_closed_by_an_empty_one(wallet: Wallet) -> None:
    data = os.urandom(256 * K)
    open_root, closed = leaf(data, 256 * K), leaf(b"", 256 * K)
    assert data_root(data, closing=False) == open_root
    assert data_root(data) == h(open_root, closed, at(256 * K))
    header = transaction(wallet, data, 2)
    transactions.check_transaction(header["id"], header, data)


# Publishing --------------------------------------------------------------------------------------


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

    run(whole())


def run(whole: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(whole)


# Look-ups ----------------------------------------------------------------------------------------


def test_many_come_in_pages(network: Network, wallet: Wallet, tmp_path: Path) -> None:
    one = signed(wallet)
    network.publish(one)
    node = network.transactions.pop(one.id)
    for n in range(250):
        network.transactions[str(n)] = node | {"id": str(n)}

    async def whole() -> list[str]:
        opened = Gateway(Client(network.unit("gateway"), Waiting()), tmp_path)
        listed = opened.listed(wallet.address, {"Name": "n\u00e4me"})
        found = [node["id"] async for node in listed]
        await opened.close()
        return found

    assert run(whole()) == [str(n) for n in range(250)]
    assert len(network.asked("gateway")) == 3


def test_names_are_no_part_of_the_query(ask: Any, network: Network) -> None:
    name = '"]}]) { edges { node { id } } } #'
    with pytest.raises(AoError):
        ask("find", name, "o" * 43, "ao.TN.1")
    ((_, body),) = network.asked("gateway")
    asked = json.loads(body)
    assert name not in asked["query"]
    assert {"name": "Name", "values": [name]} in asked["variables"]["tags"]


def listing(*ids: str) -> Reply:
    edges = [{"cursor": id, "node": {"id": id, "tags": []}} for id in ids]
    return told({"data": {"transactions": {"edges": edges}}})


def test_the_entry_of_another_transaction_is_not_taken(ask: Any, network: Network) -> None:
    network.fail("gateway", listing("x" * 43), listing("x" * 43, "y" * 43))
    assert ask("transaction", "y" * 43) is None
    assert ask("transaction", "y" * 43)["id"] == "y" * 43


def test_a_gateway_that_repeats_its_page_is_asked_no_further(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "PAGE", 2)
    network.fail("gateway", *[listing("x" * 43, "y" * 43)] * gateway.PAGES)

    async def whole() -> list[object]:
        opened = Gateway(Client(network.unit("gateway"), Waiting()), tmp_path)
        found = [node["id"] async for node in opened.listed("o" * 43, {})]
        await opened.close()
        return found

    assert run(whole()) == ["x" * 43, "y" * 43]
    assert len(network.asked("gateway")) == 2
