"""Transactions of the base layer: signed ones are taken, changed ones are refused."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest
from gateway_session import LUA, ask
from legacy_server import Network
from legacy_session import network, quick

from aoshell.nodes.remote.arweave import transactions
from aoshell.nodes.remote.arweave.transactions import data_root
from aoshell.protocol.deephash import deep_hash
from aoshell.protocol.encoding import b64url
from aoshell.protocol.wallet import Wallet

__all__ = ["ask", "network", "quick"]  # fixtures


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
