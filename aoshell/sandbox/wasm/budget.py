"""One budget for all that a guest makes its process hold.

Its memory, its tables, its files with their names, what it has open and has printed: together they
may take what its memory alone may, and a bit. Whoever goes over that ends the message, as running
out of memory: an error number would be something that a guest can see, and a log has to be computed
again to the same state, also one that is older than a bound. So only new messages are judged.
"""

from __future__ import annotations

from collections.abc import Callable

from aoshell.sandbox.runtime import OutOfMemoryError

# Bytes beside a memory that is as large as it may be: the largest tables that a module may begin
# with (`describe.MAX_ENTRIES`), and what it prints.
BESIDE = 96 << 20


class Budget:
    """Bytes against a limit.

    Attributes:
        limit: bytes that its memory may have.
        judged: whether it counts; not for what went well once.
    """

    def __init__(self) -> None:
        self.limit = 0
        self.judged = True
        self._held: dict[str, Callable[[], int]] = {}

    def count(self, what: str, held: Callable[[], int]) -> None:
        """Count a kind from now on; `held` tells its bytes."""
        self._held[what] = held

    def check(self, more: int = 0) -> None:
        """Raise OutOfMemory where all that is held, and `more` bytes, are too much."""
        held = more + sum(held() for held in self._held.values())
        if self.judged and held > self.limit + BESIDE:
            raise OutOfMemoryError

    def fail(self) -> None:
        """Raise OutOfMemory: something alone is more than there may be."""
        if self.judged:
            raise OutOfMemoryError
