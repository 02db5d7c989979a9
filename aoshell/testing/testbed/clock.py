"""Virtual time: the clock of a test's node, and time spans as text."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol, TypeAlias

from aoshell.errors import UsageError
from aoshell.nodes.joined.node import HomeNode
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.processes import cron

TestedNode: TypeAlias = LocalNode | HomeNode
"""The node of a test: its own, or one that it shares with other users of the same folder."""

Span = str | int | float | timedelta
"""A time span: text ("1h", "90 minutes", "1d 12h"), seconds, or a timedelta."""

BEGIN = 1_735_689_600_000  # 2025-01-01T00:00:00Z, where the clock of a test starts, ms
STOPS = 10_000  # most cron messages that may be due in one `advance`

_UNITS = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
    "y": 365 * 86_400_000,
}
_NAMES = {
    "millisecond": "ms",
    "second": "s",
    "sec": "s",
    "minute": "m",
    "min": "m",
    "hour": "h",
    "day": "d",
    "week": "w",
    "year": "y",
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)[\s-]*([a-z]+)[\s,]*")
_LONGEST = 100 * _UNITS["y"]


class Timed(Protocol):
    """What the clock needs from a test's node."""

    @property
    def local(self) -> TestedNode:
        """The node itself."""

    async def idle(self) -> None:
        """Wait until nothing is left to compute."""


class AsyncClock:
    """The time on a test's node. It starts at `BEGIN`, and only `advance` moves it."""

    def __init__(self, node: Timed) -> None:
        self._node = node

    async def now(self) -> int:
        """Milliseconds since the Unix epoch."""
        return await self._node.local.clock()

    async def advance(self, span: Span) -> None:
        """Move forward, stopping at each time when cron messages are due.

        Raises:
            UsageError: the span is invalid, or cron is due more than 10,000 times within it.
        """
        end = await self.now() + parse_span(span)
        schedules = await self._schedules()
        moments = cron_stops(schedules, await self.now(), end)
        while moments:
            await self._to(moments.popleft())
            # A message may have made a process that has cron messages, too.
            if (found := await self._schedules()) != schedules:
                schedules, moments = found, cron_stops(found, await self.now(), end)
        await self._to(end)

    async def _to(self, moment: int) -> None:
        await self._node.local.workbench.warp(moment - await self.now())
        await self._node.idle()

    async def _schedules(self) -> list[tuple[int, int]]:
        """When each cron schedule of the node began, and its interval."""
        found = []
        for info in await self._node.local.processes():
            definition = (await self._node.local.schedule(info.id, 0, 0))[0]
            flat = [text for tag in definition.tags for text in (tag.name, tag.value)]
            found += [
                (item.due, item.interval) for item in cron.parse_schedules(flat, info.created)
            ]
        return found


def parse_span(span: Span) -> int:
    """A time span in milliseconds. Raises UsageError."""
    if isinstance(span, timedelta):
        span = span.total_seconds()
    length = _parse_text(span.strip().lower()) if isinstance(span, str) else float(span) * 1000
    if not 0 <= length <= _LONGEST:
        raise UsageError(f"time cannot go forward by {span!r}", hint="at most 100 years, as 1h")
    return round(length)


def _parse_text(text: str) -> float:
    total, at = 0.0, 0
    while part := _PART.match(text, at):
        unit = part[2] if part[2] in _UNITS else _NAMES.get(part[2].removesuffix("s"), "")
        if not unit:
            break
        total, at = total + float(part[1]) * _UNITS[unit], part.end()
    if not text or at < len(text):
        raise UsageError(f"{text!r} is not a time span", hint="write it as 90s, 5m, 1h or 1d 12h")
    return total


def cron_stops(schedules: Iterable[tuple[int, int]], now: int, end: int) -> deque[int]:
    """The times after `now`, up to `end`, at which cron messages are due.

    Args:
        schedules: (first time, interval) of each, milliseconds.

    Raises:
        UsageError: there are more than `STOPS`.
    """
    moments: set[int] = set()
    for first, interval in schedules:
        begin = max(first, first + ((now - first) // interval + 1) * interval)
        if (end - begin) // interval >= STOPS - len(moments):
            raise UsageError(
                f"cron is due more than {STOPS:,} times until then",
                hint="go forward in smaller steps",
            )
        moments.update(range(begin, end + 1, interval))
    return deque(sorted(moments))
