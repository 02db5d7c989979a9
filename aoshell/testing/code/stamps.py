"""Stamps of files, which show whether a file was saved.

A stamp is taken before the file is read, so a save in between counts as one after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Stamp = tuple[int, int, int]
"""Time of the last change (ns), size in bytes, number of the inode; zeros if there is no file."""

ABSENT: Stamp = (0, 0, 0)


def stamp_of(path: Path) -> Stamp:
    """A file's stamp. An editor that replaces the file changes the inode's number."""
    try:
        about = path.stat()
    except (OSError, ValueError):
        return ABSENT
    return about.st_mtime_ns, about.st_size, about.st_ino


class FilesRead:
    """The files that were read, or looked for, each with its stamp at the first time."""

    def __init__(self) -> None:
        self._stamps: dict[Path, Stamp] = {}

    def add(self, paths: Iterable[Path]) -> None:
        """Note files before they are read."""
        for path in paths:
            if path not in self._stamps:
                self._stamps[path] = stamp_of(path)

    def all(self) -> tuple[tuple[Path, Stamp], ...]:
        """All files so far with their stamps."""
        return tuple(self._stamps.items())
