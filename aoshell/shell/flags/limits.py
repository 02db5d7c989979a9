"""The ranges of limits, for `.limits` and for flags."""

from __future__ import annotations

import re
from typing import NamedTuple

from aoshell.errors import UsageError

_WHOLE = re.compile(r"[0-9]+")
# Python reads more than people mean by it: 1_0 is 10, and digits of other scripts count.
_NUMBER = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_SHOWN = 64  # characters of a wrong value in its error; an id has 43
MEGABYTE = 1024 * 1024


class Range(NamedTuple):
    """The numbers that a limit may have, both ends included; only whole ones if `whole`."""

    name: str
    least: float
    most: float
    whole: bool = False

    def number(self, value: str) -> float:
        """The number in a text.

        Raises:
            UsageError: it is not a number of this range; the hint names the range.
        """
        if (_WHOLE if self.whole else _NUMBER).fullmatch(value):
            number = float(value)
            if self.least <= number <= self.most:
                return number
        found = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
        raise UsageError(f"{self.name} cannot be {found}", hint=str(self))

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.least:.15g} to {self.most:.16g}"


RANGES = {
    one.name: one
    for one in (
        Range("seconds", 0.001, 86_400),
        Range("memory", 1, 65_536),
        Range("pushes", 1, 10**9, whole=True),
        Range("gas", 0, 10**15, whole=True),
        Range("workers", 0, 4096, whole=True),
    )
}
"""By name; `memory` in megabytes."""
