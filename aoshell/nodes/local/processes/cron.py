"""Schedules of cron messages, as on the legacy network: tags of a process's definition set them.

`Cron-Interval` (`10-seconds`, `5-minutes`, `1-hour` …) begins a schedule. The `Cron-Tag-NAME` tags
after it are the tags of its messages. These have no id, data or slot of their own, come from the
process's owner and stand between slots.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from aoshell.errors import UsageError

_UNITS = {
    "millisecond": 1,
    "second": 1000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 7 * 86_400_000,
    "month": 30 * 86_400_000,
    "year": 365 * 86_400_000,
}
_INTERVAL_TEXT = re.compile(rf"([1-9][0-9]{{0,5}})\s*-\s*({'|'.join(_UNITS)})s?")
_INTERVAL = "Cron-Interval"
_TAG = "Cron-Tag-"
MINIMUM = 1000  # ms between two messages of one schedule
MAXIMUM = 999_999 * _UNITS["year"]  # ms, the longest that a tag can ask for


class Schedule(NamedTuple):
    """One schedule: every `interval` ms, next at `due` (ms since the epoch)."""

    interval: int
    due: int
    tags: tuple[str, ...]  # name, value, …


def parse_interval(text: str) -> int:
    """Milliseconds of `N-unit`. Raises UsageError."""
    found = _INTERVAL_TEXT.fullmatch(text.strip().lower())
    if found is None:
        raise UsageError(
            f"{text!r} is no interval",
            hint="write a number and a unit, as in 10-seconds, 5-minutes or 1-hour",
        )
    interval = int(found[1]) * _UNITS[found[2]]
    if interval < MINIMUM:
        raise UsageError(f"{text!r} is shorter than a second", hint="use 1-second or more")
    return interval


def parse_schedules(tags: list[str], now: int) -> list[Schedule]:
    """The schedules that a definition's tags (name, value, …) ask for. Raises UsageError."""
    found: list[tuple[int, list[str]]] = []
    for name, value in zip(tags[::2], tags[1::2], strict=True):
        if name == _INTERVAL:
            found.append((parse_interval(value), []))
        elif name.startswith(_TAG) and found:
            found[-1][1].extend((name.removeprefix(_TAG), value))
    return [Schedule(every, now + every, tuple(names)) for every, names in found]


def dump_schedules(items: list[Schedule]) -> str:
    """Schedules as stored text."""
    return json.dumps([[item.interval, item.due, item.tags] for item in items])


def load_schedules(text: str) -> list[Schedule]:
    """The inverse of `dump_schedules`."""
    return [Schedule(every, due, tuple(tags)) for every, due, tags in json.loads(text)]


def advance_schedule(item: Schedule, now: int) -> tuple[Schedule, int]:
    """The schedule with its next time after `now`, and the number of times that have passed."""
    if now < item.due:
        return item, 0
    missed = (now - item.due) // item.interval + 1
    return Schedule(item.interval, item.due + missed * item.interval, item.tags), missed


def pull_within_reach(item: Schedule, now: int, slack: int) -> Schedule:
    """The schedule; if it is due later than one interval and `slack` ms, in one interval instead.

    That happens only after the clock has jumped back.
    """
    if item.due - now <= item.interval + slack:
        return item
    return Schedule(item.interval, now + item.interval, item.tags)
