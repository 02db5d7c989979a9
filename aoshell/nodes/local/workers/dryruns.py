"""The dry runs of one process: evaluated on its state, after all of its messages, and undone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from aoshell.nodes.local.log.form import FlatResult
from aoshell.nodes.local.workers.jobs import MAX_DEATHS, Cost, Dry, death_text


class DryRuns:
    """The dry runs that wait, and those that were sent to the worker.

    Args:
        waiting: dry runs that were not sent yet; the pool adds to it.
        send: sends one to the worker, with a token that comes back with the answer.
    """

    def __init__(self, waiting: deque[Dry], send: Callable[[int, Dry], None]) -> None:
        self._waiting = waiting
        self._send = send
        self._sent: dict[int, Dry] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting or self._sent)

    @property
    def are_sent(self) -> bool:
        """Whether the worker has still to answer any."""
        return bool(self._sent)

    @property
    def is_one_cancelled(self) -> bool:
        """Whether one that was sent was cancelled since."""
        if not self._sent:  # the usual case
            return False
        return any(dry.answer.cancelled() for dry in self._sent.values())

    def send_all(self) -> None:
        """Send those that wait."""
        while self._waiting:
            dry = self._waiting.popleft()
            token = id(dry)
            self._sent[token] = dry
            self._send(token, dry)

    def send_again(self) -> None:
        """Send them again, to the fork that took over, except cancelled ones."""
        for token, dry in list(self._sent.items()):
            if dry.answer.cancelled():
                del self._sent[token]
            else:
                self._send(token, dry)

    def answer(self, token: int, outcome: str, cost: Cost, result: FlatResult) -> None:
        """Take the worker's answer. A run that was killed from outside waits again."""
        dry = self._sent.pop(token, None)
        if dry is None:
            return
        if outcome == "killed":
            self._count_death(dry, "killed from outside", self._waiting.append)
        elif not dry.answer.done():
            dry.answer.set_result((outcome, cost, result))

    def take_back(self) -> None:
        """The worker is gone: dry runs that were sent wait again, before the others."""
        for dry in reversed(self._sent.values()):
            self._count_death(dry, "with all its forks", self._waiting.appendleft)
        self._sent.clear()

    def _count_death(self, dry: Dry, how: str, put_back: Callable[[Dry], None]) -> None:
        dry.deaths += 1
        if dry.deaths >= MAX_DEATHS:
            dry.fail(death_text(dry, how))
        else:
            put_back(dry)

    def drop_cancelled(self) -> None:
        """Drop waiting dry runs that were cancelled."""
        for dry in [dry for dry in self._waiting if dry.answer.cancelled()]:
            self._waiting.remove(dry)

    def end(self, why: str) -> None:
        """Fail all of them; without a reason, those who wait ask again."""
        for dry in [*self._waiting, *self._sent.values()]:
            dry.end(why)
        self._waiting.clear()
        self._sent.clear()
