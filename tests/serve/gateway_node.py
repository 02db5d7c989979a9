"""A node in memory for the gateway: only its items, by number."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from aoshell.nodes.served import NetworkModule, Stored, StoredPage
from aoshell.nodes.transaction import Transaction
from aoshell.nodes.values import Module
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Assignment, Message, tags_of
from aoshell.serve.asgi.http import Request, Response
from aoshell.serve.blocks import block_height
from aoshell.serve.gateway import Gateway
from aoshell.serve.items import Checker

TIME = 1_795_976_895_000  # milliseconds
STEP = 40_000  # between two messages, so that some share a block

WELL_KNOWN = "ISShJH1ij-hPPt9St5UFFr_8Ys3Kj5cyg7zrMGt7H9s"


def id_of(name: str) -> str:
    """An id of its own for each name."""
    return b64url(hashlib.sha256(name.encode()).digest())


class GatewayNode:
    """What the gateway uses of `NetworkVerbs`.

    Attributes:
        stored: what the node keeps, oldest first.
        pages: how many pages were read of it.
    """

    def __init__(self) -> None:
        self.address = id_of("node")
        self.stored: list[Stored] = []
        self._came = 0  # messages, with those that were taken back since: time goes one way
        self.cuts = 0
        self.lowest: list[int] = []
        self.pages = 0
        self.known = {WELL_KNOWN: NetworkModule(WELL_KNOWN, id_of("aos"), "aos", MODULE_TAGS)}
        self.data: dict[str, Module] = {}

    @property
    def time(self) -> int:
        return TIME + STEP * self._came

    @property
    def height(self) -> int:
        return block_height(self.time)

    async def item(self, id: str) -> Stored | None:
        return next((one for one in self.stored if one.message.id == id), None)

    async def module(self, id: str) -> Module | None:
        return self.data.get(id)

    def modules(self) -> list[NetworkModule]:
        return list(self.known.values())

    async def keep(self, item: DataItem | Transaction, *, client: str = "") -> None:
        if await self.item(item.id) is None:
            seq, at = self._next(), self.time
            address = item.owner_address
            message = Message(item.id, address, address, item.target, item.tags, item.data)
            self._store(Stored(seq, "", message, item, client, at))

    def _store(self, stored: Stored) -> None:
        self.stored.append(stored)
        self._came += 1

    def _next(self) -> int:
        return self.stored[-1].seq + 1 if self.stored else 1

    async def stored_behind(self, seq: int, limit: int) -> StoredPage:
        self.pages += 1
        entries = tuple(one for one in self.stored if one.seq > seq)[:limit]
        return StoredPage(self.cuts, entries, tuple(self.lowest))

    def cut(self, taken: set[int], *, told: bool = True) -> None:
        """Take back messages by number; the highest numbers are given again."""
        self.stored = [one for one in self.stored if one.seq not in taken]
        self.cuts += 1
        self.lowest = [*self.lowest, min(taken)] if told else []

    # For tests --------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        *tags: tuple[str, str],
        owner: str = "user",
        target: str = "",
        data: bytes = b"1984",
        process: str = "",
        item: DataItem | None = None,
        id: str | None = None,
    ) -> str:
        """Keep a message; its id.

        Args:
            process: the name of the process in whose log it is; by default its target's.
            item: what was signed; then the rest is of the item.
        """
        seq = self._next()
        home = id_of(process or target or name)
        at = self.time
        place = Assignment(home, seq, 0, at, block_height(at), "", seq)
        target = item.target if item else id_of(target) if target else home
        message = Message(
            id=item.id if item else id_of(name) if id is None else id,
            owner=item.owner_address if item else id_of(owner),
            from_="",
            target=target,
            tags=item.tags if item else tags_of(tags),
            data=item.data if item else data,
            anchor="",
            assignment=place,
        )
        self._store(Stored(seq, home, message, item, "", at))
        return message.id


MODULE_TAGS = tags_of(
    (
        ("Data-Protocol", "ao"),
        ("Variant", "ao.TN.1"),
        ("Type", "Module"),
        ("Module-Format", "wasm64-unknown-emscripten-draft_2024_02_15"),
        ("Input-Encoding", "JSON-V1"),
        ("Output-Encoding", "JSON-V1"),
    )
)


class Asked:
    """A gateway over a node in memory, to be asked as a client asks it."""

    def __init__(self, folder: Path, node: GatewayNode | None = None) -> None:
        self.node = node or GatewayNode()
        self.index = folder / "index.db"
        self.checker = Checker()
        self.gateway = Gateway(self.node, self.checker, self.index)  # type: ignore[arg-type]

    async def get(self, path: str, *headers: tuple[str, str]) -> Response | None:
        """The answer to a GET; `path` with a query."""
        path, _, query = path.partition("?")
        return await self.gateway.answer(Request("GET", path, query, headers))

    async def json(self, path: str) -> Any:
        response = await self.get(path)
        assert response is not None and response.status == 200, response
        return json.loads(response.body)

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer to a GraphQL query."""
        return await self.post({"query": query, "variables": variables})

    async def post(self, body: Any, path: str = "/graphql") -> dict[str, Any]:
        """The whole answer to the body of a GraphQL request."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = (("host", "127.0.0.1:4000"), ("content-type", "application/json"))
        response = await self.gateway.answer(Request("POST", path, "", headers, raw))
        assert response is not None and response.status == 200
        answer: dict[str, Any] = json.loads(response.body)
        return answer

    async def data(self, query: str, **variables: Any) -> dict[str, Any]:
        """What a GraphQL query gives, which must have no errors."""
        answer = await self.ask(query, **variables)
        assert answer.keys() == {"data"}, answer
        return dict(answer["data"])

    async def ids(self, arguments: str) -> list[str]:
        """The ids of the transactions that arguments give."""
        data = await self.data(f"{{ transactions({arguments}) {{ edges {{ node {{ id }} }} }} }}")
        return [edge["node"]["id"] for edge in data["transactions"]["edges"]]

    async def error(self, query: str, **variables: Any) -> str:
        """The text of the error that a GraphQL query gives."""
        answer = await self.ask(query, **variables)
        assert answer["data"] is None, answer
        (error,) = answer["errors"]
        return str(error["message"])
