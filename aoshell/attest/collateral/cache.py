"""A folder of files that could be fetched again: a cache, which nobody may rely on."""

from __future__ import annotations

import contextlib
from pathlib import Path

from aoshell import durable
from aoshell.bounded import files


class Folder:
    """Files by name. A folder that cannot be read or written is like an empty one.

    Args:
        path: made when needed; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def read(self, name: str, most: int) -> bytes:
        """A file of at most so many bytes, b"" where there is none."""
        if self._path is None:
            return b""
        try:
            return files.read(self._path / name, most)
        except OSError:
            return b""

    def write(self, name: str, data: bytes) -> None:
        """Keeps a file, whole or not at all."""
        if self._path is None:
            return
        path = self._path / name
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.write(path, [data])

    def age(self, name: str, at: int) -> float:
        """Seconds from when a file was kept to a time (since the Unix epoch); without end where it
        was not."""
        try:
            return at - (self._path / name).stat().st_mtime if self._path else float("inf")
        except OSError:
            return float("inf")
