"""Looks for a sequence that fails, and makes it short. Hypothesis draws what it is made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from aoshell.errors import UsageError
from aoshell.fuzz.base import Base, Failed
from aoshell.fuzz.sequences import SIZE
from aoshell.fuzz.shrinking import Shrinking

SHRINK_SECONDS = 30.0  # that making a sequence shorter may take
_EXAMPLES = 1 << 30  # more than any run has: its time ends it
_TOLD = 0.5  # seconds between two progress lines


class _OverError(BaseException):
    """The run's time is up; hypothesis lets it pass, as it is no failure of an example."""


@dataclass(slots=True)
class Done:
    """What a run has done so far.

    Attributes:
        found: the failing sequence, as short as it became; None where nothing was found.
        sequences, messages: how many were tried, before anything was found.
        seconds: wall clock.
        before: messages of the failing sequence as it was found.
        stopped: by Ctrl-C.
    """

    found: Failed | None = None
    sequences: int = 0
    messages: int = 0
    seconds: float = 0.0
    before: int = 0
    stopped: bool = False


class Search:
    """One run.

    Args:
        run: runs a coroutine to its end; hypothesis is not asynchronous.
        tell: takes what has been done so far, at times.
    """

    def __init__(
        self,
        base: Base,
        run: Callable[[Coroutine[Any, Any, Failed | None]], Failed | None],
        seconds: float,
        tell: Callable[[Done], None],
    ) -> None:
        self._base = base
        self._run = run
        self._seconds = seconds
        self._tell = tell
        self._begin = time.monotonic()
        self._told = self._begin
        self._sequences = base.sequences
        self.done = Done()

    def look(self, seed: int) -> None:
        """Look until something is found or the time is up; `done` has what came of it.

        Raises:
            AoError: stage "compute", the worker cannot go on, for a reason outside the messages.
        """
        from hypothesis import HealthCheck, Phase, given, settings, strategies
        from hypothesis import seed as seeded

        @seeded(seed)
        @settings(
            max_examples=_EXAMPLES,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(strategies.binary(min_size=SIZE, max_size=SIZE))
        def one(data: bytes) -> None:
            self._try(data)

        try:
            one()
        except _OverError:
            pass
        except KeyboardInterrupt:
            self.done.stopped = True
        self._count()

    def _try(self, data: bytes) -> None:
        now = time.monotonic()
        if now - self._begin >= self._seconds:
            raise _OverError
        if now - self._told >= _TOLD:
            self._told = now
            self._count()
            self._tell(self.done)
        found = self._run(self._base.attempt(self._sequences.decode(data)))
        self.done.sequences += 1
        if found is not None:
            self.done.found, self.done.before = found, len(found.steps)
            raise _OverError

    def _count(self) -> None:
        self.done.messages = self._base.messages
        self.done.seconds = time.monotonic() - self._begin

    def shorten(self) -> None:
        """Make what was found shorter, as far as the time for it goes; Ctrl-C ends that, too."""
        if self.done.found is None:
            return
        shrinking = Shrinking(self._base, self.done.found, SHRINK_SECONDS)
        try:
            self._run(shrinking.run())
        except KeyboardInterrupt:
            self.done.stopped = True
        self.done.found = shrinking.best


def require_hypothesis() -> None:
    """Raises UsageError where hypothesis is not installed."""
    from importlib.util import find_spec

    if find_spec("hypothesis") is None:
        raise UsageError(
            "aoshell fuzz needs hypothesis, which is not installed here",
            hint='pip install "aoshell[fuzz]"',
        )
