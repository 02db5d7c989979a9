"""Code from a gateway matches its id or is refused; what a gateway finds."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from gateway_session import LUA, WASM, ask, signed
from legacy_server import Network, Reply, told
from legacy_session import network, quick
from program import AOSHELL
from program import run as run_program

from aoshell.errors import AoError
from aoshell.nodes.remote.arweave import gateway
from aoshell.nodes.remote.arweave.gateway import Gateway
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.values import NotFoundError
from aoshell.protocol.encoding import b64url
from aoshell.protocol.wallet import Wallet

__all__ = ["ask", "network", "quick"]  # fixtures


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

    assert asyncio.run(whole()) == [str(n) for n in range(250)]
    assert len(network.asked("gateway")) == 3


def test_names_are_no_part_of_the_query(ask: Any, network: Network) -> None:
    name = '"]}]) { edges { node { id } } } #'
    with pytest.raises(AoError):
        ask("find", name, "o" * 43, "ao.TN.1")
    ((_, body),) = network.asked("gateway")
    asked = json.loads(body)
    assert name not in asked["query"]
    assert {"name": "Name", "values": [name]} in asked["variables"]["tags"]


def test_a_name_that_is_not_found_says_what_was_asked_for(ask: Any, network: Network) -> None:
    network.fail("gateway", listing(), listing())
    with pytest.raises(NotFoundError) as raised:
        ask("find", "bank", "o" * 43, "ao.TN.1")
    # A process of another network may have the name, and one without a tag Name is not listed.
    assert f"{'o' * 43} has no process named 'bank' of Variant ao.TN.1, says " in raised.value.what
    assert "without a tag Name" in raised.value.hint
    with pytest.raises(NotFoundError, match="has no process named 'bank', says "):
        ask("find", "bank", "o" * 43)


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

    assert asyncio.run(whole()) == ["x" * 43, "y" * 43]
    assert len(network.asked("gateway")) == 2


def test_fuzz_fetches_the_module_that_it_is_given_once(
    network: Network, wallet: Wallet, aoshell_home: Path, tmp_path: Path
) -> None:
    item = signed(wallet, data=b"Limit = 5")
    network.publish(item)
    fault = 'Handlers.add("Go", "Go", function() if Limit then local _ = Nothing.x end end)'
    (tmp_path / "a.lua").write_text(fault)
    environment = {**os.environ, "GATEWAY_URL": network.unit("gateway")}
    command = [*AOSHELL, "fuzz", "a.lua", "-x", "--module", item.id]
    for _ in range(2):
        done = run_program(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 1, done.stderr
        assert 'handler "Go"' in done.stdout
    assert len(network.asked("gateway")) == 2  # once: what is known of it, and its data
    assert not (aoshell_home / "state").exists()  # the home is only read
