"""Makes pytest collect tests in Lua: `*_test.lua` next to tests in Python.

A failure shows Lua and no frame of Python: the user wrote none of these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from aoshell import interrupts
from aoshell.shell.view.text import clean_line
from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.reports.base import safe
from aoshell.testing.runs.outcomes import TestFailure, TestOutcome
from aoshell.testing.runs.running import DeclaredTest, Runner, TestFile

_T = TypeVar("_T")
_KEY: pytest.StashKey[LuaRuns] = pytest.StashKey()


class LuaTestError(Exception):
    """A test in Lua failed; the text is the full report."""


class LuaRuns:
    """Runs the tests in Lua of one pytest session: begins with the first file, ends with pytest.

    Args:
        coverage: counts the lines that run.
    """

    def __init__(self, config: pytest.Config, coverage: Coverage | None) -> None:
        self.runner = Runner(roots=(config.rootpath,), coverage=coverage)
        self._loop = asyncio.Runner()
        config.add_cleanup(self._end)

    @classmethod
    def begin(cls, config: pytest.Config, coverage: Coverage | None) -> None:
        """Begin, unless begun already."""
        if _KEY not in config.stash:
            config.stash[_KEY] = cls(config, coverage)

    def wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        """The result of a coroutine."""
        return interrupts.run_on(self._loop, work)

    def _end(self) -> None:
        self._loop.close()
        self.runner.close()


class LuaFile(pytest.File):
    """A file of tests in Lua."""

    def collect(self) -> Iterable[LuaTest]:
        """Its tests, in the order in which it declares them."""
        runs = self.config.stash[_KEY]

        async def load() -> TestFile:
            file = await runs.runner.open(self.path)
            runs.runner.forget_guest()
            return file

        file = runs.wait(load())
        if file.problem is not None:
            raise self.CollectError(_failure_text(file.problem, self.config))
        for index, test in enumerate(file.tests):
            # pytest stores names in a UTF-8 file, and shows them on one line.
            name = test.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            item = LuaTest.from_parent(self, name=clean_line(name))
            item.take(file, index, test)
            yield item


class LuaTest(pytest.Item):
    """A test in Lua."""

    def take(self, file: TestFile, index: int, test: DeclaredTest) -> None:
        """Set which test it is."""
        self._file, self._index = file, index
        self._line = test.line - 1 if test.line else None
        if test.skipped:
            self.add_marker(pytest.mark.skip(reason="declared by skip()"))

    def runtest(self) -> None:
        """Run it. Raises LuaTestError."""
        runs = self.config.stash[_KEY]
        outcome = runs.wait(runs.runner.run(self._file, self._index))
        if outcome.prints:
            self.add_report_section("call", "stdout", "\n".join(map(safe, outcome.prints)) + "\n")
        if outcome.bad:
            raise LuaTestError(_failure_text(outcome, self.config))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The text of a failure; for a defect of aoshell, that of pytest."""
        if isinstance(excinfo.value, LuaTestError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it stands: file, line from 0, name."""
        return self.path, self._line, self.name


def _failure_text(outcome: TestOutcome, config: pytest.Config) -> str:
    failure = outcome.failure or TestFailure(outcome.outcome)
    folder, file = config.invocation_params.dir, Path(failure.file)
    if failure.file and file.is_relative_to(folder):
        failure = replace(failure, file=str(file.relative_to(folder)))
    return "\n".join(safe(line) for line in failure.lines())
