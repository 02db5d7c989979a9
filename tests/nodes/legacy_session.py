"""A node of the legacy network, open on a network in this process, and its user."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from legacy_server import Network, Reply, served

from aoshell.nodes.remote.arweave.gateway import Gateway
from aoshell.nodes.remote.http import client as http
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.legacy import node, units
from aoshell.nodes.remote.legacy.node import LegacyNode, LegacyUrls
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.values import Receipt
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Tag, tags_of
from aoshell.protocol.wallet import Wallet

MODULE = "m" * 43
BUSY = Reply(429, b"", (("retry-after", "0"),))
HTML = Reply(200, b"<!DOCTYPE html><title>Sign in</title>", (("content-type", "text/html"),))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits as long as a user would."""
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(units, "FIRST_LOOK", 0.01)
    monkeypatch.setattr(node, "LOOK", 0.01)


@pytest.fixture
def network() -> Iterator[Network]:
    with served(Network()) as network:
        yield network


class Session:
    """An open node, and its user."""

    def __init__(self, network: Network, folder: Path, wallet: Wallet) -> None:
        self.network = network
        self.wallet = wallet
        self.waiting = Waiting()
        gateway = Gateway(
            Client(network.unit("gateway"), self.waiting),
            folder / "code",
            Client(network.unit("bundler"), self.waiting),
        )
        mu, cu, su = (network.unit(unit) for unit in ("mu", "cu", "su"))
        urls = LegacyUrls(mu, cu, su, "S" * 43, "A" * 43, MODULE)
        self.book = Book(folder / "book.db")
        self.node = LegacyNode(urls, self.book, gateway, self._wallet, self.waiting)
        self.node._feed._pauses = 0.01, 0.05

    async def _wallet(self) -> Wallet:
        return self.wallet

    async def item(self, process: str, line: str) -> DataItem:
        tags = tags_of([("Action", "Eval")])
        item = await self.node.sign(self.wallet, process, tags, line.encode())
        assert isinstance(item, DataItem)
        return item

    async def spawn(self, name: str = "counter") -> str:
        item = await self.node.sign(self.wallet, "", (Tag("Name", name),), b"")
        return (await self.node.spawn(item, name)).process

    async def send(self, process: str, line: str) -> Receipt:
        return await self.node.send(process, await self.item(process, line))

    def from_elsewhere(self, process: str, line: str, *, computed: bool = False) -> str:
        """A message that somebody else sent."""
        item = DataItem.sign(self.wallet, process, tags_of([("Action", "Say")]), line.encode())
        self.network.schedule(item, computed=computed)
        return item.id


Opened = Callable[[], contextlib.AbstractAsyncContextManager[Session]]
Test = Callable[[Session], Awaitable[None]]


@pytest.fixture
def opened(network: Network, tmp_path: Path, wallet: Wallet) -> Opened:
    """Opens a node. The next call opens the next session of the same user."""

    @contextlib.asynccontextmanager
    async def opening() -> AsyncIterator[Session]:
        session = Session(network, tmp_path, wallet)
        try:
            yield session
        finally:
            await session.node.close()

    return opening


@pytest.fixture
def run(opened: Opened) -> Callable[[Test], None]:
    def running(test: Test) -> None:
        async def whole() -> None:
            async with opened() as session:
                await asyncio.wait_for(test(session), 60)

        asyncio.run(whole())

    return running
