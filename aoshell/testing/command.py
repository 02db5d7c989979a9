"""`aoshell test`: its flags. Exit codes: 0 passed, 1 a test failed, 2 misuse."""

from __future__ import annotations

import argparse
import io
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from aoshell import interrupts
from aoshell.bounded.files import real
from aoshell.errors import UsageError
from aoshell.shell.flags.limits import Range
from aoshell.shell.flags.parser import CommandParser
from aoshell.shell.flags.values import named, whole_within, within
from aoshell.shell.view.streams import Write, colours, writer
from aoshell.shell.view.text import clean_line
from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.coverage.reports import METAVAR, parse_wanted
from aoshell.testing.reports.base import TestReport
from aoshell.testing.reports.github import GithubReport
from aoshell.testing.reports.jsonlines import JsonReport
from aoshell.testing.reports.junit import JunitFile
from aoshell.testing.reports.text import TextReport
from aoshell.testing.runs.choosing import find_test_files, parse_choice
from aoshell.testing.runs.lasting import last_failed
from aoshell.testing.runs.outcomes import TestOutcome
from aoshell.testing.runs.rounds import MOST_AT_ONCE, Plan, Round, run_round
from aoshell.testing.runs.running import SECONDS, Runner
from aoshell.testing.runs.settling import settle_failed, settle_snapshots
from aoshell.testing.runs.standing import Standing
from aoshell.testing.runs.watching import Saved, TestWatch

FAILED, MISUSED = 1, 2
_REPORTS = ("text", "json", "github")
_SECONDS = Range("it", 0.1, 3600)
_AT_ONCE = Range("it", 1, MOST_AT_ONCE, whole=True)
_LISTED = Range("it", 1, 10_000, whole=True)  # tests that --durations lists


def main(arguments: Sequence[str]) -> int:
    """Run the tests of a command line; returns the exit code.

    Raises:
        UsageError: there is no such file, or no test.
    """
    try:
        given = make_parser().parse(arguments)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else MISUSED
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Characters that the terminal's encoding lacks are escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
    if given.watch and given.report == "github":
        raise UsageError("--watch is for people", hint="leave out --report github")
    for text in given.coverage_report:
        parse_wanted(text)
    chosen = parse_choice(given.k)
    files = find_test_files(given.files)
    warn = writer(sys.stderr, needed=False)
    plan = Plan(chosen, _only(files, warn) if given.last_failed else None, given.j, given.x)
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_: warn(f"{message}\n")
        runner = Runner(
            given.timeout,
            (Path.cwd(),),
            update=given.update_snapshots,
            coverage=Coverage() if given.coverage or given.coverage_report else None,
            apart=given.watch,
        )
        with interrupts.ended_alike():
            return _run_all(runner, files, plan, given)


def _run_all(runner: Runner, files: list[Path], plan: Plan, given: argparse.Namespace) -> int:
    """Run tests, once or again at each save; returns the exit code. Closes the runner."""
    with interrupts.kept():
        try:
            if given.watch:
                return _watch(runner, files, plan, given)
            return _run(runner, files, plan, given)
        except KeyboardInterrupt:
            return interrupts.INTERRUPTED
        finally:
            runner.close()


def _run(runner: Runner, files: list[Path], plan: Plan, given: argparse.Namespace) -> int:
    found = _shown_round(runner, files, plan, given)
    if not found.outcomes:
        raise _nothing(found, given.k)
    settle_failed(found)
    return FAILED if any(outcome.bad for outcome in found.outcomes) else 0


def _shown_round(
    runner: Runner, files: Sequence[Path], plan: Plan, given: argparse.Namespace
) -> Round:
    reports = _reports(given, given.junit)
    found = run_round(runner, files, plan, lambda outcome: _show(reports, outcome))
    _end(reports, found, runner.coverage, given)
    return found


def _show(reports: Sequence[TestReport], outcome: TestOutcome) -> None:
    for report in reports:
        report.test(outcome)


def _end(
    reports: Sequence[TestReport],
    found: Round,
    coverage: Coverage | None,
    given: argparse.Namespace,
) -> None:
    """Write the snapshots of a round, and end its reports."""
    for line in settle_snapshots(found, update=given.update_snapshots):
        warnings.warn(line, stacklevel=1)
    wanted = [parse_wanted(text) for text in given.coverage_report]
    for report in reports:
        report.end(found.seconds, coverage if found.outcomes else None, wanted)


def _watch(runner: Runner, files: list[Path], plan: Plan, given: argparse.Namespace) -> NoReturn:
    """Run tests, and again those that a save affects, until Ctrl-C (KeyboardInterrupt)."""
    rounds = _WatchedRounds(runner, given)
    while True:
        saved = rounds.run(files, plan)
        only = frozenset(saved.only)
        if rounds.broken:  # its tests must still run
            files = list(dict.fromkeys([*files, *saved.tests]))
            plan = replace(plan, only=None if plan.only is None else plan.only | only)
        else:
            files, plan = saved.tests, replace(plan, only=only)


