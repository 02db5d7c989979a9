"""The report for CI servers: JUnit's XML, by Jenkins' schema (junit-10.xsd of its xunit plugin)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from aoshell import durable
from aoshell.bounded.files import real, shown
from aoshell.errors import AoError
from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.coverage.reports import Wanted
from aoshell.testing.reports.base import WHOLE_FILE, TestReport, name_of, safe
from aoshell.testing.runs.outcomes import TestOutcome

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2


class JunitFile(TestReport):
    """Writes a file once all tests have run, whole or not at all.

    Args:
        began: when the first test began, seconds since the Unix epoch.

    Raises:
        AoError: stage "output", the file cannot be written.
    """

    def __init__(self, path: Path, began: float) -> None:
        super().__init__(lambda _text: None)
        self._path = path
        if why := durable.refusal(path):
            raise self._unwritable(why)
        self._began = datetime.fromtimestamp(began, UTC).replace(microsecond=0)

    def end(self, seconds: float, coverage: Coverage | None, wanted: Sequence[Wanted]) -> None:
        """Write the file; another report has the coverage.

        Raises:
            AoError: stage "output".
        """
        del coverage, wanted
        about = {"name": "aoshell", "time": f"{seconds:.3f}"}
        whole = Element("testsuites", about | _counts(self.outcomes))
        for file, found in groupby(self.outcomes, lambda outcome: outcome.file):
            self._add_suite(whole, file, list(found))
        data = tostring(whole, encoding="utf-8", xml_declaration=True) + b"\n"
        try:
            durable.write(real(self._path), [data], mode=durable.USERS_FILE)  # a link is kept
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from None

    def _unwritable(self, why: str) -> AoError:
        hint = "name a file in an existing folder: --junit FILE"
        return AoError(f"{shown(self._path)} cannot be written: {why}", stage="output", hint=hint)

    def _add_suite(self, whole: Element, file: str, found: list[TestOutcome]) -> None:
        about = {
            "name": _text(file),
            "file": _text(file),
            "timestamp": self._began.isoformat(),
            "time": f"{sum(outcome.seconds for outcome in found):.3f}",
            "skipped": str(sum(outcome.outcome == "skipped" for outcome in found)),
        }
        suite = SubElement(whole, "testsuite", about | _counts(found))
        for outcome in found:
            _add_case(suite, outcome)


def _add_case(suite: Element, outcome: TestOutcome) -> None:
    case = SubElement(
        suite,
        "testcase",
        name=_text(outcome.name) or WHOLE_FILE,
        classname=_text(Path(outcome.file).with_suffix("").as_posix().replace("/", ".")),
        time=f"{outcome.seconds:.3f}",
    )
    if outcome.outcome == "skipped":
        SubElement(case, "skipped")
    if outcome.bad:
        kind = "failure" if outcome.outcome == "failed" else "error"
        lines = outcome.failure.lines() if outcome.failure else []
        message = outcome.failure.text.partition("\n")[0] if outcome.failure else name_of(outcome)
        element = SubElement(case, kind, type=outcome.outcome, message=_text(message))
        element.text = _text("\n".join(lines))
    if outcome.prints:
        SubElement(case, "system-out").text = _text("\n".join(outcome.prints))


def _counts(found: list[TestOutcome]) -> dict[str, str]:
    kinds = [outcome.outcome for outcome in found]
    numbers = {
        "tests": len(found),
        "failures": kinds.count("failed"),
        "errors": kinds.count("error"),
    }
    return {name: str(number) for name, number in numbers.items()}


def _text(untrusted: str) -> str:
    """Text without what XML cannot hold."""
    return _NOT_XML.sub("\ufffd", safe(untrusted))
