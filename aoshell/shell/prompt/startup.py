"""Start-up files of the prompt: lines that run at each start, in the config folder only.

`startup.aos` is for every process; `startup/NAME.aos` runs after it, for the process of that name.
A file in the current folder is never run: anybody may have written it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from aoshell.errors import AoError
from aoshell.shell.commands.reading import sends_nothing
from aoshell.shell.lines.sourcing import read_lines

ENDING = ".aos"
_PLAIN = re.compile(r"[\w-][\w.-]{0,63}\Z")  # names that cannot lead out of the folder


def startup_files(config: Path, name: str) -> list[Path]:
    """The existing files for a process."""
    files = [config / f"startup{ENDING}"]
    if _PLAIN.match(name):
        files.append(config / "startup" / f"{name}{ENDING}")
    return [file for file in files if file.exists()]


def startup_lines(config: Path, name: str, sends: bool) -> tuple[list[str], list[str]]:
    """The lines to run, and notes on what is not run.

    Args:
        name: of the process.
        sends: whether lines may send messages. On another node these are public, and may cost.
    """
    lines: list[str] = []
    notes: list[str] = []
    for file in startup_files(config, name):
        try:
            found = read_lines(file)
        except AoError as error:
            notes.append(str(error))
            continue
        kept = found if sends else list(filter(sends_nothing, found))
        lines += kept
        if left := len(found) - len(kept):
            notes.append(_left_out(file, left, found))
    return lines, notes


def _left_out(file: Path, left: int, found: Sequence[str]) -> str:
    some = f"{left} of its {len(found)} lines" if left < len(found) else "its lines"
    return (
        f"{file}: {some} would send messages to a node that is not yours, and were not run\n"
        "  → startup = true in the profile of that node allows it (docs/prompt.md)"
    )
