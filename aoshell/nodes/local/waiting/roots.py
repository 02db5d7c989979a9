"""Roots (messages from outside), what each has caused, and whether all of it is computed."""

from __future__ import annotations

from collections.abc import Callable, Collection

from aoshell.nodes.local.log.rows import Logged
from aoshell.nodes.local.waiting.waits import Waits


class Roots:
    """Counts the messages without a result of each root.

    Args:
        lookup: reads the id of the root with that seq, for roots from before this start.
    """

    def __init__(self, lookup: Callable[[int], str]) -> None:
        self._lookup = lookup
        self.counts: dict[int, int] = {}  # messages caused so far, by root
        self._open: dict[int, None] = {}  # seqs of messages without a result, in order
        self._left: dict[int, int] = {}  # root → number of its messages without a result
        self._ids: dict[int, str] = {}
        self._seqs: dict[str, int] = {}
        self._touched: dict[int, None] = {}  # roots with new results since `take_settled`
        self._waiting: Waits[int] = Waits()

    def begin(self, logged: Logged) -> None:
        """Count a scheduled message."""
        self._open[logged.seq] = None
        self._left[logged.root] = self._left.get(logged.root, 0) + 1
        if logged.root not in self._ids:
            root_id = logged.id if logged.seq == logged.root else self._lookup(logged.root)
            self._ids[logged.root] = root_id
            self._seqs[root_id] = logged.root

    def done(self, logged: Logged) -> None:
        """Count a message as computed."""
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

    @property
    def unsettled(self) -> list[int]:
        """The roots with messages that are not computed."""
        return [root for root, left in self._left.items() if left]

    def computed_to(self, last_seq: int) -> int:
        """The seq up to which every message has its result."""
        first = next(iter(self._open), None)
        return last_seq if first is None else first - 1

    def take_settled(self) -> list[int]:
        """The roots that have settled since the last call."""
        settled = [root for root in self._touched if self._left.get(root) == 0]
        self._touched.clear()
        return settled

    @property
    def awaited(self) -> bool:
        """Whether any call waits for a root."""
        return bool(self._waiting)

    def is_awaited(self, root: int) -> bool:
        """Whether any call waits for this root."""
        return root in self._waiting

    @property
    def is_one_settled_for(self) -> bool:
        """Whether a root that a call waits for has settled since `take_settled`."""
        return any(root in self._waiting and not self._left.get(root) for root in self._touched)

    def settle(self, root: int) -> None:
        """End the waits for a settled root, and forget it."""
        self._left.pop(root, None)
        self.counts.pop(root, None)
        self._seqs.pop(self._ids.pop(root, ""), None)
        self._waiting.release(root)

    async def wait(self, message_id: str) -> None:
        """Return once everything a message caused is computed. Raises the error given to `fail`."""
        root = self._seqs.get(message_id)
        if root is not None and self._left.get(root):
            await self._waiting.wait(root)

    def settle_empty(self) -> None:
        """End the waits for roots without open messages, including deleted roots."""
        for root in self._waiting:
            if not self._left.get(root):
                self.settle(root)

    def fail(self, error: Exception, roots: Collection[int] | None = None) -> None:
        """End the waits for these roots, or for all (None), with an error."""
        for root in self._waiting if roots is None else roots:
            self._waiting.fail(root, error)

    def forget_all(self) -> None:
        """Forget all counts, to count again from the log; waits go on.

        Ids are forgotten, too, as other messages may get the numbers of deleted ones.
        """
        self._ids.clear()
        self._seqs.clear()
        self.counts.clear()
        self._open.clear()
        self._left.clear()
        self._touched.clear()
