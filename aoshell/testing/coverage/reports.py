"""Parses which coverage reports are wanted, and writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aoshell.bounded.files import shown
from aoshell.errors import AoError, UsageError
from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.coverage.totals import FileTotal, file_totals

FORMS = {"text": "", "lcov": "lcov.info", "html": "coverage.html"}
"""The forms of a report, each with its default file."""
METAVAR = "FORM[:FILE]"
# Counting lines multiplies the processor time by up to this, in a loop of the shortest lines, so
# time limits are multiplied by it.
SLOWER = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """A report to write; `file` is None for the screen."""

    form: str
    file: Path | None


def parse_wanted(text: str) -> Wanted:
    """A report as the command line names it: `text`, `lcov`, `html:FILE`.

    Raises:
        UsageError: there is no such form, or it cannot be written to a file.
    """
    form, colon, file = text.partition(":")
    if form not in FORMS or (colon and not file) or (file and not FORMS[form]):
        forms = "text, lcov[:FILE] or html[:FILE]"
        raise UsageError(f"{text!r} is no report of coverage", hint=f"it is {forms}")
    name = file or FORMS[form]
    return Wanted(form, Path(name) if name else None)


def write_reports(wanted: Sequence[Wanted], coverage: Coverage, say: Callable[[str], None]) -> None:
    """Write the reports; `say` shows a line.

    Raises:
        AoError: a file cannot be written.
    """
    files, notes = file_totals(coverage), list(coverage.notes)
    for one in wanted or [Wanted("text", None)]:
        if one.file is None:
            from aoshell.testing.coverage.tables import table_lines

            for line in table_lines(files, notes):
                say(line)
        else:
            _write(one.file, _text(one.form, files, notes))
            say(f"coverage written to {shown(one.file)}")


def _text(form: str, files: Sequence[FileTotal], notes: Sequence[str]) -> str:
    if form == "lcov":
        from aoshell.testing.coverage.lcov import tracefile

        return tracefile(files)
    from aoshell.testing.coverage.page import page

    return page(files, notes)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    except OSError as error:
        raise AoError(
            f"{shown(file)} cannot be written: {error.strerror}",
            stage="output",
            hint="name another file: --coverage-report lcov:FILE",
        ) from error
