"""Shows what a run does, and what came of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from aoshell.fuzz.base import Base
from aoshell.fuzz.search import Done
from aoshell.shell.view.errors_view import show_source
from aoshell.shell.view.streams import writer
from aoshell.shell.view.text import clean


class Report:
    """Of one run.

    Args:
        seed: what the run was given.
    """

    def __init__(self, seed: int, *, as_json: bool) -> None:
        self._seed = seed
        self._as_json = as_json
        self._say = writer(sys.stdout, needed=True)
        self._tell = writer(sys.stderr, needed=False)
        self._is_shown = sys.stderr.isatty() and not as_json
        self._width = 0

    def progress(self, done: Done) -> None:
        """A line that the next one overwrites."""
        if self._is_shown:
            text = f"{_counted(done)}; Ctrl-C stops"
            self._width = max(self._width, len(text))
            self._tell(f"\r{text.ljust(self._width)}")

    def clear(self) -> None:
        """Take the line away."""
        if self._width:
            self._tell(f"\r{' ' * self._width}\r")
            self._width = 0

    def end(self, base: Base, done: Done, test: Path | None, doubt: str) -> None:
        """The outcome of a run.

        Args:
            test: the test that was written of what was found.
            doubt: why that test is not sure to fail; "" where it was seen to fail.
        """
        self.clear()
        if self._as_json:
            self._say(json.dumps(self._object(base, done, test, doubt)) + "\n")
            return
        for line in self._lines(base, done, test, doubt):
            self._say(clean(line, colour=False) + "\n")

    def _lines(self, base: Base, done: Done, test: Path | None, doubt: str) -> list[str]:
        lines = [("stopped: " if done.stopped else "") + _counted(done)]
        if done.found is None:
            held = f"; held: {', '.join(base.holding)}" if base.holding and done.messages else ""
            return [*lines, f"nothing found{held}"]
        verdict, count = done.found.verdict, len(done.found.steps)
        about = f'handler "{verdict.about}": ' if verdict.is_of_handler else ""
        lines.append(f"found: {about}{verdict.text}")
        lines += show_source(verdict.text, base.shown_sources).splitlines()
        many = f"{count} messages" if count > 1 else "1 message"
        lines.append(f"after {many} (found with {done.before}): {test}")
        if doubt:
            lines.append(f"that test does not fail by itself: {doubt}")
        lines.append(f"again: --seed {self._seed}")
        return lines

    def _object(self, base: Base, done: Done, test: Path | None, doubt: str) -> dict[str, Any]:
        found = done.found and {
            "kind": done.found.verdict.kind,
            "about": done.found.verdict.about,
            "text": done.found.verdict.text,
            "messages": [
                {
                    "from": step.sender.name,
                    "tags": [list(pair) for pair in step.tags],
                    "data": step.data,
                    "later": step.later,
                    "times": step.times,
                }
                for step in done.found.steps
            ],
            "test": str(test),
            "doubt": doubt,
        }
        return {
            "found": found,
            "invariants": list(base.holding),
            "sequences": done.sequences,
            "messages": done.messages,
            "seconds": round(done.seconds, 1),
            "seed": self._seed,
            "stopped": done.stopped,
        }


def _counted(done: Done) -> str:
    return f"{done.messages:,} messages in {done.sequences:,} sequences, {done.seconds:.0f} s"
