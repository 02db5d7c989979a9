"""Sends the lines that a message ran, just before its time limit kills the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import TracebackType

SHARE = 0.1  # of the limit that is left when lines are sent
LEAST = 0.05  # seconds that are left at least: the kernel looks at its timer every few milliseconds


class LastLines:
    """A context manager: while its block runs Lua, a thread waits until the time is nearly up.

    Args:
        seconds: of processor time that the message may take; the timer ITIMER_PROF is set to it.
        send: sends the lines so far.
    """

    def __init__(self, seconds: float, send: Callable[[], None]) -> None:
        self._rest = max(SHARE * seconds, LEAST)
        self._send = send
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._wait, daemon=True)

    def __enter__(self) -> None:
        try:
            self._thread.start()
        except (RuntimeError, MemoryError):  # then a message that is stopped has no lines
            self._over.set()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._over.is_set():
            self._over.set()
            self._thread.join()

    def _wait(self) -> None:
        # The kernel counts in ticks, so only its own timer tells what is left.
        while (left := signal.getitimer(signal.ITIMER_PROF)[0] - self._rest) > 0:
            if self._over.wait(left):  # processor time passes no faster than this: one thread runs
                return
        self._send()
