"""The floor under a worker's memory: what the kernel gives it, whatever was counted or forgotten.

A guest's heap and all that its host holds for it are counted where they grow (`sandbox.lua`,
`sandbox.wasm.budget`). RLIMIT_DATA stands under that: a miscount ends its message and not the
machine. Not RLIMIT_AS: wasmtime reserves 4 GB for each memory and touches little of it.

There are two heights. New messages run on the lower one. The upper one is for what is the node's
own doing: to compute again what once went well, to make an image of the state and to load one.
Linux only: elsewhere what is counted is all there is.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

# Bytes beside a guest's memory for what a worker itself holds: a message in and a result out, in
# the forms that they go through. A message of 10 MB takes 150 MB as JSON of a WASM module, a result
# of 32 MB takes 110 MB; rounded up.
MARGIN = 256 << 20
# Upper height: this many times the guest's memory, and this many bytes at the least. An image takes
# up to ten times what it is of, and a log may be of a time when less was counted.
LIFTED_TIMES = 8
LIFTED_LEAST = 4 << 30
# Machine code as it comes, as its parts, and as the engine has it.
CODE_TIMES = 3

_PAGE = resource.getpagesize()


def data_size() -> int:
    """Bytes of this process that RLIMIT_DATA counts, 0 where the system does not tell."""
    try:  # size resident shared text lib data: pages, see proc(5)
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


class Floor:
    """The floor of one worker. Made before files are out of reach: it looks at what is in use."""

    def __init__(self) -> None:
        self._base = data_size()
        self._heights = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        self._hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        self._lifted = True

    def lay(self, memory: int, room: int, code: int) -> None:
        """Fix both heights, and stand on the upper one. Once in a worker's life, or lower again.

        Args:
            memory: bytes that the guest may use.
            room: bytes that such a memory takes (`Host.room`).
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
        self._hard = high
        resource.setrlimit(resource.RLIMIT_DATA, (high, high))
        self._lifted = True

    def lift(self) -> None:
        """Stand on the upper height."""
        self._move(lifted=True)

    def lower(self) -> None:
        """Stand on the lower height: what runs is a new message."""
        self._move(lifted=False)

    def _move(self, *, lifted: bool) -> None:
        if lifted is not self._lifted:
            self._lifted = lifted
            if self._heights[0] != resource.RLIM_INFINITY:
                resource.setrlimit(resource.RLIMIT_DATA, (self._heights[lifted], self._hard))
