"""A gateway open on a network in this process, and code that is signed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from legacy_server import Network

from aoshell.nodes.remote.arweave.gateway import Gateway
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet

LUA = b"return 1 + 1"
WASM = (Path(__file__).parents[2] / "examples/wasm/counter.wasm").read_bytes()


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
