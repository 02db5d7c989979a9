"""One budget for everything that a guest makes its worker hold.

Its memory, tables, files with their names, open files and prints together may take the memory limit
plus BESIDE. A message that exceeds that ends as out of memory. The guest gets no error number, as
it could observe that: a log that is older than the bound must replay to the same state. For the
same reason only new messages are judged.
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
        judged: whether the bound holds; False for replays of what once succeeded.
    """

    def __init__(self) -> None:
        self.limit = 0
        self.judged = True
        self._held: dict[str, Callable[[], int]] = {}

    def count(self, what: str, held: Callable[[], int]) -> None:
        """Count one more thing, named `what`, from now on; `held` returns its bytes."""
        self._held[what] = held

    def check(self, more: int = 0) -> None:
        """Raise OutOfMemoryError if all that is held, plus `more` bytes, exceeds the bound."""
        held = more + sum(held() for held in self._held.values())
        if self.judged and held > self.limit + BESIDE:
            raise OutOfMemoryError

    def fail(self) -> None:
        """Raise OutOfMemoryError if `judged`: a single thing is too large."""
        if self.judged:
            raise OutOfMemoryError
