"""The bundler: uploads, and modules under the ids that they have on the network."""

from __future__ import annotations

from pathlib import Path

import pytest
from eventually import in_loop
from served_node import content, served, tags

from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.wallet import Wallet

LUA = b'Handlers.add("Hi", "Hi", function(msg) msg.reply({Data = "hi " .. ao.env.Module.Id}) end)'
MODULE = tags(Data_Protocol="ao", Variant="ao.TN.1", Type="Module", Module_Format="lua")


@pytest.mark.parametrize("path", ["/tx", "/tx/arweave", "/v1/tx", "/v1/tx/solana", "/upload"])
@in_loop
async def test_a_module_keeps_its_id(path: str, folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        module = DataItem.sign(wallet, "", MODULE, LUA)
        answer = (await on.post(module, path)).json()
        assert (answer["id"], answer["owner"]) == (module.id, wallet.address)
        assert answer["version"] == "1.0.0" and type(answer["timestamp"]) is int
        assert answer["dataCaches"] == answer["fastFinalityIndexes"] == []
        assert (await on.post(module, path)).status_code == 200  # once more
        process = on.definition(module.id)
        assert (await on.post(process)).status_code == 202
        message = await on.send(process.id, Action="Hi")
        (sent,) = (await on.result(process.id, message))["Messages"]
        assert sent["Data"] == f"hi {module.id}"
        found = await on.client.get(f"/{process.id}?process-id={process.id}")
        assert {"name": "Module", "value": module.id} in found.json()["edges"][0]["node"][
            "message"
        ]["tags"]


@in_loop
async def test_uploads_are_kept(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        item = DataItem.sign(wallet, "", tags(Content_Type="image/png"), b"\x89PNG" * 1000)
        assert (await on.post(item, "/tx")).status_code == 200
        network = on.node.network
        assert network is not None
        stored = await network.item(item.id)
        assert stored is not None and stored.message.data == item.data


@in_loop
async def test_what_is_no_upload(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        before = content(folder)
        wasm = DataItem.sign(wallet, "", MODULE, b"\0asm" + b"\1" * 100)
        raw = DataItem.sign(wallet, "", (), b"data").raw
        for bad in (wasm.raw, raw[:-1] + b"b", raw[:1000], b""):
            answer = await on.post(bad, "/tx")
            assert answer.status_code == 400 and answer.json()["error"]
        assert content(folder) == before


@in_loop
async def test_nothing_costs_anything(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        for path in ("/price/bytes/1000000", "/price/arweave/bytes/5"):
            assert (await on.client.get(path)).text == "0"
        balance = await on.get(f"/account/balance/arweave?address={wallet.address}")
        assert int(balance["balance"]) > 0
