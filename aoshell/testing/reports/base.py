"""The base class of reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from aoshell.shell.view.text import clean
from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.coverage.reports import Wanted
from aoshell.testing.runs.outcomes import TestOutcome

OUTCOMES = ("passed", "failed", "error", "skipped")
WHOLE_FILE = "the file"  # the name of a test if its file could not be loaded


class TestReport:
    """Counts and shows outcomes.

    Attributes:
        counts: outcome → how many so far.
        outcomes: all so far, in order.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.counts: Counter[str] = Counter()
        self.outcomes: list[TestOutcome] = []

    def test(self, outcome: TestOutcome) -> None:
        """Count and show a test."""
        self.counts[outcome.outcome] += 1
        self.outcomes.append(outcome)
        self.show(outcome)

    def show(self, outcome: TestOutcome) -> None:
        """Show a test."""

    def end(self, seconds: float, coverage: Coverage | None, wanted: Sequence[Wanted]) -> None:
        """Show the totals, and which lines ran.

        Raises:
            AoError: a file cannot be written.
        """


def name_of(outcome: TestOutcome) -> str:
    """A test's name on one line."""
    return " ".join(safe(outcome.name).split()) or WHOLE_FILE


def safe(text: str) -> str:
    """Text that untrusted code wrote, without control sequences."""
    return clean(text, colour=False)
