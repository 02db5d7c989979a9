"""`aoshell test`: flags and reports. Exit codes: 0 passed, 1 a test failed, 2 misuse."""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from aoshell import interrupts
from aoshell.errors import UsageError
from aoshell.shell.flags.parser import CommandParser
from aoshell.shell.view.streams import colours, writer
from aoshell.shell.view.text import clean
from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.coverage.reports import METAVAR, Wanted, parse_wanted, write_reports
from aoshell.testing.coverage.tables import json_values
from aoshell.testing.coverage.totals import file_totals
from aoshell.testing.running import SECONDS, Runner, TestFailure, TestOutcome, find_test_files

FAILED, MISUSED = 1, 2
_MARKS = {"passed": "✓", "failed": "✗", "error": "✗", "skipped": "-"}
_COLOURS = {"passed": "\x1b[32m", "failed": "\x1b[31m", "error": "\x1b[31m", "skipped": "\x1b[33m"}
_RESET = "\x1b[0m"


def main(arguments: Sequence[str]) -> int:
    """Run the tests of a command line; the exit code.

    Raises:
        UsageError: there is no such file, or no test.
    """
    try:
        given = make_parser().parse(arguments)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else MISUSED
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What the terminal's encoding lacks is shown escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
    files = find_test_files(given.files)
    say = writer(sys.stdout, needed=True)
    report = JsonReport(say) if given.json else TextReport(say, colour=colours(sys.stdout))
    warn = writer(sys.stderr, needed=False)
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_: warn(f"{message}\n")
        try:
            return interrupts.run(_run(files, given, report))
        except KeyboardInterrupt:
            return interrupts.INTERRUPTED


async def _run(files: list[Path], given: argparse.Namespace, report: TestReport) -> int:
    name, begin = given.k, time.perf_counter()
    wanted = [parse_wanted(text) for text in given.coverage_report]
    coverage = Coverage() if given.coverage or wanted else None
    runner = Runner(name, given.timeout, (Path.cwd(),), coverage)
    try:
        for file in files:
            async for outcome in runner.run(file):
                report.test(outcome)
    finally:
        runner.close()
    report.end(time.perf_counter() - begin)
    if not report.counts:
        why = f"no test has {name!r} in its name" if name else "these files declare no tests"
        raise UsageError(why, hint='test("name", function(t) … end) declares one')
    if coverage is not None:
        report.coverage(coverage, wanted)
    return FAILED if report.counts["failed"] + report.counts["error"] else 0


def make_parser() -> CommandParser:
    """The parser of `aoshell test`."""
    parser = CommandParser(
        "aoshell test",
        description="Run tests of handlers, written in Lua (docs/testing.md). No network.",
        epilog="Without FILE: *_test.lua and test_*.lua below the current folder.",
        allow_abbrev=False,
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="test files, or folders of them")
    parser.add_argument("-k", default="", metavar="NAME", help="only tests with NAME in their name")
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--coverage", action="store_true", help="show which lines of handlers ran")
    parser.add_argument(
        "--coverage-report",
        action="append",
        default=[],
        metavar=METAVAR,
        help="show it as text, or write it as lcov or html into FILE",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=SECONDS,
        metavar="S",
        help=f"seconds that a test may take ({SECONDS:g})",
    )
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError("0.1 to 3600 seconds")
    return value


class TestReport:
    """Counts and shows outcomes.

    Attributes:
        counts: outcome → how many so far.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.counts: Counter[str] = Counter()

    def test(self, outcome: TestOutcome) -> None:
        """Count and show a test."""
        self.counts[outcome.outcome] += 1
        self.show(outcome)

    def show(self, outcome: TestOutcome) -> None:
        """Show a test."""

    def end(self, seconds: float) -> None:
        """Show the totals."""

    def coverage(self, coverage: Coverage, wanted: Sequence[Wanted]) -> None:
        """Show and write which lines ran. Raises AoError where a file cannot be written."""
        write_reports(wanted, coverage, lambda line: self.say(line + "\n"))


class JsonReport(TestReport):
    """One object for each test, and one at the end; docs/testing.md lists their fields."""

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

    def end(self, seconds: float) -> None:
        names = ("passed", "failed", "error", "skipped")
        self._put(**{name: self.counts[name] for name in names}, ms=round(seconds * 1000, 1))

    def coverage(self, coverage: Coverage, wanted: Sequence[Wanted]) -> None:
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


class TextReport(TestReport):
    """For people: files, their tests, and below each failed test the reason."""

    def __init__(self, say: Callable[[str], None], *, colour: bool) -> None:
        super().__init__(say)
        self._colour = colour
        self._file = ""

    def show(self, outcome: TestOutcome) -> None:
        if outcome.file != self._file:
            self._file = outcome.file
            self._line(_safe(outcome.file))
        mark = self._painted(_MARKS[outcome.outcome], outcome.outcome)
        took = f"  {outcome.seconds * 1000:.0f} ms" if outcome.outcome != "skipped" else "  skipped"
        name = " ".join(_safe(outcome.name).split())
        self._line(f"  {mark} {name or 'the file'}{took}")
        for warning in outcome.warnings:
            self._line(f"      {self._painted(f'warning: {_safe(warning)}', 'skipped')}")
        if outcome.failure:
            for line in _lines(outcome.failure):
                self._line(f"      {line}")
            for text in outcome.prints:
                for line in text.splitlines():
                    self._line(f"      │ {_safe(line)}")

    def end(self, seconds: float) -> None:
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

    def _line(self, text: str) -> None:
        self.say(text + "\n")

    def _painted(self, text: str, outcome: str) -> str:
        return f"{_COLOURS[outcome]}{text}{_RESET}" if self._colour else text


def _lines(failure: TestFailure) -> list[str]:
    place = f"{failure.file}:{failure.line}: " if failure.line else ""
    lines = [*(f"{place}{failure.text}").splitlines(), *failure.source.splitlines()]
    for item in failure.differences:
        path = f"{item.path}: " if item.path else ""
        lines.append(f"  {path}expected {item.expected}")
        lines.append(f"  {' ' * len(path)}got      {item.actual}")
    return [_safe(line) for line in lines]


def _safe(text: str) -> str:
    """Text that untrusted code wrote, without control sequences."""
    return clean(text, colour=False)
