"""Runs Lua tests, each in its own sandbox and on its own node."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aoshell.bounded.files import real
from aoshell.errors import AoError
from aoshell.nodes.values import Limits
from aoshell.shell.code.bundle import ProgramBundle
from aoshell.shell.view.errors_view import show_source
from aoshell.testing.code.sources import bundle_file, note_parts
from aoshell.testing.code.stamps import FilesRead, Stamp
from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.coverage.reports import SLOWER
from aoshell.testing.requests.calls import Calls
from aoshell.testing.requests.guest import SandboxStoppedError, TestSandbox, base
from aoshell.testing.requests.snapshots import TakenSnapshots, snapshots_file
from aoshell.testing.runs.outcomes import Difference, TestFailure, TestOutcome
from aoshell.testing.testbed.clock import BEGIN
from aoshell.testing.testbed.opening import Zygotes, open_node, remove_folders

SECONDS = 10.0  # limit for a test
_COUNTED = 10**15  # fuel of a WebAssembly message: never used up, only counted
_VERBS = 3  # kinds of requests that are named if a test ran out of time
_LONGER = "→ is there an endless loop? --timeout S gives a test more time"


@dataclass(slots=True)
class _TestRun:
    """One test that runs."""

    file: Path
    shown: str
    program: ProgramBundle
    prints: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    reads: FilesRead = field(default_factory=FilesRead)
    taken: TakenSnapshots | None = None  # its snapshots
    asked: Counter[str] = field(default_factory=Counter)  # its requests
    verb: str = ""  # the request that is carried out

    def doing(self) -> str:
        """Its requests, the most frequent first, as the end of a sentence."""
        verbs = [f"{verb} {count:,}" for verb, count in self.asked.most_common(_VERBS)]
        under_way = f", while {self.verb} was under way" if self.verb else ""
        return f"{under_way}; its requests: {', '.join(verbs)}" if verbs else ""

    def outcome(self, name: str, how: str, begin: float, why: TestFailure | None) -> TestOutcome:
        """Its outcome; `begin`: when it began, seconds."""
        return TestOutcome(
            self.shown,
            name,
            how,
            time.perf_counter() - begin,
            why,
            tuple(self.prints),
            tuple(self.warnings),
            self.reads.all(),
            {} if self.taken is None else self.taken.found,
        )

    def failure(self, reported: Any) -> TestFailure:
        """The failure that the sandbox reported, in which any part may be missing."""
        found = reported if isinstance(reported, dict) else {}
        name, _, number = str(found.get("place", "")).rpartition(":")
        place, message = f"{name}:{number}: ", str(found.get("text", ""))
        text = _with_source(message.removeprefix(place), self)
        differences = found.get("differences")
        return TestFailure(
            text,
            self.path_of(name) if name else "",
            int(number[:9]) if number.isdecimal() else 0,
            # Lua's own message says what is wrong in the line; that of an assertion does not.
            show_source(message if message.startswith(place) else place, self.program.files),
            tuple(_difference(item) for item in differences or () if isinstance(item, dict)),
        )

    def path_of(self, name: str) -> str:
        """The user's name for a file that Lua names."""
        folder = Path(self.shown).parent
        return str(folder / name) if name in self.program.files else name


@dataclass(frozen=True, slots=True)
class DeclaredTest:
    """A test that a file declares; `line`: where its function begins, 0 if unknown."""

    name: str
    skipped: bool
    line: int = 0


@dataclass(frozen=True, slots=True)
class TestFile:
    """A file of tests that was loaded.

    Attributes:
        path: as the user named it.
        tests: in the order in which it declares them.
        reads: stamps of the files that it was, or should have been, loaded from.
        problem: why it could not be loaded, None if it was.
    """

    path: Path
    program: ProgramBundle | None
    tests: tuple[DeclaredTest, ...] = ()
    reads: tuple[tuple[Path, Stamp], ...] = ()
    problem: TestOutcome | None = None


