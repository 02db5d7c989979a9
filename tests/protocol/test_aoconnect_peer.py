"""What the network's own libraries sign verifies here, and what is signed here verifies there.

They come from npm, at the versions that the network's clients use; without npm this is skipped.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from npm_packages import installed

from aoshell.nodes.remote.arweave import transactions
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.bundle import Bundle
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Tag, tags_of
from aoshell.protocol.wallet import Wallet

PEER = Path(__file__).with_name("aoconnect_peer.mjs")
TAGS = [("Action", "Eval"), ("Ünïcode", "\N{SNOWMAN} ö"), ("Empty-ish", " "), ("Action", "twice")]

Peer = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """Has the libraries answer requests, all in one run of node."""
    folder = installed(tmp_path_factory)
    with subprocess.Popen(
        ["node", str(PEER), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as node:
        assert node.stdin and node.stdout
        read, write = node.stdout.readline, node.stdin.write

        def ask(*requests: dict[str, Any]) -> list[dict[str, Any]]:
            answers = []
            for request in requests:
                write(json.dumps(request) + "\n")
                node.stdin.flush()
                answer = read()
                assert answer, "node has ended: what it said is among what was captured"
                answers.append(json.loads(answer))
            return answers

        yield ask


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def unb64(encoded: str) -> bytes:
    return base64.b64decode(encoded)


def named(pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def test_aoconnect_signs_and_we_verify(peer: Peer, wallet: Wallet) -> None:
    request = {
        "call": "byAoconnect",
        "jwk": wallet.jwk(),
        "target": wallet.address,
        "tags": named(TAGS),
        "data": b64("return 'ü'".encode()),
    }
    (answer,) = peer(request)
    item = DataItem.parse(unb64(answer["raw"]))
    assert item.verify()
    assert (item.id, item.owner_address) == (answer["id"], wallet.address)
    assert (item.target, item.data.decode()) == (wallet.address, "return 'ü'")
    assert set(tags_of(TAGS)) <= set(item.tags)
    assert item.raw == unb64(answer["raw"])


def test_arbundles_signs_and_we_verify(peer: Peer, wallet: Wallet) -> None:
    kinds: list[tuple[str, list[Any], int]] = [
        ("ArweaveSigner", [wallet.jwk()], 1),
        ("EthereumSigner", ["11" * 32], 3),
    ]
    shapes: list[dict[str, Any]] = [
        {"target": "", "tags": [], "data": b""},
        {"target": wallet.address, "tags": named(TAGS), "data": bytes(range(256))},
        {"target": "", "tags": named(TAGS), "data": b"x" * 300_000, "anchor": b64(b"a" * 32)},
    ]
    asked = [(kind, shape) for kind in kinds for shape in shapes]
    answers = peer(
        *(
            {"call": "byArbundles", "kind": kind, "key": key, **shape, "data": b64(shape["data"])}
            for (kind, key, _), shape in asked
        )
    )
    for ((_, _, number), shape), answer in zip(asked, answers, strict=True):
        item = DataItem.parse(unb64(answer["raw"]))
        assert (item.type, item.id, item.verify()) == (number, answer["id"], True)
        assert item.data == shape["data"]
        assert named([(tag.name, tag.value) for tag in item.tags]) == shape["tags"]
        assert not DataItem.parse(unb64(answer["raw"]) + b"x").verify()


def test_we_sign_and_arbundles_verifies(peer: Peer, wallet: Wallet) -> None:
    items = [
        DataItem.sign(wallet),
        DataItem.sign(wallet, wallet.address, tags_of(TAGS), b"1 + 1"),
        DataItem.sign(wallet, "", tags_of(TAGS), os.urandom(300_000), bytes(range(32))),
        DataItem.sign(wallet, "", [Tag(f"n{n}", "v" * n) for n in range(1, 65)], b"x"),
    ]
    answers = peer(*({"call": "verified", "raw": b64(item.raw)} for item in items))
    for item, answer in zip(items, answers, strict=True):
        assert answer["valid"] is True
        assert (answer["id"], answer["owner"]) == (item.id, b64url(wallet.owner))
        assert (answer["target"], unb64(answer["anchor"])) == (item.target, item.anchor)
        assert answer["tags"] == named([(tag.name, tag.value) for tag in item.tags])
        assert unb64(answer["data"]) == item.data
    forged = bytearray(items[1].raw)
    forged[-1] ^= 1
    (answer,) = peer({"call": "verified", "raw": b64(bytes(forged))})
    assert answer["valid"] is False


def test_arbundles_bundles_and_we_read(peer: Peer, wallet: Wallet) -> None:
    items = [DataItem.sign(wallet, data=b"%d" % n) for n in range(3)]
    request = {
        "call": "bundled",
        "jwk": wallet.jwk(),
        "items": [b64(item.raw) for item in items],
    }
    raw = unb64(peer(request)[0]["raw"])
    bundle = Bundle.parse(raw)  # arbundles has signed the items once more
    assert [item.data for item in bundle.items] == [item.data for item in items]
    assert {item.owner for item in bundle.items} == {wallet.owner}
    assert all(item.verify() for item in bundle.items) and bundle.verify()
    assert Bundle.of(bundle.items).raw == raw


SIZES = [0, 1, 262_143, 262_144, 262_145, 300_000, 524_288, 1_000_000, 1_060_000]


def test_base_layer_transactions(peer: Peer, wallet: Wallet) -> None:
    cases = [
        (format, os.urandom(size))
        for format, sizes in ((1, [0, 1000]), (2, SIZES))
        for size in sizes
    ]
    requests = [
        {
            "call": "transaction",
            "jwk": wallet.jwk(),
            "data": b64(data),
            "tags": named(TAGS),
            "format": format,
        }
        for format, data in cases
    ]
    for (_, data), answer in zip(cases, peer(*requests), strict=True):
        header = answer["header"]
        transactions.check_transaction(header["id"], header, data)
        with pytest.raises(transactions.NotVerifiedError):
            transactions.check_transaction(header["id"], header, data + b"\0")
