"""The report for GitHub Actions: the one for people, and an annotation for each failed test.

Workflow commands and how their values are escaped: docs.github.com, "Workflow commands for GitHub
Actions", and actions/toolkit, packages/core/src/command.ts. What tests print is shown while
commands are off, as any line of it could be one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from aoshell.bounded.files import real
from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.coverage.reports import Wanted
from aoshell.testing.reports.base import name_of, safe
from aoshell.testing.reports.text import TextReport
from aoshell.testing.runs.outcomes import TestOutcome

WORKSPACE = "GITHUB_WORKSPACE"  # names the folder of the repository, from which paths start


class GithubReport(TextReport):
    """As `TextReport`, followed by the annotations."""

    def __init__(self, say: Callable[[str], None], *, slowest: int = 0) -> None:
        super().__init__(say, colour=False, slowest=slowest)
        self._token = secrets.token_hex(16)  # code that prints cannot know it
        say(f"::stop-commands::{self._token}\n")

    def end(self, seconds: float, coverage: Coverage | None, wanted: Sequence[Wanted]) -> None:
        super().end(seconds, coverage, wanted)
        self.say(f"::{self._token}::\n")
        for outcome in self.outcomes:
            if outcome.bad:
                self.say(_annotation(outcome) + "\n")


def _annotation(outcome: TestOutcome) -> str:
    failure = outcome.failure
    about = {"file": _from_workspace(failure.file if failure and failure.file else outcome.file)}
    if failure and failure.line:
        about["line"] = str(failure.line)
    about["title"] = name_of(outcome)
    values = ",".join(f"{name}={_property(safe(value))}" for name, value in about.items())
    text = "\n".join(safe(line) for line in failure.lines()) if failure else outcome.outcome
    return f"::error {values}::{_data(text)}"


def _from_workspace(file: str) -> str:
    workspace = os.environ.get(WORKSPACE)
    path = real(Path(file))
    if workspace and path.is_relative_to(real(Path(workspace))):
        return path.relative_to(real(Path(workspace))).as_posix()
    return file


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
