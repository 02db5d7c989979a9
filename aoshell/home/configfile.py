"""Reads the config file, `config.toml`; never writes it.

`profile` and `[profiles]` choose the node (`home.endpoints`); `[shell]` sets up the prompt.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from aoshell.bounded import files
from aoshell.errors import AoError
from aoshell.texts import strip_mark

LARGEST = 1 << 20  # bytes
KEYS = ("profile", "profiles", "shell")  # at the top level


def read_config(path: Path) -> dict[str, Any]:
    """The content of the file, {} if there is none.

    Raises:
        AoError: stage "config"; the error names file and line.
    """
    try:
        content = files.read(path, LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        what = f"{path} cannot be read: {error.strerror or error}"
        raise AoError(what, stage="config", hint="check its permissions") from error
    if not content:
        return {}
    import tomllib

    content = strip_mark(content, path, "config")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = f"is not UTF-8 text (at line {line})"
    except tomllib.TOMLDecodeError as error:
        last = len(content.splitlines())
        what = str(error).replace("end of document", f"line {last}, the end")
    except RecursionError:
        what = "is nested too deeply"
    raise AoError(
        f"{path}: {what}", stage="config", hint="it is TOML: docs/remote.md shows an example"
    )


def line_of(path: Path, table: str, key: str) -> int:
    """The line of a key of a table, 0 if it is not found.

    `tomllib` has no line numbers, so this searches for the usual spelling of the key only.
    """
    try:
        lines = files.read(path, LARGEST).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    now, wanted = "", f"{table}.{key}".strip(".")
    for number, line in enumerate(lines, 1):
        if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            now = header[1]
            continue
        found = re.match(r"""\s*["']?([\w.-]+)["']?\s*=""", line)
        if found and f"{now}.{found[1]}".strip(".") == wanted:
            return number
    return 0
