"""`--watch`: runs the tests again that a saved file affects, until Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from aoshell.bounded.files import real
from aoshell.errors import UsageError
from aoshell.testing.code.stamps import ABSENT, Stamp, stamp_of
from aoshell.testing.runs.choosing import find_test_files
from aoshell.testing.runs.rounds import Round

EVERY = 0.05  # seconds between two checks of the known files
QUIET = 2  # checks in which a file must be unchanged: some editors write it in parts
RETURN = 4  # checks in which a file must be gone: some editors remove it and make it again
SEARCH = 20  # checks between two searches for new test files

Stamps = dict[Path, Stamp]


@dataclass(slots=True)
class Saved:
    """What a save affects.

    Attributes:
        files: the saved files, as they are shown.
        tests: the test files to run.
        only: the tests in them to run; the name "" means all tests of a file.
    """

    files: list[Path] = field(default_factory=list)
    tests: list[Path] = field(default_factory=list)
    only: set[tuple[str, str]] = field(default_factory=set)


class TestWatch:
    """The test files, and the files that each test has read.

    Args:
        given: files and folders of the command line.
    """

    def __init__(self, given: Sequence[str]) -> None:
        self._given = given
        self._files: dict[Path, Stamps] = {}  # test file → what it was loaded from
        self._tests: dict[tuple[Path, str], Stamps] = {}  # test → what its processes were made of
        self._restless: dict[Path, tuple[Stamp, int]] = {}  # saved file → stamp, looks

    def begin(self, paths: Iterable[Path]) -> None:
        """Note files that are about to be loaded."""
        for path in paths:
            self._files.setdefault(path, {path: stamp_of(path)})

    def learn(self, found: Round) -> None:
        """Note the files that a round has read."""
        for file in found.files:
            if self._files.get(file.path, {}).get(file.path) == ABSENT:
                continue  # it was reported as gone since then
            self._files[file.path] = dict(file.reads)
            if file.problem is None:
                named = {test.name for test in file.tests}
                for path, name in [key for key in self._tests if key[0] == file.path]:
                    if name not in named:
                        del self._tests[path, name]
        for outcome in found.outcomes:
            self._tests[Path(outcome.file), outcome.name] = dict(outcome.reads)

    async def wait(self, gone: Callable[[Path], None], running: Round | None = None) -> Saved:
        """Wait until a file that tests have read is saved.

        Args:
            gone: called with a test file that no longer exists.
            running: a round that runs meanwhile; new test files are searched for after it.
        """
        looks = 0
        while True:
            if running is not None:
                self.learn(running)
            saved = self._look(gone)
            if running is None and looks % SEARCH == 0:
                self._add_new(saved)
            if saved.tests:
                return saved
            looks += 1
            await asyncio.sleep(EVERY)

    def _add_new(self, saved: Saved) -> None:
        for path in self._present():
            if path not in self._files and stamp_of(path) != ABSENT:
                saved.files.append(path)
                saved.tests.append(path)
                saved.only.add((str(real(path)), ""))

    def _present(self) -> Iterator[Path]:
        for given in self._given or ["."]:
            with suppress(UsageError):  # no test files are left there
                yield from find_test_files([given])

    def _look(self, gone: Callable[[Path], None]) -> Saved:
        settled = self._settled()
        saved = Saved(sorted(settled))
        for path, stamps in list(self._files.items()):
            if settled.get(path) == ABSENT:
                if stamps.get(path) != ABSENT:
                    gone(path)
                    self._forget(path)
                continue
            if _take(stamps, settled):
                saved.only.add((str(real(path)), ""))
                saved.tests.append(path)
        for (path, name), stamps in self._tests.items():
            if _take(stamps, settled):
                saved.only.add((str(real(path)), name))
                if path not in saved.tests:
                    saved.tests.append(path)
        return saved

    def _forget(self, path: Path) -> None:
        """Forget a test file that is gone, except for its path: it may come back."""
        self._files[path] = {path: ABSENT}
        for key in [key for key in self._tests if key[0] == path]:
            del self._tests[key]

    def _settled(self) -> Stamps:
        """The stamps of changed files that no longer change."""
        now: Stamps = {}
        for path, stamp in self._known():
            if path not in now:
                now[path] = stamp_of(path)
            if now[path] == stamp:
                continue
            before, looks = self._restless.get(path, (None, 0))
            self._restless[path] = (now[path], looks if before == now[path] else 0)
        found: Stamps = {}
        for path, (stamp, looks) in list(self._restless.items()):
            if now.get(path) != stamp:
                del self._restless[path]
                continue
            self._restless[path] = (stamp, looks + 1)
            if looks + 1 >= (RETURN if stamp == ABSENT else QUIET):
                found[path] = stamp
                del self._restless[path]
        return found

    def _known(self) -> Iterable[tuple[Path, Stamp]]:
        for stamps in (*self._files.values(), *self._tests.values()):
            yield from stamps.items()


def _take(stamps: Stamps, settled: Stamps) -> bool:
    """Take over the stamps of saved files; returns whether there were any."""
    changed = {path: settled[path] for path in stamps.keys() & settled.keys()}
    differs = any(stamps[path] != stamp for path, stamp in changed.items())
    stamps.update(changed)
    return differs
