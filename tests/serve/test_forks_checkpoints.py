"""Checkpoints on Arweave: only those of pinned owners, with the claimed content, count.

The gateway of `aoshell serve` has them here.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from eventually import in_loop
from served_node import NOBODY, ServedNode, served
from test_forks import settings

from aoshell.errors import AoError
from aoshell.forks import remote as remotes
from aoshell.forks.remote import Remote
from aoshell.nodes.remote.arweave.verified import VerifiedCode
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


class LyingGateway:
    """Lists one checkpoint as whoever asks wants it, and gives another one."""

    def __init__(self, owner: str, tags: list[tuple[str, str]], data: bytes) -> None:
        self.given = VerifiedCode("c" * 43, tags_of(tags), data, b"", owner)
        self.says = remotes.CHECKPOINT_OWNERS[0]
        self.nonces = ["5", "x", "7", "9" * 16, "8", "6"]

    async def listed(self, _owner: str, _tags: object) -> AsyncIterator[dict[str, object]]:
        for nonce in self.nonces:
            tags = [{"name": "Nonce", "value": nonce}]
            yield {"id": self.given.id, "owner": {"address": self.says}, "tags": tags}

    async def code(self, _id: str) -> VerifiedCode:
        return self.given


MEMORY = b"m" * 65536
SIGNED = {
    "Type": "Checkpoint",
    "Process": PROCESS,
    "Module": MODULE,
    "Nonce": "7",
    "SHA-256": hashlib.sha256(MEMORY).hexdigest(),
    "Content-Encoding": "gzip",
}


def lying(folder: Path, gateway: LyingGateway) -> Remote:
    remote = Remote.named("http://127.0.0.1:1", settings(folder))
    remote.gateway = gateway  # type: ignore[assignment]
    return remote


@pytest.mark.parametrize("name", ["Type", "Process", "Module", "Nonce"])
@pytest.mark.parametrize("doubled", [False, True])
@in_loop
async def test_what_is_signed_counts_and_not_what_a_gateway_lists(
    folder: Path, name: str, doubled: bool
) -> None:
    """Of two tags of a name the first."""
    owner, packed = remotes.CHECKPOINT_OWNERS[0], gzip.compress(MEMORY)
    own = list(SIGNED.items())
    other = [(name, "other"), *own] if doubled else [*(SIGNED | {name: "other"}).items()]
    for tags, fits in ((own, True), (other, False)):
        remote = lying(folder, LyingGateway(owner, tags, packed))
        try:
            if fits:
                found = await remote.checkpoint(PROCESS, MODULE, 7)
                assert found is not None and found.data == MEMORY
            else:
                with pytest.raises(AoError, match=f"its {name} is 'other'"):
                    await remote.checkpoint(PROCESS, MODULE, 7)
        finally:
            await remote.close()


@in_loop
async def test_who_signed_counts_and_not_whom_a_gateway_names(folder: Path) -> None:
    gateway = LyingGateway("s" * 43, list(SIGNED.items()), gzip.compress(MEMORY))
    remote = lying(folder, gateway)
    try:
        with pytest.raises(AoError, match="is not trusted for memories"):
            await remote.checkpoint(PROCESS, MODULE, 7)
        gateway.says = "s" * 43
        assert await remote.checkpoint(PROCESS, MODULE, 7) is None
    finally:
        await remote.close()


@in_loop
async def test_a_memory_that_breaks_off_is_refused(folder: Path) -> None:
    owner = remotes.CHECKPOINT_OWNERS[0]
    for cut, why in ((-9, "another SHA-256|break off"), (-1, "break off")):
        packed = gzip.compress(MEMORY)[:cut]
        remote = lying(folder, LyingGateway(owner, list(SIGNED.items()), packed))
        try:
            with pytest.raises(AoError, match=why):
                await remote.checkpoint(PROCESS, MODULE, 7)
        finally:
            await remote.close()
