"""Caches logs that were read, one page per line, so an interrupted fork continues where it stopped.

Pages from the cache are checked like pages from the network.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aoshell.bounded import files, jsontext

LARGEST = 1 << 30  # bytes of one log
LARGEST_LINE = 128 << 20  # bytes of a page


def cache_key(process: str, begin: int) -> str:
    """The cache key of a log from a slot on."""
    return f"{process} from {begin}" if begin else process


class LogCache:
    """The pages of one log from one source, oldest first.

    A cache that cannot be read or written counts as empty.
    """

    def __init__(self, folder: Path, source: str, key: str) -> None:
        name = hashlib.sha256(f"{source} {key}".encode()).hexdigest()[:32]
        self._path = folder / f"{name}.pages"

    def pages(self) -> Iterator[Sequence[Any]]:
        """The cached pages."""
        try:
            lines = files.read(self._path, LARGEST).split(b"\n")
        except OSError:
            return
        for line in lines:
            try:
                page = jsontext.parse(line, largest=LARGEST_LINE)
            except ValueError:  # the last page may be cut off
                return
            if not isinstance(page, list):
                return
            yield page

    def keep(self, pages: Sequence[Sequence[Any]]) -> None:
        """Replace all pages by these."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._path.open("wb") as file:
                for page in pages:
                    file.write(json.dumps(page).encode() + b"\n")

    def add(self, page: Sequence[Any]) -> None:
        """Keep one more page."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(json.dumps(page).encode() + b"\n")

    def forget(self) -> None:
        """Remove this log from the cache."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
