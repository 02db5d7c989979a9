"""Which dot commands only read, so they can run while a line runs; and which send nothing."""

from __future__ import annotations

import re
from collections.abc import Callable

from aoshell.shell.commands.table import TABLE, Row


def only_reads(line: str) -> bool:
    """Whether a line is a dot command that changes nothing, here or in a process."""
    return _fits(line, lambda row: row.reads)


def sends_nothing(line: str) -> bool:
    """Whether a line is a dot command that sends no message."""
    return _fits(line, lambda row: row.quiet)


def _fits(line: str, pattern_of: Callable[[Row], str | None]) -> bool:
    """Whether a line is a dot command whose arguments fit a pattern of its row."""
    name, _, rest = line.strip().partition(" ")
    row = TABLE.get(name[1:]) if name.startswith(".") else None
    pattern = pattern_of(row) if row else None
    if pattern is None:
        return False
    return rest == "--help" or re.fullmatch(pattern, rest.strip(), re.DOTALL) is not None
