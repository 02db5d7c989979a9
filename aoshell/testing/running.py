"""Finds and runs Lua tests: each in a sandbox of its own, on a node of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aoshell.errors import AoError, UsageError
from aoshell.nodes.values import Limits
from aoshell.shell.code.bundle import ProgramBundle
from aoshell.shell.view.errors_view import show_source
from aoshell.testing.calls import Calls
from aoshell.testing.clock import BEGIN
from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.coverage.reports import SLOWER
from aoshell.testing.guest import SandboxStoppedError, TestSandbox
from aoshell.testing.opening import Zygotes, open_node
from aoshell.testing.sources import bundle_file, refuse_parts_outside

SECONDS = 10.0  # that a test may take
_COUNTED = 10**15  # fuel of a message of WebAssembly: so much that only its count matters
_PATTERNS = ("*_test.lua", "test_*.lua")


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two values differ, as Lua writes them; path "" is the value itself."""

    path: str
    expected: str
    actual: str


@dataclass(frozen=True, slots=True)
class TestFailure:
    """Why a test failed.

    Attributes:
        text: one or more lines.
        file, line: where in the user's files; "" and 0 if unknown.
        source: the line with its number, ready to show, or "".
    """

    text: str
    file: str = ""
    line: int = 0
    source: str = ""
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """The outcome of a test.

    Attributes:
        name: "" for a file that could not be loaded.
        outcome: "passed", "failed", "skipped", or "error": stopped by a limit, or not loaded.
        seconds: how long it took.
        prints: what the test itself printed.
        warnings: what its author should know, and does not fail it.
    """

    file: str
    name: str
    outcome: str
    seconds: float
    failure: TestFailure | None = None
    prints: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _TestRun:
    """One test that runs."""

    file: Path
    shown: str
    program: ProgramBundle
    prints: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def failure(self, reported: Any) -> TestFailure:
        """The failure that the sandbox reported. Anything may be missing in that."""
        found = reported if isinstance(reported, dict) else {}
        name, _, number = str(found.get("place", "")).rpartition(":")
        place, message = f"{name}:{number}: ", str(found.get("text", ""))
        text = _with_source(message.removeprefix(place), self)
        differences = found.get("differences")
        return TestFailure(
            text,
            self.path_of(name) if name else "",
            int(number[:9]) if number.isdecimal() else 0,
            # Lua's own message names what is wrong in the line; that of an assertion does not.
            show_source(message if message.startswith(place) else place, self.program.files),
            tuple(_difference(item) for item in differences or () if isinstance(item, dict)),
        )

    def path_of(self, name: str) -> str:
        """A file that Lua names, as the user named it."""
        folder = Path(self.shown).parent
        return str(folder / name) if name in self.program.files else name


def find_test_files(given: Iterable[str]) -> list[Path]:
    """The test files that are given, also in folders; by default those below the current one.

    Raises:
        UsageError: there is no such file or folder, or no test file in it.
    """
    found: dict[Path, None] = {}
    for path in [Path(name) for name in given] or [Path()]:
        if not path.exists():
            raise UsageError(f"there is no file {path}", hint="aoshell test [FILE|FOLDER…]")
        found.update(dict.fromkeys(_below_folder(path) if path.is_dir() else [path]))
    if not found:
        raise UsageError("there are no test files", hint=f"they are named {' or '.join(_PATTERNS)}")
    return list(found)


def _below_folder(folder: Path) -> Iterator[Path]:
    """Test files, in order; hidden folders are left out."""
    matches = {path for pattern in _PATTERNS for path in folder.rglob(pattern)}
    for path in sorted(matches):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


