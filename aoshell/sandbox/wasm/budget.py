"""One budget for all that a guest makes its process hold.

Its memory, its tables, its files with their names, what it has open and has printed: together they
may take as much as its memory alone may, and BESIDE. A message that goes over that ends as out of
memory. It gets no error number, which a guest could observe: a log that is older than the bound
must replay to the same state. For the same reason only new messages are judged.
"""

from __future__ import annotations

from collections.abc import Callable

from aoshell.sandbox.runtime import OutOfMemoryError

# Bytes beside the memory: room for the largest tables that a module may begin with
# (`describe.MAX_ENTRIES`), and for what it prints.
BESIDE = 96 << 20


class Budget:
    """Bytes against a limit.

    Attributes:
        limit: bytes that the guest's memory may have.
        judged: whether the bound holds; not for replays of what went well once.
    """

    def __init__(self) -> None:
        self.limit = 0
        self.judged = True
        self._held: dict[str, Callable[[], int]] = {}

    def count(self, what: str, held: Callable[[], int]) -> None:
        """Count one more thing from now on; `held` returns its bytes."""
        self._held[what] = held

    def check(self, more: int = 0) -> None:
        """Raise OutOfMemoryError where all that is held, and `more` bytes, are too much."""
        held = more + sum(held() for held in self._held.values())
        if self.judged and held > self.limit + BESIDE:
            raise OutOfMemoryError

    def fail(self) -> None:
        """Raise OutOfMemoryError: a single thing is too much."""
        if self.judged:
            raise OutOfMemoryError
