"""An Arweave gateway over the node: transactions by id and by query, and the facts about a network
that clients ask for before they upload.

Everything that the node keeps counts as a transaction: the messages of its processes, and uploads.
Blocks stand for times of the node (`serve.blocks`), prices and balances are 0.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aoshell.bounded import jsontext
from aoshell.errors import AoError
from aoshell.nodes.network_verbs import NetworkVerbs
from aoshell.nodes.served import Stored
from aoshell.nodes.transaction import Transaction
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url, has_id_form
from aoshell.protocol.message import raw
from aoshell.serve.asgi.http import (
    JSON,
    OCTETS,
    Request,
    Response,
    asks_message,
    failure,
    json_response,
    text_response,
)
from aoshell.serve.asgi.safety import FOREIGN_DATA
from aoshell.serve.blocks import block_id, block_time, height_of
from aoshell.serve.graphql.entries import Entry, to_entry
from aoshell.serve.graphql.executor import execute
from aoshell.serve.graphql.filling import Follower
from aoshell.serve.graphql.transactions import Query
from aoshell.serve.items import Checker, keep
from aoshell.serve.units.su import asks_scheduler
from aoshell.serve.uploads import Uploads

QUERY = "query@1.0"  # the device that answers queries on a HyperBEAM node
CLIENT = "gateway"  # who sent a transaction, in the log

LARGEST_QUERY = 1 << 20  # bytes of a GraphQL request
DEEPEST_QUERY = 64  # levels of its JSON
LONGEST_TYPE = 200  # characters of a content-type

_TYPE = re.compile(
    r"[\w.+-]+/[\w.+*-]+(?:[ \t]*;[ \t]*[\w.-]+=(?:[\w.+:/-]+|\"[ !#-\[\]-~]*\"))*", re.A
)


class Gateway:
    """The role of a gateway.

    Args:
        checker: verifies what is uploaded.
        index: path of the index for GraphQL, beside the node's database; its folder exists.
        scheduler: URL of the scheduler; "" if it is this server.
    """

    def __init__(
        self, node: NetworkVerbs, checker: Checker, index: Path, scheduler: str = ""
    ) -> None:
        self._node = node
        self._checker = checker
        self._follower = Follower(node, index)
        self._scheduler = scheduler
        self._uploads = Uploads()
        self._filling: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Fill the index now, so that the first query does not wait for it."""
        self._filling = asyncio.create_task(self._fill())

    async def _fill(self) -> None:
        with suppress(AoError):  # a query reports it again
            await self._follower.ask(lambda _: None)

    async def close(self) -> None:
        """Close the index."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait([self._filling])
        await self._follower.close()

    async def answer(self, request: Request) -> Response | None:
        """The answer; None where the request is for another role."""
        segments = tuple(map(unquote, request.segments))
        of_node = len(segments) == 2 and request.device == QUERY
        if segments[-1:] == ("graphql",) and (of_node or len(segments) == 1):
            return await self._graphql(request)
        if request.method == "POST" and segments in (("tx",), ("chunk",)):
            return await self._upload(request, segments)
        if request.method != "GET":
            return None
        match segments:
            case ():
                return None if request.has_parameter("debug") else self._root()
            case ("tx", id, *rest) if has_id_form(id):
                return await self._transaction(id, tuple(rest))
            case ("raw", id) if has_id_form(id):
                return await self._data(id)
            case (id,) if has_id_form(id) and not _is_for_others(request):
                return await self._data(id)
        return self._fact(segments)

    # GraphQL ----------------------------------------------------------------------------------

    async def _graphql(self, request: Request) -> Response | None:
        if request.method == "POST":
            body: Any = request.body
        elif request.method == "GET" and request.has_parameter("query"):
            body = dict(request.parameters)
        elif request.method == "GET":
            return failure(400, 'POST {"query": …} here; there is no page to write queries in')
        else:
            return None
        try:
            body = _parsed(body)
        except ValueError:
            return json_response(_errors("The request is not JSON, or exceeds a bound."))
        url = self._scheduler or f"http://{request.header('host')}"
        try:
            return json_response(
                await execute(body, Query(self._node, self._follower, url).resolve)
            )
        except AoError as error:  # its text may name files of the home
            return json_response(_errors(f"The node failed (stage {error.stage})."))

    # Transactions -----------------------------------------------------------------------------

    async def _data(self, id: str) -> Response:
        """The data of a transaction, or the bytes of a module."""
        stored = await self._node.item(id)
        if stored is not None and (entry := to_entry(stored)) is not None:
            return _data_response(stored.message.data, entry.content_type)
        if (module := await self._node.module(id)) is not None:
            kind = "wasm" if module.kind == "wasm" else "lua"
            return _data_response(module.data, f"application/{kind}")
        return _no_transaction(id)

    async def _transaction(self, id: str, rest: tuple[str, ...]) -> Response | None:
        known: dict[tuple[str, ...], Callable[[Stored, Entry], Response]] = {
            (): _header,
            ("status",): self._status,
            ("data",): lambda stored, _: text_response(b64url(stored.message.data)),
            ("offset",): lambda stored, _: _no_offset(stored),
        }
        if rest not in known:
            return None
        stored = await self._node.item(id)
        entry = None if stored is None else to_entry(stored)
        if stored is None or entry is None:
            return _no_transaction(id)
        return known[rest](stored, entry)

    def _status(self, _: Stored, entry: Entry) -> Response:
        return json_response(
            {
                "block_height": entry.height,
                "block_indep_hash": block_id(entry.height),
                "number_of_confirmations": max(0, self._node.height - entry.height),
            }
        )

    async def _upload(self, request: Request, segments: tuple[str, ...]) -> Response | None:
        """Take a transaction of the base layer, or a chunk of one."""
        if not request.header("content-type").startswith(JSON):
            return None  # a data item, for the bundler
        take = self._uploads.take if segments == ("tx",) else self._uploads.add
        for transaction in await self._checker.run(lambda: take(request.body)):
            await keep(self._node, transaction, CLIENT)
        return text_response("OK")

    # The network ------------------------------------------------------------------------------

    def _root(self) -> Response:
        more = {"address": self._node.address, "timestamp": self._node.time}
        return json_response({**self._info(), **more})

    def _info(self) -> dict[str, Any]:
        height = self._node.height
        return {
            "network": "aoshell.LN.1",
            "version": 5,
            "release": 1,
            "height": height,
            "current": block_id(height),
            "blocks": height + 1,
            "peers": 0,
            "queue_length": 0,
            "node_state_latency": 0,
        }

    def _fact(self, segments: tuple[str, ...]) -> Response | None:
        """A fact about the network that clients ask for; None for other paths."""
        match segments:
            case ("info",):
                return json_response(self._info())
            case ("height",):
                return text_response(str(self._node.height))
            case ("peers",):
                return json_response([])
            case ("tx_anchor",):
                return text_response(block_id(self._node.height))
            case ("price", size, *_) if size.isdecimal() and len(segments) <= 3:
                return text_response("0")
            case ("wallet", _, "balance"):
                return text_response("0")
            case ("wallet", _, "last_tx"):
                return text_response("")
            case ("block", "current"):
                return self._block(self._node.height)
            case ("block", "height", height) if height.isdecimal() and len(height) < 20:
                return self._block(int(height))
            case ("block", "hash", id):
                return self._block(height_of(id))
        return None

    def _block(self, height: int | None) -> Response:
        if height is None or height > self._node.height:
            return failure(404, "there is no such block")
        return json_response(
            {
                "indep_hash": block_id(height),
                "hash": block_id(height),
                "previous_block": block_id(height - 1),
                "timestamp": block_time(height) // 1000,
                "height": height,
                "txs": [],
                "weave_size": "0",
                "block_size": "0",
            }
        )


def _parsed(body: Any) -> Any:
    """A GraphQL request as one JSON value: a body, or the parameters of a query string."""
    if isinstance(body, bytes):
        return jsontext.parse(body, largest=LARGEST_QUERY, deepest=DEEPEST_QUERY)
    if "variables" in body:
        given = body["variables"]
        body["variables"] = jsontext.parse(given, largest=LARGEST_QUERY, deepest=DEEPEST_QUERY)
    return body


def _errors(what: str) -> dict[str, Any]:
    return {"errors": [{"message": what}], "data": None}


def _is_for_others(request: Request) -> bool:
    """Whether a request for an id is for a scheduler, or for a message of HyperBEAM."""
    return asks_scheduler(request) or asks_message(request)


def _data_response(data: bytes, type: str) -> Response:
    clean = type if len(type) <= LONGEST_TYPE and _TYPE.fullmatch(type) else OCTETS
    return Response(200, (("content-type", clean), *FOREIGN_DATA), data)


def _no_transaction(id: str) -> Response:
    return failure(404, f"no transaction {id} is on this node")


def _no_offset(stored: Stored) -> Response:
    """arweave-js asks for the offset first, and then for the data by the id."""
    id = stored.message.id
    what = f"this node has no weave, so {id} has no offset: /{id} has its data"
    return failure(404, what)


def _header(stored: Stored, entry: Entry) -> Response:
    """A transaction as Arweave nodes show it. Data items have no `data_root` and no `reward`."""
    if isinstance(stored.signed, Transaction):
        return json_response({"id": entry.id, **stored.signed.header, "data": ""})
    item = stored.signed if isinstance(stored.signed, DataItem) else None
    tags = item.tags if item else stored.message.tags
    return json_response(
        {
            "format": 2,
            "id": entry.id,
            "last_tx": entry.anchor,
            "owner": b64url(item.owner) if item else "",
            "tags": [
                {"name": b64url(raw(tag.name)), "value": b64url(raw(tag.value))} for tag in tags
            ],
            "target": entry.recipient,
            "quantity": "0",
            "data": "",
            "data_size": str(entry.size),
            "data_root": "",
            "reward": "0",
            "signature": b64url(item.signature) if item else "",
        }
    )