class Runner:
    """Runs tests, one after another.

    Args:
        name: only tests whose names contain it, whatever the case.
        seconds: limit for a test.
        roots: folders that tests may read code from, besides their own.
        coverage: where the lines that run are counted; the limits of time are wider then.
    """

    def __init__(
        self,
        name: str = "",
        seconds: float = SECONDS,
        roots: tuple[Path, ...] = (),
        coverage: Coverage | None = None,
    ) -> None:
        self._name = name.lower()
        self._seconds = seconds if coverage is None else SLOWER * seconds
        self._roots = roots
        self._zygotes = Zygotes(coverage)
        self._zygotes.start()

    def close(self) -> None:
        """End its sandboxes."""
        self._zygotes.shut_down()

    async def run(self, file: Path) -> AsyncIterator[TestOutcome]:
        """The outcomes of a file's tests, each as soon as it is known."""
        begin, shown = time.perf_counter(), str(file)
        try:
            program = bundle_file(file)
            roots = (file.resolve().parent, *(root.resolve() for root in self._roots))
            refuse_parts_outside(file, roots)
        except AoError as error:
            yield TestOutcome(shown, "", "error", 0.0, TestFailure(f"{error.what}", shown))
            return
        run = _TestRun(file, shown, program)
        guest, tests, failure = await self._load(run)
        if failure is not None:
            spent = time.perf_counter() - begin
            yield TestOutcome(shown, "", "error", spent, failure, tuple(run.prints))
        try:
            for index, test in enumerate(tests, 1):
                if self._name not in str(test["name"]).lower():
                    continue
                if test["skipped"]:
                    yield TestOutcome(shown, str(test["name"]), "skipped", 0.0)
                    continue
                run = _TestRun(file, shown, program)
                if guest is None:
                    guest, _tests, failure = await self._load(run)
                yield await self._test(run, guest, index, str(test["name"]), failure)
                if guest is not None:
                    guest.close()
                guest = None
        finally:
            if guest is not None:
                guest.close()

    async def _load(
        self, run: _TestRun
    ) -> tuple[TestSandbox | None, list[Any], TestFailure | None]:
        """A sandbox with the file, and its tests; or the reason why it could not be loaded."""
        guest = TestSandbox(self._zygotes, self._seconds)
        source = run.program.source.decode("utf-8", "surrogateescape")
        try:
            async with asyncio.timeout(2 * self._seconds):
                report = await guest.step("load", BEGIN, source=source)
            run.prints += _prints(report)
            if "failure" in report:
                failure = run.failure(report["failure"])
            else:
                return guest, _tests(report), None
        except (SandboxStoppedError, TimeoutError) as error:
            failure = TestFailure(str(error) or f"loading took more than {2 * self._seconds:g} s")
        guest.close()
        return None, [], failure

    async def _test(
        self,
        run: _TestRun,
        guest: TestSandbox | None,
        index: int,
        name: str,
        failure: TestFailure | None,
    ) -> TestOutcome:
        begin, outcome = time.perf_counter(), "error"
        if guest is not None:
            try:
                async with asyncio.timeout(self._seconds):
                    failure = await self._steps(run, guest, index)
                outcome = "failed" if failure else "passed"
            except TimeoutError:
                failure = TestFailure(f"it took more than {self._seconds:g} s")
            except (SandboxStoppedError, AoError) as error:
                failure = TestFailure(str(error))
            if outcome == "error":
                run.prints += (await guest.stop_step()).splitlines()
        spent = time.perf_counter() - begin
        told = (tuple(run.prints), tuple(run.warnings))
        return TestOutcome(run.shown, name, outcome, spent, failure, *told)

    async def _steps(self, run: _TestRun, guest: TestSandbox, index: int) -> TestFailure | None:
        """Run a test to its end: each step, and the requests that it makes."""
        limits = Limits(seconds=max(0.5, self._seconds / 2), gas=_COUNTED)
        async with open_node(limits=limits, supervisor=self._zygotes) as node:
            calls = Calls(node, run.file, self._roots)
            run.sources, run.warnings = node.sources, calls.warnings
            report = await guest.step("run", await node.clock.now(), index=index)
            while not report.get("finished"):
                run.prints += _prints(report)
                answer: dict[str, Any] = {}
                try:
                    what, arguments = report.get("what"), report.get("arguments")
                    answer["value"] = await calls.carry_out(what, arguments)
                except AoError as error:
                    answer["refused"] = _refusal(error)
                report = await guest.step("answer", await node.clock.now(), **answer)
            run.prints += _prints(report)
            return run.failure(report["failure"]) if "failure" in report else None


def _refusal(error: AoError) -> str:
    return f"{error.what} ({error.hint})" if error.hint else error.what


def _with_source(text: str, run: _TestRun) -> str:
    """The text of an error, and below it the line of a handler's file that it names."""
    drawn = show_source(text, {**run.sources, **run.program.files})
    return f"{text}\n{drawn}" if drawn else text


def _difference(item: dict[str, Any]) -> Difference:
    return Difference(*(str(item.get(name, "")) for name in ("path", "expected", "actual")))


def _prints(report: dict[str, Any]) -> list[str]:
    found = report.get("prints")
    return [str(text) for text in found] if isinstance(found, list) else []


def _tests(report: dict[str, Any]) -> list[Any]:
    found = report.get("tests")
    tests = found if isinstance(found, list) else []
    if not all(isinstance(test, dict) and {"name", "skipped"} <= test.keys() for test in tests):
        raise SandboxStoppedError("the file's list of tests is invalid")
    return tests
