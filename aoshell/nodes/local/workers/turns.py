"""Computes one message at a time, so that a node gives the same results in each run.

With several at a time, if two processes send to a third, the machine's speed decides whose message
comes first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from aoshell.nodes.local.log.form import Wire
from aoshell.nodes.local.log.rows import Logged


class Turns:
    """Starts messages in the order of the log, each when the one before it is computed.

    Args:
        begin: has a message computed.
    """

    def __init__(self, begin: Callable[[Logged, Wire], None]) -> None:
        self._begin = begin
        self._waiting: deque[tuple[Logged, Wire]] = deque()
        self._running: Logged | None = None

    def add(self, logged: Logged, body: Wire) -> None:
        """Have a message computed when it is its turn."""
        self._waiting.append((logged, body))
        self._next()

    def done(self, logged: Logged) -> None:
        """Go on after a computed message."""
        if self._running is not None and self._running.seq == logged.seq:
            self._running = None
        self._next()

    def drop(self, process: int) -> None:
        """Skip the messages of a process that cannot be computed."""
        self._waiting = deque(item for item in self._waiting if item[0].process != process)
        if self._running is not None and self._running.process == process:
            self._running = None
        self._next()

    def clear(self) -> None:
        """Forget all messages."""
        self._waiting.clear()
        self._running = None

    def _next(self) -> None:
        if self._running is None and self._waiting:
            self._running, body = self._waiting.popleft()
            self._begin(self._running, body)
