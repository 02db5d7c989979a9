"""A real node behind the HyperBEAM role, asked with requests or over HTTP."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zygotes import SHARED

from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.remote.http.answer import Response as Answer
from aoshell.nodes.remote.hyperbeam.signed import examine
from aoshell.protocol import signing
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.httpsig import SignatureStatus
from aoshell.protocol.message import tags_of, text
from aoshell.protocol.wallet import Wallet
from aoshell.serve.asgi.http import Request, Response
from aoshell.serve.asgi.load import Load
from aoshell.serve.hyper.call import Services
from aoshell.serve.hyper.role import HyperBeam
from aoshell.serve.items import Checker
from aoshell.serve.units.cu import ComputeUnit
from aoshell.serve.units.mu import Submitting

MODULE = "ISShJH1ij-hPPt9St5UFFr_8Ys3Kj5cyg7zrMGt7H9s"  # aos, which the environment stands for
ITEM = (("content-type", "application/ans104"), ("codec-device", "ans104@1.0"))
AS_JSON = (("accept", "application/json"),)


@dataclass
class Home:
    """The node and its role.

    Attributes:
        key: of the node.
        wallet: of the client.
    """

    node: LocalNode
    role: HyperBeam
    key: Wallet
    wallet: Wallet

    async def ask(
        self,
        method: str,
        path: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> Response:
        target, _, query = path.partition("?")
        answer = await self.role.answer(Request(method, target, query, headers, body))
        assert answer is not None, path
        return answer

    async def get(self, path: str, *headers: tuple[str, str]) -> Response:
        return await self.ask("GET", path, headers)

    async def text(self, path: str) -> str:
        """The body of an answer that must succeed."""
        answer = await self.get(path)
        assert answer.status == 200, (path, answer.body)
        return answer.body.decode()

    async def json(self, path: str) -> Any:
        return json.loads(await self.text(f"{path}/serialize~json@1.0"))

    async def said(self, path: str, *headers: tuple[str, str]) -> dict[str, Any]:
        """The content of an answer, after a check of its signature."""
        return self.checked(await self.get(path, *headers))

    def checked(self, answer: Response) -> dict[str, Any]:
        headers = [(name, text(value.encode("latin-1"))) for name, value in answer.headers]
        found = examine(Answer("", answer.status, tuple(headers), answer.body))
        assert found.outcome is SignatureStatus.VERIFIED, found.failure
        assert found.committers == (self.key.address,)
        assert found.verified["status"] == answer.status
        return dict(found.verified)

    # Out --------------------------------------------------------------------------------------

    def item(self, target: str, data: str = "", **tags: str) -> DataItem:
        named = {"Data-Protocol": "ao", "Type": "Message", "Variant": "ao.N.1"}
        named |= {name.replace("_", "-"): value for name, value in tags.items()}
        return DataItem.sign(self.wallet, target, tags_of(named.items()), data.encode())

    def definition(self, **tags: str) -> DataItem:
        own = {"Type": "Process", "Module": MODULE, "Authority": self.key.address}
        return self.item("", **(own | tags))

    async def post(self, path: str, item: DataItem, *headers: tuple[str, str]) -> Response:
        return await self.ask("POST", path, (*ITEM, *headers), item.raw)

    async def post_httpsig(self, path: str, message: dict[str, Any]) -> Response:
        made = signing.request(self.wallet, path, message, profile=CURRENT)
        headers = tuple((name, value.encode().decode("latin-1")) for name, value in made.headers)
        return await self.ask("POST", path, headers, made.body)

    async def spawn(self, **tags: str) -> str:
        answer = await self.post("/push", self.definition(**tags))
        assert answer.status == 200, answer.body
        return dict(answer.headers)["process"]

    async def push(self, process: str, line: str) -> dict[str, Any]:
        """The result of an Eval, sent as aoconnect does."""
        path = f"/{process}~process@1.0/push"
        answer = await self.post(path, self.item(process, line, Action="Eval"), *AS_JSON)
        assert answer.status == 200, answer.body
        return self.checked(answer)

    async def slots(self, process: str) -> int:
        return await self.node.slots(process)


def in_path(**tags: str) -> str:
    """Tags as aoconnect puts them into the path of a dry run."""
    return "".join(f"&{name}={quote(value)}" for name, value in tags.items())


@contextlib.asynccontextmanager
async def hyper_home(folder: Path, key: Wallet, wallet: Wallet) -> AsyncIterator[Home]:
    """An open node with its role."""
    node = await LocalNode.open(folder, supervisor=SHARED)
    checker = Checker()
    try:
        network = node.network
        assert network is not None
        submitting = Submitting(network, "auto")
        dry_runs = Load().dry_runs
        units = ComputeUnit(node, network, checker, dry_runs)
        behind = Services(node, network, checker, submitting, key, dry_runs, units)
        yield Home(node, HyperBeam(behind), key, wallet)
    finally:
        checker.close()
        await node.close()
