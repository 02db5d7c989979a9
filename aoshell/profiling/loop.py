"""Samples the stack of the shell's main thread every few milliseconds, from another thread."""

from __future__ import annotations

import sys
import threading
import time
from types import CodeType, FrameType

from aoshell.profiling.speedscope import CodePlace, CodePlaces, Profile, sampled

INTERVAL = 0.002  # seconds between two samples; a busy thread yields every 5 ms only
MOST = 100_000  # samples that are kept; equal ones in a row count as one
DEEPEST = 200  # innermost calls of a stack that are kept


class LoopTimes:
    """Samples the thread that made it, from `start` to `stop`."""

    def __init__(self, places: CodePlaces) -> None:
        self._places = places
        self._numbers: dict[CodeType, int] = {}
        self._stacks: list[list[int]] = []
        self._seconds: list[float] = []
        self._watched = threading.get_ident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="aoshell-profile", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> Profile:
        self._over.set()
        self._thread.join()
        cut = f", the first {MOST:,} samples" if len(self._stacks) >= MOST else ""
        return sampled(f"shell{cut}", self._stacks, self._seconds)

    def _watch(self) -> None:
        before = time.monotonic()
        while len(self._stacks) < MOST and not self._over.wait(INTERVAL):
            now = time.monotonic()
            self._look(now - before)
            before = now

    def _look(self, seconds: float) -> None:
        stack = self._stack(sys._current_frames().get(self._watched))
        if self._stacks and self._stacks[-1] == stack:
            self._seconds[-1] += seconds
        else:
            self._stacks.append(stack)
            self._seconds.append(seconds)

    def _stack(self, frame: FrameType | None) -> list[int]:
        stack: list[int] = []
        while frame is not None and len(stack) < DEEPEST:
            stack.append(self._number(frame))
            frame = frame.f_back
        return stack[::-1]

    def _number(self, frame: FrameType) -> int:
        code = frame.f_code
        number = self._numbers.get(code)
        if number is None:
            # The module, not its file: a path would show others the user's folders.
            module = str(frame.f_globals.get("__name__", ""))
            number = self._places.number(CodePlace(code.co_qualname, module, code.co_firstlineno))
            self._numbers[code] = number
        return number
