"""Makes a failing sequence shorter and simpler. Each attempt begins at the base."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from aoshell.fuzz.base import Base, Failed
from aoshell.fuzz.sequences import Step
from aoshell.protocol.encoding import has_id_form

_FEW = 4  # up to so many messages are shown one by one, not as a repeated one
_PLAIN = ("1", "2", "0")  # simple values to try instead of others, the simplest first


class Shrinking:
    """Shrinks one sequence.

    Attributes:
        best: the shortest so far that fails in the same way.
    """

    def __init__(self, base: Base, found: Failed, seconds: float) -> None:
        self._base = base
        self._end = time.monotonic() + seconds
        self.best = found

    async def run(self) -> Failed:
        """The shortest sequence found in time."""
        changed = True
        while changed and not self._is_late:
            before = self.best
            await self._gather()
            await self._drop()
            await self._simplify()
            changed = self.best != before
        return self.best

    @property
    def _is_late(self) -> bool:
        return time.monotonic() >= self._end

    async def _gather(self) -> None:
        """Try one repeated message instead of many messages."""
        steps = self.best.steps
        total = sum(step.times for step in steps)
        if total <= _FEW or len(steps) == 1:
            return
        for step in dict.fromkeys(step for step in reversed(steps) if not step.replayed):
            if await self._accept((replace(step, times=total),)) or self._is_late:
                return

    async def _drop(self) -> None:
        """Leave out messages: first halves of the sequence, then smaller and smaller parts."""
        size = max(1, len(self.best.steps) // 2)
        while size:
            at = 0
            while at < len(self.best.steps) - 1 and not self._is_late:
                steps = self.best.steps
                # The last message is the one that fails.
                kept = (*steps[:at], *steps[min(at + size, len(steps) - 1) :])
                if not await self._accept(kept):
                    at += size
            size //= 2

    async def _simplify(self) -> None:
        """Make each message simpler."""
        at = 0
        while at < len(self.best.steps):
            for plainer in self._plainer(at):
                if self._is_late:
                    return
                await self._accept(_put(self.best.steps, at, plainer))
                if at >= len(self.best.steps):
                    return
            at += 1

    def _is_fixed(self, at: int) -> bool:
        """Whether a step must stay well formed, because it is the one that raises."""
        return self.best.verdict.kind == "raises" and at == len(self.best.steps) - 1

    def _plainer(self, at: int) -> Iterator[Step]:
        """Simpler forms of a step, each made from the best so far."""
        if self.best.steps[at].times > 1:
            yield replace(self.best.steps[at], times=1)
        low, high = 1, self.best.steps[at].times
        while high - low > 1:  # the least number that still fails
            middle = (low + high) // 2
            yield replace(self.best.steps[at], times=middle)
            low, high = (low, middle) if self.best.steps[at].times <= middle else (middle, high)
        if self.best.steps[at].is_tick:
            return
        if self.best.steps[at].replayed:
            yield replace(self.best.steps[at], replayed=False)
        if self.best.steps[at].later:
            yield replace(self.best.steps[at], later=0)
        if self.best.steps[at].data and not self._is_fixed(at):
            yield replace(self.best.steps[at], data="")
        if self.best.steps[at].sender != self._base.owner:
            yield replace(self.best.steps[at], sender=self._base.owner)
        yield from self._plainer_tags(at)

    def _plainer_tags(self, at: int) -> Iterator[Step]:
        for name, value in self.best.steps[at].tags[::-1]:
            step = self.best.steps[at]
            if name == "Action":
                continue
            if not self._is_fixed(at):
                yield replace(step, tags=tuple(pair for pair in step.tags if pair[0] != name))
            others: Sequence[str] = _PLAIN if value.isdecimal() or not self._is_fixed(at) else ()
            if has_id_form(value):
                others = [one.address for one in self._base.people[:2]]
            for other in others[: others.index(value)] if value in others else others:
                step = self.best.steps[at]
                if dict(step.tags).get(name) != value:
                    break
                yield replace(step, tags=_with(step.tags, name, other))

    async def _accept(self, steps: Sequence[Step]) -> bool:
        """Keep a sequence if it fails in the same way."""
        found = await self._base.attempt(steps)
        if found is None or found.verdict.same != self.best.verdict.same:
            return False
        if found == self.best:
            return False
        self.best = found
        return True


def _put(steps: Sequence[Step], at: int, plainer: Step) -> tuple[Step, ...]:
    """A sequence with another step at a place; replays change together with their message."""
    before = steps[at].content
    has_replays = any(step.replayed and step.content == before for step in steps)
    return tuple(
        plainer
        if place == at
        else replace(step, sender=plainer.sender, tags=plainer.tags, data=plainer.data)
        if has_replays and step.content == before and not step.is_tick
        else step
        for place, step in enumerate(steps)
    )


def _with(tags: Sequence[tuple[str, str]], name: str, value: str) -> tuple[tuple[str, str], ...]:
    return tuple((own, value if own == name else had) for own, had in tags)
