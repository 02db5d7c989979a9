"""Which dot commands only read: they can run beside a line that is waited for."""

from __future__ import annotations

import re

from aoshell.shell.commands.table import TABLE


def only_reads(line: str) -> bool:
    """Whether a line is a dot command that changes nothing, neither here nor in a process."""
    name, _, rest = line.strip().partition(" ")
    row = TABLE.get(name[1:]) if name.startswith(".") else None
    if row is None or row.reads is None:
        return False
    return rest == "--help" or re.fullmatch(row.reads, rest.strip(), re.DOTALL) is not None
