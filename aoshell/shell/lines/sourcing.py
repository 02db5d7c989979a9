"""Files of lines, as they are typed: Lua and dot commands, for `.source` and for start-up files."""

from __future__ import annotations

from pathlib import Path

from aoshell.errors import AoError, UsageError
from aoshell.protocol.message import text
from aoshell.shell.code.files import path_of_argument, read_text
from aoshell.shell.lines.pasted import split_chunks

LARGEST = 1 << 20  # bytes of a file of lines
MOST = 10_000  # lines of a file and of those that it names
_SOURCE = ".source"


def read_lines(path: Path) -> list[str]:
    """The complete lines of a file, with those of the files that it includes by `.source`.

    Names in a file start from its folder.

    Raises:
        AoError: a file cannot be read, its last line is not complete, or files include each other
            in a circle.
    """
    return _lines(path.absolute(), ())


def _lines(path: Path, above: tuple[Path, ...]) -> list[str]:
    if path in above:
        way = " → ".join(one.name for one in (*above[above.index(path) :], path))
        raise AoError(f"files source each other in a circle: {way}", stage="load")
    chunks, open_end = split_chunks(text(read_text(path, LARGEST)))
    if open_end:
        raise AoError(
            f"{path} ends in code that is not complete",
            stage="load",
            hint=f"nothing of it was run; it ends with: {chunks[-1].splitlines()[-1].strip()}",
        )
    found: list[str] = []
    for chunk in chunks:
        name = sourced(chunk)
        found += _lines(path.parent / path_of_argument(name), (*above, path)) if name else [chunk]
        if len(found) > MOST:
            raise AoError(f"{path} has more than {MOST:,} lines", stage="load", hint="use .load")
    return found


def sourced(line: str) -> str:
    """The file that a line of `.source FILE` names, "" for any other line."""
    word, _, rest = line.strip().partition(" ")
    if word != _SOURCE:
        return ""
    if not rest.strip():
        raise UsageError(".source needs the name of a file", hint=".help source")
    return rest.strip()
