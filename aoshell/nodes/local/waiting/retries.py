"""Calls functions later, and again while the disk cannot be written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.database_errors import UnusableDatabaseError

RETRY = 2.0  # seconds until the next try after the disk could not be written
TRIES = 4  # failures in a row before waiting calls get the error; the tries go on


class Retries:
    """Timers by name, and the count of failures in a row.

    Args:
        notice: shows a text to the user.
        is_awaited: whether any call waits for a result.
        fail_all: ends all waits with an error.

    Attributes:
        failures: how often in a row the database could not be used.
    """

    def __init__(
        self,
        notice: Callable[[str], None],
        is_awaited: Callable[[], bool],
        fail_all: Callable[[AoError], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._notice = notice
        self._is_awaited = is_awaited
        self._fail_all = fail_all
        self._timers: dict[str, asyncio.Handle] = {}
        self.failures = 0
        self._error: AoError | None = None  # the last failure

    @property
    def lasting_error(self) -> AoError | None:
        """The last error, after `TRIES` failures in a row; else None."""
        return self._error if self.failures >= TRIES else None

    def call_later(self, name: str, call: Callable[[], Any], seconds: float | None = None) -> None:
        """Call once, by default after `RETRY`; a second request of that name changes nothing."""
        if name not in self._timers:
            wait = RETRY if seconds is None else seconds
            self._timers[name] = self._loop.call_later(wait, self._fire, name, call)

    def waits(self, name: str) -> bool:
        """Whether a call of that name is still to come."""
        return name in self._timers

    def cancel(self, name: str) -> None:
        """Do not make the call of that name, if there is one."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def stop(self) -> None:
        """Cancel all calls."""
        for name in list(self._timers):
            self.cancel(name)

    def _fire(self, name: str, call: Callable[[], Any]) -> None:
        self._timers.pop(name, None)
        try:
            call()
        except AoError as error:
            self.call_again(error, name, call)

    def call_again(self, error: AoError, name: str, call: Callable[[], Any]) -> None:
        """Call again later, if that can help with this error of the database."""
        seconds = self.count_failure(error)
        if seconds is not None:
            self.call_later(name, call, seconds)

    def count_failure(self, error: AoError) -> float | None:
        """Count a failure of the database. Returns seconds until the next try, None for none.

        After `TRIES` failures, waiting calls get the error; if no call waits, a notice shows the
        first one.
        """
        self.failures, self._error = self.failures + 1, error
        helps = not isinstance(error, UnusableDatabaseError)
        if not helps or (self.failures == 1 and not self._is_awaited()):
            self._notice(str(error))
        if not helps or self.failures >= TRIES:
            self._fail_all(error)
        return RETRY if helps else None

    def forget_failures(self) -> None:
        """Reset the count, as the disk could be written."""
        self.failures = 0
