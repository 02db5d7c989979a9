"""The report for programs: one object a line. docs/testing.md lists their fields."""

from __future__ import annotations

import json
from collections.abc import Sequence

from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.coverage.reports import Wanted, write_reports
from aoshell.testing.coverage.tables import json_values
from aoshell.testing.coverage.totals import file_totals
from aoshell.testing.reports.base import OUTCOMES, TestReport
from aoshell.testing.runs.outcomes import TestFailure, TestOutcome


class JsonReport(TestReport):
    """One object for each test, and one at the end."""

    def show(self, outcome: TestOutcome) -> None:
        failure = outcome.failure
        self._put(
            file=outcome.file,
            name=outcome.name,
            outcome=outcome.outcome,
            ms=round(outcome.seconds * 1000, 1),
            failure=None if failure is None else _failure(failure),
            prints=list(outcome.prints),
            warnings=list(outcome.warnings),
        )

    def end(self, seconds: float, coverage: Coverage | None, wanted: Sequence[Wanted]) -> None:
        self._put(**{name: self.counts[name] for name in OUTCOMES}, ms=round(seconds * 1000, 1))
        if coverage is not None:
            self._coverage(coverage, wanted)

    def _coverage(self, coverage: Coverage, wanted: Sequence[Wanted]) -> None:
        self._put(**json_values(file_totals(coverage), coverage.notes))
        if files := [one for one in wanted if one.file]:
            write_reports(files, coverage, lambda _line: None)

    def _put(self, **fields: object) -> None:
        self.say(json.dumps(fields) + "\n")


def _failure(failure: TestFailure) -> dict[str, object]:
    return {
        "text": failure.text,
        "file": failure.file,
        "line": failure.line,
        "differences": [
            {"path": item.path, "expected": item.expected, "actual": item.actual}
            for item in failure.differences
        ],
    }
