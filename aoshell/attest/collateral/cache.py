"""A folder of files that can be fetched again."""

from __future__ import annotations

import contextlib
from pathlib import Path

from aoshell import durable
from aoshell.bounded import files


class Folder:
    """Files by name. A folder that cannot be read or written counts as empty.

    Args:
        path: created when needed; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def read(self, name: str, most: int) -> bytes:
        """A file of at most `most` bytes, b"" if there is none."""
        if self._path is None:
            return b""
        try:
            return files.read(self._path / name, most)
        except OSError:
            return b""

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, whole or not at all."""
        if self._path is None:
            return
        path = self._path / name
        with contextlib.suppress(OSError):  # then it is fetched again next time
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.write(path, [data])

    def age(self, name: str, at: int) -> float:
        """Seconds from when a file was written to `at` (since the Unix epoch); infinite if there is
        none."""
        try:
            return at - (self._path / name).stat().st_mtime if self._path else float("inf")
        except OSError:
            return float("inf")