class Runner:
    """Runs tests, one after another.

    Args:
        seconds: limit for a test.
        roots: folders that tests may read code from, besides their own.
        update: whether present snapshots replace the stored ones.
        coverage: counts the lines that run; time limits are longer then.
        apart: whether each outcome has its test's own coverage.
    """

    def __init__(
        self,
        seconds: float = SECONDS,
        roots: tuple[Path, ...] = (),
        *,
        update: bool = False,
        coverage: Coverage | None = None,
        apart: bool = False,
    ) -> None:
        self.apart = apart and coverage is not None
        self._update = update
        self._seconds = seconds if coverage is None else SLOWER * seconds
        self._roots = roots
        self._zygotes = Zygotes(coverage, base())
        self._zygotes.start()
        self._guest: TestSandbox | None = None  # has loaded a file and run no test
        self._guest_of: TestFile | None = None

    @property
    def coverage(self) -> Coverage | None:
        """The coverage that counts lines now."""
        return self._zygotes.coverage

    def close(self) -> None:
        """End its sandboxes, and remove what an interrupted test has left."""
        self.forget_guest()
        self._zygotes.shut_down()
        remove_folders()

    def forked(self) -> None:
        """Call this in a fork: it shares the zygote, but none of its workers."""
        self._zygotes.leave_ahead()

    def forget_guest(self) -> None:
        """End the sandbox that a file was loaded into last."""
        if self._guest is not None:
            self._guest.close()
        self._guest = self._guest_of = None

    async def open(self, path: Path) -> TestFile:
        """Load a file of tests; returns what it declares."""
        self.forget_guest()
        begin, shown, reads = time.perf_counter(), str(path), FilesRead()
        try:
            note_parts(path, (real(path).parent, *map(real, self._roots)), reads)
            program = bundle_file(path)
        except AoError as error:
            failed = TestOutcome(shown, "", "error", 0.0, TestFailure(f"{error.what}", shown))
            return TestFile(path, None, (), reads.all(), failed)
        run = _TestRun(path, shown, program)
        guest, tests, why = await self._load(run, tells=True)
        problem = None if why is None else run.outcome("", "error", begin, why)
        file = TestFile(path, program, tests, reads.all(), problem)
        self._guest, self._guest_of = guest, file
        return file

    async def run_all(self, path: Path) -> AsyncIterator[TestOutcome]:
        """The outcomes of a file's tests, in order; or the file's own, where it is not loaded."""
        file = await self.open(path)
        if file.problem is not None:
            yield file.problem
        for index in range(len(file.tests)):
            yield await self.run(file, index)

    async def run(self, file: TestFile, index: int) -> TestOutcome:
        """Run a test of a loaded file by its index, as if no other test had run before."""
        if self.coverage is None or not self.apart:
            return await self._run(file, index)
        own = self._zygotes.coverage = self.coverage.fresh()
        outcome = await self._run(file, index)
        return replace(outcome, covered=own.packed())

    async def _run(self, file: TestFile, index: int) -> TestOutcome:
        test, shown = file.tests[index], str(file.path)
        if test.skipped:
            return TestOutcome(shown, test.name, "skipped", 0.0)
        assert file.program is not None
        run, begin = _TestRun(file.path, shown, file.program), time.perf_counter()
        run.taken = TakenSnapshots(snapshots_file(file.path), test.name, update=self._update)
        problem, outcome = None, "error"
        if self._guest_of is file:
            guest, self._guest, self._guest_of = self._guest, None, None
        else:
            self.forget_guest()
            guest, _tests, problem = await self._load(run)
        if guest is None:
            return run.outcome(test.name, "error", begin, problem)
        run.prints += guest.prints
        is_back = False
        try:
            try:
                async with asyncio.timeout(self._seconds):
                    problem = await self._steps(run, guest, index + 1)
                outcome = "failed" if problem else "passed"
            except TimeoutError:
                what = f"it took more than {self._seconds:g} s{run.doing()}\n{_LONGER}"
                problem = TestFailure(what, shown, test.line)
            except SandboxStoppedError as error:
                longer = f"\n{_LONGER}" if guest.is_late else ""
                problem = TestFailure(f"{error}{run.doing()}{longer}", shown, test.line)
            except AoError as error:
                problem = TestFailure(_refusal(error), shown, test.line)
            if outcome == "error":
                run.prints += (await guest.stop_step()).splitlines()
            else:
                is_back = await guest.go_back()
        finally:
            if is_back:
                self._guest, self._guest_of = guest, file
            else:
                guest.close()
        return run.outcome(test.name, outcome, begin, problem)

    async def _load(
        self, run: _TestRun, *, tells: bool = False
    ) -> tuple[TestSandbox | None, tuple[DeclaredTest, ...], TestFailure | None]:
        """A sandbox with the file, and its tests; or the reason why it could not be loaded.

        Args:
            tells: whether to ask for its list of tests.
        """
        source = run.program.source.decode("utf-8", "surrogateescape")
        try:
            guest = TestSandbox(self._zygotes, self._seconds)
        except AoError as error:
            return None, (), TestFailure(_refusal(error))
        try:
            async with asyncio.timeout(2 * self._seconds):
                report = await guest.step("load", BEGIN, source=source, tells=tells)
            if "failure" in report:
                run.prints += _prints(report)
                failure = run.failure(report["failure"])
            else:
                guest.prints = _prints(report)
                return guest, _tests(report) if tells else (), None
        except (SandboxStoppedError, TimeoutError) as error:
            why = str(error) or f"it took more than {2 * self._seconds:g} s"
            failure = TestFailure(f"while {run.shown} was loaded: {why}", run.shown)
        guest.close()
        return None, (), failure

    async def _steps(self, run: _TestRun, guest: TestSandbox, index: int) -> TestFailure | None:
        """Run a test to its end: each step, and the requests that it makes."""
        limits = Limits(seconds=max(0.5, self._seconds / 2), gas=_COUNTED)
        guest.keep()  # the next test begins in this state: file loaded, no test run
        async with open_node(limits=limits, supervisor=self._zygotes) as node:
            assert run.taken is not None
            calls = Calls(node, run.file, self._roots, run.reads, run.taken)
            run.sources, run.warnings = node.sources, calls.warnings
            report = await guest.step("run", await node.clock.now(), index=index)
            while not report.get("finished"):
                run.prints += _prints(report)
                answer: dict[str, Any] = {}
                try:
                    what, arguments = report.get("what"), report.get("arguments")
                    run.verb = str(what)
                    run.asked[run.verb] += 1
                    answer["value"] = await calls.carry_out(what, arguments)
                except AoError as error:
                    answer["refused"] = _refusal(error)
                run.verb = ""
                report = await guest.step("answer", await node.clock.now(), **answer)
            run.prints += _prints(report)
            return run.failure(report["failure"]) if "failure" in report else None


