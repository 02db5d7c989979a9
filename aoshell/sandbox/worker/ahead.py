"""Parks a worker before it has a process, so that its first message waits for no fork.

It forks before anybody needs it. The fork takes the process; its parent keeps the fresh state. What
the parent has to know when the fork ends is in memory that both share.
"""

from __future__ import annotations

import json
import mmap
from typing import Any

# Frames before the first message of a process: they turn the fresh state into that of the fork. The
# last one is `boot`.
BEGINNING = ("watch", "lift", "boot")
MOST_KEPT = 1 << 16  # bytes of these frames; behind longer ones, a fork is parked as it comes
_HEADER = 5  # bytes: what the fork does, and the length of what follows
_NOTHING, _BOOTED, _TASK = b"\0", b"\1", b"\2"


class Ahead:
    """What the parent has to know of its fork."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, _HEADER + MOST_KEPT)
        self._frames: list[list[Any]] = []
        self._spoilt = False

    def spoil(self) -> None:
        """From now on the frames do not lead to the state of the fork."""
        self._spoilt = True
        self._page[:1] = _NOTHING

    def keep(self, command: str, values: list[Any]) -> None:
        """Keep a frame of `BEGINNING`, without its epoch, if they are short enough."""
        self._frames.append([command, *values])
        data = json.dumps(self._frames).encode("ascii")
        if len(data) <= MOST_KEPT and not self._spoilt:
            self._page[1:_HEADER] = len(data).to_bytes(_HEADER - 1, "big")
            self._page[_HEADER : _HEADER + len(data)] = data
            if command == "boot":
                self._page[:1] = _BOOTED  # last: the fork may be killed in between

    def begin_task(self) -> None:
        """From now on the fork runs code or a log that came with the process."""
        self._page[:1] = _TASK

    @property
    def frames(self) -> list[list[Any]]:
        """The frames that lead to the state of the fork; none where there are no such."""
        if self._page[:1] != _BOOTED:
            return []
        length = int.from_bytes(self._page[1:_HEADER], "big")
        frames: list[list[Any]] = json.loads(self._page[_HEADER : _HEADER + length])
        return frames

    @property
    def runs_task(self) -> bool:
        """Whether the fork runs code or a log that came with the process."""
        return self._page[:1] == _TASK
