"""A real node that is served on loopback, and a client of it."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from zygotes import SHARED

from aoshell.bounded.http import trusted
from aoshell.errors import AoError
from aoshell.nodes.local.node import LocalNode
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.keys import Signer
from aoshell.protocol.message import Tag, tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.serve.serving import ServeOptions, Serving
from aoshell.serve.workbench import SignAs

AOS = "ISShJH1ij-hPPt9St5UFFr_8Ys3Kj5cyg7zrMGt7H9s"  # aos's module on the network
AUTHORITY = "fcoN_xJeisVsPXA-trzVAuIiqO3ydLQxM-L4XbrQKzY"  # the one that aos always names
SCHEDULER = "_GQ33BkPtZrqxA84vM8Zk-N2aO0toNNu_C-l-rawrBA"
NOBODY = "z" * 42 + "w"
COUNTER = """
N = 0
Handlers.add("Add", "Add", function(msg) N = N + 1 msg.reply({Data = tostring(N)}) end)
"""


def tags(**values: str) -> tuple[Tag, ...]:
    """Tags by keyword, `_` for `-`."""
    return tags_of((name.replace("_", "-"), value) for name, value in values.items())


@dataclass
class ServedNode:
    """A node, where it is served, and who signs for its client."""

    node: LocalNode
    serving: Serving
    client: httpx.AsyncClient
    signer: Signer
    told: list[AoError]

    # Items --------------------------------------------------------------------------------------

    def message(
        self, target: str, data: str | bytes = b" ", signer: Signer | None = None, **values: str
    ) -> DataItem:
        """A signed message, as aoconnect makes one."""
        named = tags(**values, SDK="aoconnect", Data_Protocol="ao", Variant="ao.TN.1")
        body = data.encode() if isinstance(data, str) else data
        return DataItem.sign(signer or self.signer, target, (*named, Tag("Type", "Message")), body)

    def definition(self, module: str = AOS, **values: str) -> DataItem:
        """A signed process, as aos makes one."""
        values = {"Name": "p", "Authority": AUTHORITY} | values
        values |= {"SDK": "aoconnect", "Data_Protocol": "ao", "Variant": "ao.TN.1"}
        named = tags(**values, Type="Process", Module=module, Scheduler=SCHEDULER)
        return DataItem.sign(self.signer, "", named, b" ")

    # Requests -----------------------------------------------------------------------------------

    async def post(self, item: DataItem | bytes, path: str = "/") -> httpx.Response:
        """Post an item, as clients do."""
        raw = item if isinstance(item, bytes) else item.raw
        head = {"content-type": "application/octet-stream", "accept": "application/json"}
        return await self.client.post(path, content=raw, headers=head)

    async def spawn(self, source: str = "", **values: str) -> str:
        """A process that has evaluated `source`; its id."""
        item = self.definition(**values)
        answer = await self.post(item)
        assert answer.status_code == 202, answer.text
        if source:
            assert "Error" not in await self.eval(item.id, source)
        return item.id

    async def send(self, process: str, data: str | bytes = b" ", **values: str) -> str:
        """Send a message; its id."""
        item = self.message(process, data, **values)
        answer = await self.post(item)
        assert (answer.status_code, answer.json()["id"]) == (202, item.id), answer.text
        return item.id

    async def result(self, process: str, message: str) -> dict[str, Any]:
        """The result of a message."""
        answer = await self.client.get(f"/result/{message}?process-id={process}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def eval(self, process: str, code: str) -> dict[str, Any]:
        """The result of a line of Lua."""
        return await self.result(process, await self.send(process, code, Action="Eval"))

    async def get(self, path: str, status: int = 200) -> Any:
        """The JSON at a path."""
        answer = await self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.json()


@contextlib.asynccontextmanager
async def served(
    folder: Path,
    signer: Signer,
    *,
    sign_as: SignAs | None = None,
    key: Wallet | None = None,
    **options: Any,
) -> AsyncIterator[ServedNode]:
    """A node on a folder, served on a port that is free; as HyperBEAM, too, where it has a key."""
    told: list[AoError] = []
    node = await LocalNode.open(folder, supervisor=SHARED)
    try:
        serving = await Serving.open(
            node, ServeOptions(port=0, **options), tell=told.append, sign_as=sign_as, key=key
        )
        try:
            async with httpx.AsyncClient(
                verify=trusted(), base_url=serving.facts.url, timeout=60
            ) as client:
                yield ServedNode(node, serving, client, signer, told)
        finally:
            await serving.close()
    finally:
        await node.close()
    assert not told


def content(folder: Path) -> str:
    """A digest of all that is in the database of a node; it may be open."""
    db = sqlite3.connect(f"file:{folder / 'node.db'}?mode=ro", uri=True)
    try:
        digest = hashlib.sha256()
        for line in db.iterdump():
            digest.update(line.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()
    finally:
        db.close()
