"""Remembers the tests that failed last time, by the folder in which they were run.

They are stored in the cache; a list that cannot be read or written counts as empty.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from aoshell import durable
from aoshell.bounded import files, jsontext
from aoshell.errors import AoError
from aoshell.home.folders import Settings

LARGEST = 1 << 20  # bytes of the list

Failed = frozenset[tuple[str, str]]
"""Pairs: a file's path, links resolved, and a test's name; "" if the file was not loaded."""


def last_failed() -> Failed:
    """The tests that failed when tests were run in this folder last."""
    try:
        found = jsontext.parse(files.read(_file(), LARGEST))
    except (AoError, OSError, ValueError):
        return frozenset()
    pairs = found if isinstance(found, list) else []
    return frozenset(
        (str(pair[0]), str(pair[1])) for pair in pairs if isinstance(pair, list) and len(pair) == 2
    )


def remember_failed(failed: Iterable[tuple[str, str]]) -> None:
    """Store these as the last failures in this folder; without any, remove the list."""
    pairs = sorted(failed)
    with suppress(AoError, OSError):
        if not pairs:
            _file().unlink(missing_ok=True)
            return
        _file().parent.mkdir(mode=durable.PRIVATE_FOLDER, parents=True, exist_ok=True)
        durable.write(_file(), [json.dumps(pairs).encode()])


def _file() -> Path:
    where = hashlib.sha256(str(Path.cwd().resolve()).encode("utf-8", "surrogateescape"))
    return Settings.find().cache / "tests" / f"{where.hexdigest()[:32]}.json"
