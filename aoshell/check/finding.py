"""What the checker says: one thing about one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
TARGETS = ("legacy", "hyperbeam")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that will not work on the target, or not as it looks.

    Attributes:
        rule: its name, as in docs/check.md.
        file: as the caller named the source.
        line: from 1.
        column: from 1, in characters.
        severity: "error" fails or does nothing there; "warning" is hardly what was meant; "note"
            is good to know.
        message: what is the matter, one sentence without a full stop.
        advice: what to do, likewise.
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
