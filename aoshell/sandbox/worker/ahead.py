"""Parks a worker before it gets an AO process, so that its first message waits for no fork.

The worker forks before it is needed. The fork takes the AO process; the parent keeps the fresh
state. Shared memory holds what the parent must know when the fork ends.
"""

from __future__ import annotations

import json
import mmap
from typing import Any

# Frames before the first message: applied to the fresh state, they give the fork's state. The last
# one is `boot`.
BEGINNING = ("watch", "lift", "boot")
MOST_KEPT = 1 << 16  # bytes of these frames; longer ones are not kept, and a new fork is parked
_HEADER = 5  # bytes: what the fork does, and the length of what follows
_NOTHING, _BOOTED, _TASK = b"\0", b"\1", b"\2"


class Ahead:
    """What the parent must know about its fork, in shared memory."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, _HEADER + MOST_KEPT)
        self._frames: list[list[Any]] = []
        self._spoilt = False

    def spoil(self) -> None:
        """Note that the frames no longer give the fork's state."""
        self._spoilt = True
        self._page[:1] = _NOTHING

    def keep(self, command: str, values: list[Any]) -> None:
        """Keep a frame of `BEGINNING`, without its epoch, while all of them fit `MOST_KEPT`."""
        self._frames.append([command, *values])
        data = json.dumps(self._frames).encode("ascii")
        if len(data) <= MOST_KEPT and not self._spoilt:
            self._page[1:_HEADER] = len(data).to_bytes(_HEADER - 1, "big")
            self._page[_HEADER : _HEADER + len(data)] = data
            if command == "boot":
                self._page[:1] = _BOOTED  # last: the fork may be killed in between

    def begin_task(self) -> None:
        """Note that the fork now runs code or a log that came with the process."""
        self._page[:1] = _TASK

    @property
    def frames(self) -> list[list[Any]]:
        """The frames that give the fork's state; empty if none do."""
        if self._page[:1] != _BOOTED:
            return []
        length = int.from_bytes(self._page[1:_HEADER], "big")
        frames: list[list[Any]] = json.loads(self._page[_HEADER : _HEADER + length])
        return frames

    @property
    def runs_task(self) -> bool:
        """Whether the fork runs code or a log that came with the process."""
        return self._page[:1] == _TASK
