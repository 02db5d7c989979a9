"""The outcome of a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aoshell.testing.code.stamps import Stamp
from aoshell.testing.requests.snapshots import Key


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two values differ, in Lua's notation; path "" is the value itself."""

    path: str
    expected: str
    actual: str


@dataclass(frozen=True, slots=True)
class TestFailure:
    """Why a test failed.

    Attributes:
        text: one or more lines.
        file, line: the place in the user's files; "" and 0 if unknown.
        source: the line with its number, ready to show, or "".
    """

    text: str
    file: str = ""
    line: int = 0
    source: str = ""
    differences: tuple[Difference, ...] = ()

    def lines(self) -> list[str]:
        """The failure as lines to read; untrusted text in them is not escaped."""
        place = f"{self.file}:{self.line}: " if self.line else ""
        lines = [*f"{place}{self.text}".splitlines(), *self.source.splitlines()]
        for item in self.differences:
            path = f"{item.path}: " if item.path else ""
            lines.append(f"  {path}expected {item.expected}")
            lines.append(f"  {' ' * len(path)}got      {item.actual}")
        return lines


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """The outcome of a test.

    Attributes:
        file: as the user named it.
        name: "" for a file that could not be loaded.
        outcome: "passed", "failed", "skipped", or "error": stopped by a limit, or not loaded.
        seconds: how long it took.
        prints: what the test itself printed.
        warnings: notes for its author that do not fail it.
        reads: stamps of the files that its processes were, or should have been, made of.
        taken: its snapshots.
        covered: its coverage (`Coverage.packed`), if that is recorded for each test.
    """

    file: str
    name: str
    outcome: str
    seconds: float
    failure: TestFailure | None = None
    prints: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    reads: tuple[tuple[Path, Stamp], ...] = ()
    taken: Mapping[Key, str] = field(default_factory=dict)
    covered: Mapping[str, Any] | None = None

    @property
    def bad(self) -> bool:
        """Whether it failed, or could not be run to its end."""
        return self.outcome in ("failed", "error")
