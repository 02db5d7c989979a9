"""Checkpoints on Arweave: only those of pinned owners, with the claimed content, count.

The gateway of `aoshell serve` has them here.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
from eventually import in_loop
from served_node import NOBODY, ServedNode, served
from test_forks import settings

from aoshell.errors import AoError
from aoshell.forks import remote as remotes
from aoshell.forks.remote import Remote
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet

PROCESS, MODULE = NOBODY, "m" * 42 + "w"


async def published(there: ServedNode, signer: Wallet, memory: bytes, **changed: str) -> None:
    """Upload a checkpoint; `changed` are tags that lie, `_` for `-`."""
    named = {
        "Data-Protocol": "ao",
        "Type": "Checkpoint",
        "Process": PROCESS,
        "Module": MODULE,
        "Nonce": "7",
        "SHA-256": hashlib.sha256(memory).hexdigest(),
        "Content-Encoding": "gzip",
    } | {name.replace("_", "-"): value for name, value in changed.items()}
    item = DataItem.sign(signer, "", tags_of(named.items()), gzip.compress(memory))
    answer = await there.post(item, "/tx")
    assert answer.status_code in (200, 202), answer.text


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch, other_wallet: Wallet) -> Wallet:
    """The only owner whose checkpoints count."""
    monkeypatch.setattr(remotes, "CHECKPOINT_OWNERS", (other_wallet.address,))
    return other_wallet


@in_loop
async def test_the_newest_one_of_a_pinned_owner_is_taken(
    folder: Path, wallet: Wallet, pinned: Wallet
) -> None:
    old, new = bytes(65536) + b"a" * 65536, b"b" * 65536
    async with served(folder / "there", wallet) as there:
        await published(there, pinned, old)
        await published(there, pinned, new, Nonce="9")
        await published(there, wallet, b"c" * 65536, Nonce="10")  # of somebody else
        remote = Remote.named(there.serving.facts.url, settings(folder))
        try:
            found = await remote.checkpoint(PROCESS, MODULE, 20)
            assert found is not None and (found.slot, found.data) == (9, new)
            assert found.vouched.startswith(pinned.address)
            found = await remote.checkpoint(PROCESS, MODULE, 8)
            assert found is not None and (found.slot, found.data) == (7, old)
            assert await remote.checkpoint(PROCESS, MODULE, 6) is None
            assert await remote.checkpoint(MODULE, MODULE, 20) is None
            assert await remote.state(PROCESS) is None
        finally:
            await remote.close()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"SHA_256": "0" * 64}, "does not have the SHA-256"),
        ({"Module": "n" * 42 + "w"}, "its Module is"),
        ({"Content_Encoding": "none"}, "does not have the SHA-256"),
    ],
)
@in_loop
async def test_one_that_lies_is_refused(
    folder: Path, wallet: Wallet, pinned: Wallet, changed: dict[str, str], named: str
) -> None:
    async with served(folder / "there", wallet) as there:
        await published(there, pinned, b"a" * 65536, **changed)
        remote = Remote.named(there.serving.facts.url, settings(folder))
        try:
            with pytest.raises(AoError, match=named):
                await remote.checkpoint(PROCESS, MODULE, 20)
        finally:
            await remote.close()


@in_loop
async def test_what_unpacks_to_too_much_is_refused(
    folder: Path, wallet: Wallet, pinned: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remotes, "LARGEST_MEMORY", 1 << 20)
    async with served(folder / "there", wallet) as there:
        await published(there, pinned, bytes(2 << 20))
        remote = Remote.named(there.serving.facts.url, settings(folder))
        try:
            with pytest.raises(AoError, match="unpack to more than 1 MB"):
                await remote.checkpoint(PROCESS, MODULE, 20)
        finally:
            await remote.close()
