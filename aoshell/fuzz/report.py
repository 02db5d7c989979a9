"""Shows the progress of a run, and its faults."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from aoshell.fuzz.base import Base
from aoshell.fuzz.search import MOST_FAULTS, Done, Fault
from aoshell.shell.view.errors_view import show_source
from aoshell.shell.view.streams import writer
from aoshell.shell.view.text import clean


class FuzzReport:
    """Of one run.

    Args:
        seed: of the run.
    """

    def __init__(self, base: Base, seed: int, *, as_json: bool) -> None:
        self._base = base
        self._seed = seed
        self._as_json = as_json
        self._say = writer(sys.stdout, needed=True)
        self._tell = writer(sys.stderr, needed=False)
        self._is_shown = sys.stderr.isatty() and not as_json
        self._width = 0
        self._faults: list[dict[str, Any]] = []

    def progress(self, done: Done) -> None:
        """Show a line that the next one overwrites."""
        if self._is_shown:
            text = f"{_counted(done)}; Ctrl-C stops"
            self._width = max(self._width, len(text))
            self._tell(f"\r{text.ljust(self._width)}")

    def _clear(self) -> None:
        """Remove the line."""
        if self._width:
            self._tell(f"\r{' ' * self._width}\r")
            self._width = 0

    def found(self, fault: Fault, test: Path, doubt: str) -> None:
        """Show a fault.

        Args:
            test: the test that was written for it.
            doubt: why that test may not fail; "" if it was seen to fail.
        """
        self._clear()
        self._faults.append(_fault_value(fault, test, doubt))
        self._lines(self._of_fault(fault, test, doubt))

    def end(self, done: Done) -> None:
        """Show the end of a run."""
        self._clear()
        if self._as_json:
            self._say(json.dumps(self._object(done)) + "\n")
            return
        count = len(done.faults)
        line = ("stopped: " if done.stopped else "") + _counted(done)
        if not count:
            holding = self._base.holding if done.messages else ()
            held = f"; held: {', '.join(holding)}" if holding else ""
            self._lines([line, f"nothing found{held}"])
            return
        lines = [f"{line}: {_many(count, 'fault')}"]
        if self._base.is_used_up:
            lines.append("each handler has a fault that stops it, so none is left to search")
        elif count == MOST_FAULTS:
            lines.append(f"a run ends at {MOST_FAULTS} faults; fix some, and search again")
        self._lines([*lines, f"again: --seed {self._seed}"])

    def _lines(self, lines: list[str]) -> None:
        if not self._as_json:
            for line in lines:
                self._say(clean(line, colour=False) + "\n")

    def _of_fault(self, fault: Fault, test: Path, doubt: str) -> list[str]:
        verdict, count = fault.failed.verdict, len(fault.failed.steps)
        about = f'handler "{verdict.about}": ' if verdict.is_of_handler else ""
        return [
            f"found: {about}{verdict.text}",
            *show_source(verdict.text, self._base.shown_sources).splitlines(),
            f"after {_many(count, 'message')} (found with {fault.before}): {test}",
            *([f"that test was not seen to fail: {doubt}"] if doubt else []),
        ]

    def _object(self, done: Done) -> dict[str, Any]:
        return {
            "found": self._faults[0] if self._faults else None,
            "faults": self._faults,
            "invariants": list(self._base.holding),
            "sequences": done.sequences,
            "messages": done.messages,
            "seconds": round(done.seconds, 1),
            "seed": self._seed,
            "module": module.name if (module := self._base.target.module) else "",
            "stopped": done.stopped,
        }


def _fault_value(fault: Fault, test: Path, doubt: str) -> dict[str, Any]:
    verdict = fault.failed.verdict
    return {
        "kind": verdict.kind,
        "about": verdict.about,
        "text": verdict.text,
        "messages": [
            {
                "from": step.sender.name,
                "tags": [list(pair) for pair in step.tags],
                "data": step.data,
                "later": step.later,
                "times": step.times,
                "replayed": step.replayed,
                "cron": step.is_tick,
            }
            for step in fault.failed.steps
        ],
        "test": str(test),
        "doubt": doubt,
    }


def _counted(done: Done) -> str:
    messages, sequences = _many(done.messages, "message"), _many(done.sequences, "sequence")
    return f"{messages} in {sequences}, {done.seconds:.0f} s"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
