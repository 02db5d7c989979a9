"""The floor: the kernel's own limit on a worker's memory, in case our counting is wrong.

A guest's heap and all that its host holds for it are counted where they grow (`sandbox.lua`,
`sandbox.wasm.budget`). RLIMIT_DATA is the second bound: after a miscount the message fails, not the
machine. RLIMIT_AS would not do: wasmtime reserves 4 GB for each memory and uses little of it.

The floor has two heights. New messages run on the lower one. The upper one is for the node's own
work: replaying what once went well, making an image of the state, loading one.
Linux only: other systems have only the counting.
"""

from __future__ import annotations

import resource
import sys

from aoshell.sandbox.textfiles import read_text

# Bytes beside a guest's memory for the worker itself: it holds a message and a result in several
# forms at once. A message of 10 MB takes 150 MB on its way into a WASM module as JSON, a result of
# 32 MB takes 110 MB on its way out; rounded up.
MARGIN = 256 << 20
# The upper height: this many times the guest's memory, and this many bytes at least. Making an
# image takes up to ten times the state, and a log may date from a version that counted less.
LIFTED_TIMES = 8
LIFTED_LEAST = 4 << 30
CODE_TIMES = 3  # copies of machine code: as it arrives, in its parts, in the engine

_PAGE = resource.getpagesize()


def data_size() -> int:
    """Bytes of this process that RLIMIT_DATA counts; 0 where the system does not say."""
    try:  # size resident shared text lib data: pages, see proc(5)
        return int(read_text("/proc/self/statm").split()[5]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


class Floor:
    """The floor of one worker. Made before `confine`, as it reads /proc for what is in use."""

    def __init__(self) -> None:
        self._base = data_size()
        self._heights = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        self._hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        self._lifted = True

    def lay(self, memory: int, room: int, code: int) -> None:
        """Set both heights, and stand on the upper one. A second call can only set lower ones.

        Args:
            memory: bytes that the guest may use.
            room: bytes that a memory of this size may take up (`Host.room`).
            code: bytes of code that were loaded for it.
        """
        if not self._base or sys.platform != "linux":
            return
        beside = self._base + CODE_TIMES * code + MARGIN
        low = beside + room
        high = max(beside + max(LIFTED_TIMES * memory, LIFTED_LEAST), low)
        if self._hard != resource.RLIM_INFINITY:  # the user's own `ulimit -d`
            low, high = min(low, self._hard), min(high, self._hard)
        self._heights = low, high
        # The hard limit is the upper height: without privileges no process can raise it again.
        self._hard = high
        resource.setrlimit(resource.RLIMIT_DATA, (high, high))
        self._lifted = True

    def lift(self) -> None:
        """Stand on the upper height, for work that is not a new message."""
        self._move(lifted=True)

    def lower(self) -> None:
        """Stand on the lower height, for a new message."""
        self._move(lifted=False)

    def _move(self, *, lifted: bool) -> None:
        if lifted is not self._lifted:
            self._lifted = lifted
            if self._heights[0] != resource.RLIM_INFINITY:
                resource.setrlimit(resource.RLIMIT_DATA, (self._heights[lifted], self._hard))
