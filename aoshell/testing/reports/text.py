"""The report for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.coverage.reports import Wanted, write_reports
from aoshell.testing.reports.base import TestReport, name_of, safe
from aoshell.testing.runs.outcomes import TestOutcome

_MARKS = {"passed": "✓", "failed": "✗", "error": "✗", "skipped": "-"}
_COLOURS = {"passed": "\x1b[32m", "failed": "\x1b[31m", "error": "\x1b[31m", "skipped": "\x1b[33m"}
_RESET = "\x1b[0m"


class TextReport(TestReport):
    """Shows files, their tests, and the reason below each failed test.

    Args:
        slowest: how many of the slowest tests are listed at the end.
    """

    def __init__(self, say: Callable[[str], None], *, colour: bool, slowest: int = 0) -> None:
        super().__init__(say)
        self._colour = colour
        self._slowest = slowest
        self._file = ""

    def show(self, outcome: TestOutcome) -> None:
        if outcome.file != self._file:
            self._file = outcome.file
            self._line(safe(outcome.file))
        mark = self._painted(_MARKS[outcome.outcome], outcome.outcome)
        took = f"  {outcome.seconds * 1000:.0f} ms" if outcome.outcome != "skipped" else "  skipped"
        self._line(f"  {mark} {name_of(outcome)}{took}")
        for warning in outcome.warnings:
            self._line(f"      {self._painted(f'warning: {safe(warning)}', 'skipped')}")
        if outcome.failure:
            for line in outcome.failure.lines():
                self._line(f"      {safe(line)}")
            for text in outcome.prints:
                for line in text.splitlines():
                    self._line(f"      │ {safe(line)}")

    def end(self, seconds: float, coverage: Coverage | None, wanted: Sequence[Wanted]) -> None:
        timed = [outcome for outcome in self.outcomes if outcome.outcome != "skipped"]
        slow = sorted(timed, key=lambda outcome: -outcome.seconds)[: self._slowest]
        if slow:
            self._line("slowest:")
        for outcome in slow:
            took = f"{outcome.seconds * 1000:.0f} ms"
            self._line(f"  {took:>9}  {safe(outcome.file)}  {name_of(outcome)}")
        counted = [
            self._painted(f"{self.counts[name]} {word}", name)
            for name, word in (
                ("passed", "passed"),
                ("failed", "failed"),
                ("error", "stopped or not loaded"),
                ("skipped", "skipped"),
            )
            if self.counts[name]
        ]
        self._line(f"{', '.join(counted) or 'no tests'} in {seconds:.2f} s")
        if coverage is not None:
            write_reports(wanted, coverage, self._line)

    def _line(self, text: str) -> None:
        self.say(text + "\n")

    def _painted(self, text: str, outcome: str) -> str:
        return f"{_COLOURS[outcome]}{text}{_RESET}" if self._colour else text
