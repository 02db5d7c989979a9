"""Keeps the index up with the node's log. It follows by number, so the log's transactions pay
nothing for it; whoever asks a query waits until the index has all that was taken before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from aoshell.nodes.base import NetworkVerbs
from aoshell.nodes.values import Stored
from aoshell.serve.graphql.entries import to_entry
from aoshell.serve.graphql.index import DamagedIndexError, Index, Position

PAGE = 500  # messages that are read from the log, and added, at once

T = TypeVar("T")


class Follower:
    """The index of a node.

    Args:
        node: whose log is followed.
        path: of the index; its folder exists.

    Raises:
        AoError: stage "store", it cannot be used. Every method may raise it.
    """

    def __init__(self, node: NetworkVerbs, path: Path) -> None:
        self._node = node
        self._path = path
        self._index: Index | None = None
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        async with self._turn:
            if self._index is not None:
                self._index.close()
                self._index = None

    async def ask(self, question: Callable[[Index], T]) -> T:
        """The answer of an index that has everything; `question` runs in a thread.

        Raises:
            GraphqlError: from `question`.
        """
        async with self._turn:
            try:
                return await self._ask(question)
            except DamagedIndexError:
                assert self._index is not None
                await asyncio.to_thread(self._index.remake)
                return await self._ask(question)

    async def _ask(self, question: Callable[[Index], T]) -> T:
        if self._index is None:
            self._index = await asyncio.to_thread(Index, self._path)
        await self._catch_up(self._index)
        return await asyncio.to_thread(question, self._index)

    async def _catch_up(self, index: Index) -> None:
        """Add what the node has taken, page by page."""
        while True:
            came_from = index.position()
            page = await self._node.stored_behind(came_from.number, PAGE)
            if (came_from.node, came_from.cuts) != (self._node.address, page.cuts):
                # Numbers may have been given again.
                await asyncio.to_thread(index.clear, self._node.address, page.cuts)
                continue
            if not page.entries:
                return
            await asyncio.to_thread(_add, index, page.entries, came_from)


def _add(index: Index, page: Sequence[Stored], came_from: Position) -> None:
    entries = [entry for stored in page if (entry := to_entry(stored)) is not None]
    index.add(entries, came_from, page[-1].seq)