class _WatchedRounds:
    """Rounds of tests, one after another, each until something is saved.

    Attributes:
        broken: whether a save interrupted the last round.
    """

    def __init__(self, runner: Runner, given: argparse.Namespace) -> None:
        self.broken = False
        self._runner = runner
        self._given = given
        self._watch, self._standing = TestWatch(given.files), Standing()
        self._tell = writer(sys.stderr, needed=False)
        if given.junit is not None:
            JunitFile(given.junit, time.time())  # refuses now a file that cannot be written

    def run(self, files: Sequence[Path], plan: Plan) -> Saved:
        """Run a round, and wait; returns what is saved first, during the round or after it."""
        reports, saved = _reports(self._given, junit=None), list[Saved]()

        async def until(running: Round) -> None:
            saved.append(await self._watch.wait(self._gone, running))

        self._watch.begin(files)
        found = run_round(self._runner, files, plan, lambda outcome: _show(reports, outcome), until)
        self.broken = found.broken
        self._standing.take(found)
        if not self.broken:
            self._settle(reports, found)
            saved.append(interrupts.run(self._watch.wait(self._gone)))
        self._tell(f"saved: {', '.join(dict.fromkeys(map(_near, saved[-1].files)))}\n")
        return saved[-1]

    def _settle(self, reports: list[TestReport], found: Round) -> None:
        """After a whole round: write its files, and say what comes next."""
        given, coverage = self._given, self._runner.coverage
        if given.junit is not None:
            file = JunitFile(given.junit, time.time() - found.seconds)
            for outcome in self._standing.outcomes:
                file.test(outcome)
            reports = [*reports, file]
        _end(reports, found, coverage and self._standing.coverage(coverage.fresh()), given)
        settle_failed(found)
        self._watch.learn(found)
        self._tell("waiting for a save; Ctrl-C ends\n")

    def _gone(self, path: Path) -> None:
        self._tell(f"{_near(path)} is gone\n")


def _near(path: Path) -> str:
    """A file's path from the current folder."""
    whole = path.absolute()
    near = whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole
    return clean_line(str(near))


def _nothing(found: Round, choice: str) -> UsageError:
    """Why no test ran."""
    if not any(file.tests for file in found.files):
        hint = 'test("name", function(t) … end) declares one'
        return UsageError("these files declare no tests", hint=hint)
    if choice:
        return UsageError(f"no test fits -k {choice!r}", hint="it looks at the names of tests")
    return UsageError("the tests that failed last time are gone", hint="leave out --last-failed")


def _reports(given: argparse.Namespace, junit: Path | None) -> list[TestReport]:
    say = writer(sys.stdout, needed=True)
    reports: list[TestReport]
    if given.json or given.report == "json":
        reports = [JsonReport(say)]
    elif given.report == "github":
        reports = [GithubReport(say, slowest=given.durations)]
    else:
        reports = [TextReport(say, colour=colours(sys.stdout), slowest=given.durations)]
    if junit is not None:
        reports.append(JunitFile(junit, time.time()))
    return reports


def _only(files: list[Path], warn: Write) -> frozenset[tuple[str, str]] | None:
    """The tests of these files that failed last time, None if there are none."""
    paths = {str(real(path)) for path in files}
    found = frozenset(pair for pair in last_failed() if pair[0] in paths)
    if not found:
        warn("no test of these files failed last time: all are run\n")
    return found or None


def make_parser() -> CommandParser:
    """The parser of `aoshell test`."""
    parser = CommandParser(
        "aoshell test",
        description="Run tests of handlers, written in Lua (docs/testing.md). No network.",
        epilog="Without FILE: *_test.lua and test_*.lua below the current folder.",
        allow_abbrev=False,
    )
    files = "test files, or folders of them"
    parser.add_argument("files", nargs="*", type=named, metavar="FILE", help=files)
    parser.add_argument(
        "-k",
        default="",
        metavar="EXPR",
        help="only tests whose names match: texts joined by and, or, not and brackets",
    )
    parser.add_argument("-x", action="store_true", help="stop at the first test that fails")
    parser.add_argument(
        "-j",
        type=whole_within(_AT_ONCE),
        default=0,
        metavar="N",
        help="how many tests run at once (as many as there are cores, up to 8)",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="run tests again that a saved file affects, until Ctrl-C",
    )
    parser.add_argument(
        "--last-failed",
        action="store_true",
        help="only the tests that failed when they were run in this folder last; all if none did",
    )
    parser.add_argument(
        "--update-snapshots",
        action="store_true",
        help="store what t:snapshot finds as the expected text from now on",
    )
    parser.add_argument(
        "--durations",
        type=whole_within(_LISTED),
        default=0,
        metavar="N",
        help="list the N slowest tests",
    )
    parser.add_argument(
        "--junit", type=Path, metavar="FILE", help="write the outcomes to FILE as JUnit's XML"
    )
    parser.add_argument(
        "--report",
        choices=_REPORTS,
        default="text",
        help="how outcomes are shown; github: with an annotation for each test that failed",
    )
    parser.add_argument("--json", action="store_true", help="one object a line: --report json")
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
        type=within(_SECONDS),
        default=SECONDS,
        metavar="S",
        help=f"seconds that a test may take ({SECONDS:g})",
    )
    return parser
