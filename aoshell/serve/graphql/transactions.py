"""Resolves the fields of a query: blocks, and transactions, which come from the index or, where no
log has them, from the node (`unlogged`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from aoshell.nodes.network_verbs import NetworkVerbs
from aoshell.nodes.transaction import Transaction
from aoshell.nodes.values import WithheldError
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url
from aoshell.serve.blocks import block_id, block_time, height_of
from aoshell.serve.graphql import searching
from aoshell.serve.graphql.entries import Entry, bounds
from aoshell.serve.graphql.errors import GraphqlError
from aoshell.serve.graphql.executor import Giver
from aoshell.serve.graphql.filling import Follower
from aoshell.serve.graphql.filters import (
    Filter,
    is_newest_first,
    read_cursor,
    read_filter,
    read_first,
    write_cursor,
)
from aoshell.serve.graphql.selecting import Selected
from aoshell.serve.graphql.unlogged import Unlogged

MOST_IN_ALL = 5_000  # rows of one answer, over all its fields

_NOTHING = {"winston": "0", "ar": "0.000000000000"}


class Query:
    """Answers the fields of one request.

    Args:
        follower: the index.
        url: of this server, as the client reaches it.
    """

    def __init__(self, node: NetworkVerbs, follower: Follower, url: str) -> None:
        self._node = node
        self._follower = follower
        self._unlogged = Unlogged(node, follower)
        self._url = url
        self._left = MOST_IN_ALL

    async def resolve(self, field: Selected) -> Giver:
        """Find what a field of the query asks for; returns what gives its value.

        Raises:
            GraphqlError: the query is wrong, or asks for too much.
            AoError: the node failed.
        """
        known: dict[str, Callable[[Selected], Awaitable[Giver]]] = {
            "transaction": self._transaction,
            "transactions": self._transactions,
            "block": self._block,
            "blocks": self._blocks,
        }
        return await known[field.name](field)

    def _spend(self, rows: int) -> None:
        self._left -= rows
        if self._left < 0:
            raise GraphqlError(f"The query asks for more than {MOST_IN_ALL:,} rows in all.")

    # Transactions -----------------------------------------------------------------------------

    async def _transaction(self, field: Selected) -> Giver:
        found = await self._find(Filter(ids=frozenset((field.arguments["id"],)), first=1), 1)
        signed = field.asks_for("signature") or field.asks_for("owner", "key")
        return partial(self._node_of, found[0], signed) if found else partial(_given, None)

    async def _transactions(self, field: Selected) -> Giver:
        if field.arguments["bundledIn"]:  # no transaction here is part of another
            return partial(_given, {"count": 0, "pageInfo": {"hasNextPage": False}, "edges": []})
        wanted = read_filter(field.arguments)
        found = await self._find(wanted, wanted.first + 1)
        page = found[: wanted.first]
        self._spend(len(page))
        return partial(self._page, field, wanted, page, len(found) > len(page))

    async def _page(
        self, field: Selected, wanted: Filter, page: Sequence[Entry], more: bool
    ) -> dict[str, Any]:
        """A found page as a value; `more`: whether another page follows."""
        signed = field.asks_for("edges", "node", "signature")
        signed = signed or field.asks_for("edges", "node", "owner", "key")
        return {
            "count": await self._count(wanted) if field.asks_for("count") else None,
            "pageInfo": {"hasNextPage": more},
            "edges": [
                {"cursor": write_cursor(entry.place), "node": await self._node_of(entry, signed)}
                for entry in page
            ],
        }

    async def _find(self, wanted: Filter, limit: int) -> Sequence[Entry]:
        """The first transactions of a page, including those that no log has."""
        indexed = await self._follower.ask(lambda index: searching.find(index, wanted, limit))
        lowest, highest = bounds(wanted)
        more = [
            entry
            for entry in await self._unlogged.find(wanted, self._url)
            if lowest <= entry.place <= highest
        ]
        whole = sorted(
            [*indexed, *more], key=lambda entry: entry.place, reverse=wanted.newest_first
        )
        return whole[:limit]

    async def _count(self, wanted: Filter) -> int:
        counted = await self._follower.ask(lambda index: searching.count(index, wanted))
        return counted + len(await self._unlogged.find(wanted, self._url))

    async def _node_of(self, entry: Entry, signed: bool) -> dict[str, Any]:
        """A transaction with all fields; signature and key only where `signed` asks for them."""
        signature = key = ""
        if signed:
            stored = None
            with suppress(WithheldError):
                stored = await self._node.item(entry.id)
            item = stored.signed if stored is not None else None
            if isinstance(item, DataItem):
                signature, key = b64url(item.signature), b64url(item.owner)
            elif isinstance(item, Transaction):
                signature, key = item.header["signature"], item.header["owner"]
        return {
            "id": entry.id,
            "anchor": entry.anchor,
            "signature": signature,
            "recipient": entry.recipient,
            "owner": {"address": entry.owner, "key": key},
            "fee": _NOTHING,
            "quantity": _NOTHING,
            "data": {"size": str(entry.size), "type": entry.content_type or None},
            "tags": [{"name": tag.name, "value": tag.value} for tag in entry.tags],
            "block": _block_of(entry.height, entry.timestamp),
            "parent": None,
            "bundledIn": None,
            "ingested_at": entry.timestamp // 1000,
        }

    # Blocks -----------------------------------------------------------------------------------

    async def _block(self, field: Selected) -> Giver:
        id = field.arguments["id"]
        height = self._node.height if id is None else height_of(id)
        if height is None or not 0 <= height <= self._node.height:
            return partial(_given, None)
        return partial(_given, _block_of(height, block_time(height)))

    async def _blocks(self, field: Selected) -> Giver:
        given = field.arguments
        newest_first, first = is_newest_first(given["sort"]), read_first(given["first"])
        heights = self._heights(given, newest_first)
        page = heights[:first]
        self._spend(len(page))
        edges = [
            {"cursor": write_cursor(height), "node": _block_of(height, block_time(height))}
            for height in page
        ]
        more = len(heights) > len(page)
        return partial(_given, {"pageInfo": {"hasNextPage": more}, "edges": edges})

    def _heights(self, given: Mapping[str, Any], newest_first: bool) -> Sequence[int]:
        """The heights that a query for blocks finds after its cursor, in order."""
        height, after = given["height"] or {}, read_cursor(given["after"])
        lowest, highest = max(height.get("min") or 0, 0), self._node.height
        if height.get("max") is not None:
            highest = min(highest, height["max"])
        if after is not None and newest_first:
            highest = min(highest, after - 1)
        elif after is not None:
            lowest = max(lowest, after + 1)
        heights: Sequence[int] = range(lowest, highest + 1)
        if given["ids"]:
            named = {height_of(id) for id in given["ids"]}
            heights = sorted(one for one in named if one is not None and one in heights)
        return heights[::-1] if newest_first else heights


async def _given(value: Any) -> Any:
    return value


def _block_of(height: int, time: int) -> dict[str, Any]:
    """A block; `time` is the node's time when it took the transaction, milliseconds."""
    return {
        "id": block_id(height),
        "timestamp": time // 1000,
        "height": height,
        "previous": block_id(height - 1),
    }