def _refusal(error: AoError) -> str:
    if not error.hint:
        return error.what
    return f"{error.what}\n→ {error.hint}" if "\n" in error.what else f"{error.what} ({error.hint})"


def _with_source(text: str, run: _TestRun) -> str:
    """The text of an error, with the line of a handler's file that it names below it."""
    drawn = show_source(text, {**run.sources, **run.program.files})
    return f"{text}\n{drawn}" if drawn else text


def _difference(item: dict[str, Any]) -> Difference:
    return Difference(*(str(item.get(name, "")) for name in ("path", "expected", "actual")))


def _prints(report: dict[str, Any]) -> list[str]:
    found = report.get("prints")
    return [str(text) for text in found] if isinstance(found, list) else []


def _tests(report: dict[str, Any]) -> tuple[DeclaredTest, ...]:
    found = report.get("tests")
    tests = found if isinstance(found, list) else []
    if not all(isinstance(test, dict) and {"name", "skipped"} <= test.keys() for test in tests):
        raise SandboxStoppedError("the file's list of tests is invalid")
    return tuple(
        DeclaredTest(str(test["name"]), bool(test["skipped"]), _line(test.get("line")))
        for test in tests
    )


def _line(found: object) -> int:
    return found if type(found) is int and 0 <= found < 1 << 31 else 0
