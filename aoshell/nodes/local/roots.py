"""What each message from outside has caused, and whether all of that has been computed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from aoshell.nodes.local.log.rows import Logged


class Roots:
    """Books about messages without a result, by the root that they go back to.

    Args:
        lookup: id of the root with that seq, for those begun before this node started.
    """

    def __init__(self, lookup: Callable[[int], str]) -> None:
        self._lookup = lookup
        self.counts: dict[int, int] = {}  # messages caused so far, by root
        self._open: dict[int, None] = {}  # seq of what has no result, in order
        self._left: dict[int, int] = {}  # root → how many of its messages have none
        self._ids: dict[int, str] = {}
        self._seqs: dict[str, int] = {}
        self._touched: dict[int, None] = {}  # roots with new results since `take_settled`
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}

    def begin(self, logged: Logged) -> None:
        """A message was scheduled."""
        self._open[logged.seq] = None
        self._left[logged.root] = self._left.get(logged.root, 0) + 1
        if logged.root not in self._ids:
            root_id = logged.id if logged.seq == logged.root else self._lookup(logged.root)
            self._ids[logged.root] = root_id
            self._seqs[root_id] = logged.root

    def done(self, logged: Logged) -> None:
        """It was computed."""
        del self._open[logged.seq]
        self._left[logged.root] -= 1
        self._touched[logged.root] = None

    def id_of(self, root: int) -> str:
        """Message id of a root, "" for a cron message."""
        known = self._ids.get(root)
        if known is None:
            known = self._ids[root] = self._lookup(root)
        return known

    @property
    def anything_open(self) -> bool:
        """Whether any scheduled message has no result."""
        return bool(self._open)

    def computed_to(self, last_seq: int) -> int:
        """Everything up to this seq has its result."""
        first = next(iter(self._open), None)
        return last_seq if first is None else first - 1

    def take_settled(self) -> list[int]:
        """Roots of which nothing is left since the last call."""
        settled = [root for root in self._touched if self._left.get(root) == 0]
        self._touched.clear()
        return settled

    @property
    def awaited(self) -> bool:
        """Whether anybody waits for any root."""
        return bool(self._waiting)

    def is_awaited(self, root: int) -> bool:
        """Whether anybody waits for a root to settle."""
        return root in self._waiting

    def settle(self, root: int) -> None:
        """Tell those who wait, and forget a root of which nothing is left."""
        self._left.pop(root, None)
        self.counts.pop(root, None)
        self._seqs.pop(self._ids.pop(root, ""), None)
        for future in self._waiting.pop(root, ()):
            if not future.done():
                future.set_result(None)

    async def wait(self, message_id: str) -> None:
        """Return when nothing that a message caused is left."""
        root = self._seqs.get(message_id)
        if root is not None and self._left.get(root):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(root, []).append(future)
            await future

    def settle_empty(self) -> None:
        """Tell those who wait for what is not there any more."""
        for root in [root for root in self._waiting if not self._left.get(root)]:
            self.settle(root)

    def fail(self, error: Exception, roots: Collection[int] | None = None) -> None:
        """Tell those who wait for these roots, or all, that it will not come to that."""
        for root in list(self._waiting if roots is None else roots):
            for future in self._waiting.pop(root, ()):
                if not future.done():
                    future.set_exception(error)

    def forget_all(self) -> None:
        """Start anew from the store; those who wait go on waiting.

        Names are forgotten, too: the numbers of messages that were taken back are given again.
        """
        self._ids.clear()
        self._seqs.clear()
        self.counts.clear()
        self._open.clear()
        self._left.clear()
        self._touched.clear()
