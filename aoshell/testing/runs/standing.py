"""The state of tests over several rounds: the newest outcome of each, and the total coverage."""

from __future__ import annotations

from pathlib import Path

from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.runs.outcomes import TestOutcome
from aoshell.testing.runs.rounds import Round


class Standing:
    """The newest outcome of each test in existing files."""

    def __init__(self) -> None:
        self._files: dict[str, dict[str, TestOutcome]] = {}

    def take(self, found: Round) -> None:
        """Take over the outcomes of a round."""
        for file in found.files:
            known = self._files.setdefault(str(file.path), {})
            new = {one.name: one for one in found.outcomes if one.file == str(file.path)}
            names = [""] if file.problem is not None else [test.name for test in file.tests]
            both = known | new
            self._files[str(file.path)] = {name: both[name] for name in names if name in both}
        for name in [name for name in self._files if not Path(name).exists()]:
            del self._files[name]

    @property
    def outcomes(self) -> list[TestOutcome]:
        """By file, in the order in which they are declared."""
        return [one for _file, known in sorted(self._files.items()) for one in known.values()]

    def coverage(self, fresh: Coverage) -> Coverage:
        """The coverage of all tests, added to `fresh`."""
        for outcome in self.outcomes:
            if outcome.covered is not None:
                fresh.add(outcome.covered)
        return fresh
