"""A finding: one problem at one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
TARGETS = ("legacy", "hyperbeam")
# Versions of aos on the legacy network; "legacy" is the last one.
VERSIONS = ("2.0.1", "2.0.6")


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of a source on the target network.

    Attributes:
        rule: its name, as in docs/check.md.
        file: as the caller named the source.
        line: from 1.
        column: from 1, in characters.
        severity: "error": it fails or does nothing there; "warning": it is probably not what was
            meant; "note": good to know.
        message: the problem, one sentence without a full stop.
        advice: what to do, in the same form.
    """

    rule: str
    file: str
    line: int
    column: int
    severity: Severity
    message: str
    advice: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}: {self.severity}: {self.message} [{self.rule}]"
