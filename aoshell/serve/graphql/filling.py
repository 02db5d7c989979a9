"""Keeps the index up to date with the node's log. It reads the log by number, so writing the log
costs nothing more. A query waits until the index has all messages that the log has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from aoshell.nodes.network_verbs import NetworkVerbs
from aoshell.nodes.served import StoredPage
from aoshell.serve.graphql.entries import to_entry
from aoshell.serve.graphql.index import DamagedIndexError, Index, Position

PAGE = 500  # messages that are read from the log, and added, at once

T = TypeVar("T")


class Follower:
    """The index of a node. One thread uses it, so a cancelled call leaves nothing half done.

    Args:
        node: the node whose log is followed.
        path: path of the index; its folder exists.

    Raises:
        AoError: stage "store", the index cannot be used. Every method may raise it.
    """

    def __init__(self, node: NetworkVerbs, path: Path) -> None:
        self._node = node
        self._path = path
        self._index: Index | None = None
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="index")

    async def close(self) -> None:
        """Close the index, once its thread is done."""
        await self._run(self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._index is not None:
            self._index.close()

    async def ask(self, question: Callable[[Index], T]) -> T:
        """Update the index, then ask it; `question` runs in its thread.

        Raises:
            GraphqlError: from `question`.
        """
        async with self._turn:
            try:
                await self._catch_up()
                return await self._run(lambda: question(self._open()))
            except DamagedIndexError:
                await self._run(lambda: self._open().remake())
                await self._catch_up()
                return await self._run(lambda: question(self._open()))

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _open(self) -> Index:
        if self._index is None:
            self._index = Index(self._path)
        return self._index

    async def _catch_up(self) -> None:
        """Add new messages of the node, page by page."""
        while True:
            came_from = await self._run(lambda: self._open().position())
            page = await self._node.stored_behind(came_from.number, PAGE)
            if not await self._run(partial(self._add, page, came_from)):
                return

    def _add(self, page: StoredPage, came_from: Position) -> bool:
        """Add a page. True if more pages may follow."""
        node, index = self._node.address, self._open()
        if (came_from.node, came_from.cuts) != (node, page.cuts):
            stands = page.stands(came_from.cuts) if came_from.node == node else 0
            if stands > 0:
                index.cut(came_from, page.cuts, stands)
            else:
                index.clear(came_from, node, page.cuts)
            return True
        if not page.entries:
            return False
        entries = [entry for stored in page.entries if (entry := to_entry(stored)) is not None]
        index.add(entries, came_from, page.entries[-1].seq)
        return True
