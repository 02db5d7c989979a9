"""Searches for failing sequences, and shortens them. Hypothesis draws their bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from aoshell.fuzz.base import Base, Failed
from aoshell.fuzz.sequences import SIZE
from aoshell.fuzz.shrinking import Shrinking

SHRINK_SECONDS = 30.0  # most time to shorten a sequence
MOST_FAULTS = 20  # faults at which a run ends
_EXAMPLES = 1 << 30  # no limit: time ends a run
_REPORT_EVERY = 0.5  # seconds between two progress lines


class _OverError(BaseException):
    """Ends the run, with the error that ended it, if there is one.

    hypothesis does not count it as a failing example.
    """


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        failed: the failing sequence, shortened.
        before: number of messages in the sequence when it was found.
    """

    failed: Failed
    before: int


@dataclass(slots=True)
class Done:
    """What a run has done so far.

    Attributes:
        faults: each fault once.
        sequences: number of sequences tried, without those for shortening.
        messages: number of messages computed.
        seconds: wall clock, without shortening sequences and running their tests.
        stopped: whether Ctrl-C ended it.
    """

    faults: list[Fault] = field(default_factory=list)
    sequences: int = 0
    messages: int = 0
    seconds: float = 0.0
    stopped: bool = False


class Search:
    """One run.

    Args:
        run: runs a coroutine to its end; hypothesis is not asynchronous.
        seconds: how long to search.
        most: faults at which it ends.
        tell: called with the progress now and then.
        name: called with each fault once it is shortened.
    """

    def __init__(
        self,
        base: Base,
        run: Callable[[Coroutine[Any, Any, Failed | None]], Failed | None],
        seconds: float,
        most: int,
        tell: Callable[[Done], None],
        name: Callable[[Fault], None],
    ) -> None:
        self._base = base
        self._run = run
        self._seconds = seconds
        self._most = most
        self._tell = tell
        self._name = name
        self._begin = time.monotonic()
        self._reported_at = self._begin
        self._sequences = base.sequences
        self.done = Done()

    def look(self, seed: int) -> None:
        """Search until the time is up or enough faults are found; `done` has the result.

        Raises:
            AoError: stage "compute", the worker cannot go on, for a reason outside the messages; or
                `name` failed.
        """
        from hypothesis import HealthCheck, Phase, given, settings, strategies
        from hypothesis import seed as seeded
        from hypothesis.configuration import set_hypothesis_home_dir

        set_hypothesis_home_dir(os.devnull)  # it must write nothing into the current folder

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
            try:
                self._try(data)
            except Exception as error:  # hypothesis would try it again, as a failing example
                raise _OverError(error) from error

        try:
            one()
        except _OverError as over:
            self._count()
            if over.args:
                raise over.args[0] from None
        except KeyboardInterrupt:
            self.done.stopped = True
        self._count()

    def _try(self, data: bytes) -> None:
        now = time.monotonic()
        if now - self._begin >= self._seconds or self._base.is_used_up:
            raise _OverError
        if now - self._reported_at >= _REPORT_EVERY:
            self._reported_at = now
            self._count()
            self._tell(self.done)
        failed = self._run(self._base.attempt(self._sequences.decode(data)))
        self.done.sequences += 1
        if failed is not None:
            before = time.monotonic()
            self._count()
            try:
                self._take(failed)
            finally:
                self._begin += time.monotonic() - before

    def _take(self, failed: Failed) -> None:
        """Shorten a sequence while there is time, and report its fault."""
        shrinking = Shrinking(self._base, failed, SHRINK_SECONDS)
        try:
            self._run(shrinking.run())
        except KeyboardInterrupt:
            self.done.stopped = True
        fault = Fault(shrinking.best, len(failed.steps))
        self._base.known |= {failed.fault, fault.failed.fault}
        if failed.verdict.is_death:
            self._base.deadly.add(failed.steps[-1].handler)
        self.done.faults.append(fault)
        self._name(fault)
        if self.done.stopped or len(self.done.faults) >= self._most:
            raise _OverError

    def _count(self) -> None:
        self.done.messages = self._base.messages
        self.done.seconds = time.monotonic() - self._begin
