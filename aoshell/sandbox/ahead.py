"""A worker that is parked before it has a process, so that its first message waits for no fork.

It forks while nobody needs it yet. The fork takes the process; the one that was there first keeps
the fresh state. What that one has to know when its fork ends stands in memory that both share.
"""

from __future__ import annotations

import json
import mmap
from typing import Any

MOST_KEPT = 1 << 16  # bytes of a definition; behind a longer one, a fork is parked as it comes
_HEADER = 5  # bytes: what the fork does, and the length of what follows
_NOTHING, _BOOTED, _TASK = b"\0", b"\1", b"\2"


class Ahead:
    """What the process that was parked ahead has to know of its fork."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, _HEADER + MOST_KEPT)
        self._spoilt = False

    def spoil(self) -> None:
        """The fork is no longer what `boot` alone would make of the other one."""
        self._spoilt = True
        self._page[:1] = _NOTHING

    def keep_boot(self, values: tuple[Any, ...]) -> None:
        """Keep the values of a frame `boot`, if they are short enough."""
        data = json.dumps(values).encode("ascii")
        if len(data) <= MOST_KEPT and not self._spoilt:
            self._page[1:_HEADER] = len(data).to_bytes(_HEADER - 1, "big")
            self._page[_HEADER : _HEADER + len(data)] = data
            self._page[:1] = _BOOTED  # last: the fork may be killed in between

    def begin_task(self) -> None:
        """From now on the fork runs code or a log that came with the process."""
        self._page[:1] = _TASK

    @property
    def boot(self) -> list[Any] | None:
        """The values of the frame `boot` that leads to the state of the fork, if they do."""
        if self._page[:1] != _BOOTED:
            return None
        length = int.from_bytes(self._page[1:_HEADER], "big")
        values: list[Any] = json.loads(self._page[_HEADER : _HEADER + length])
        return values

    @property
    def runs_task(self) -> bool:
        """Whether the fork runs code or a log that came with the process."""
        return self._page[:1] == _TASK
