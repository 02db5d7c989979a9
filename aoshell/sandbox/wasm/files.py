"""Files of a WASI process: a tree of names in memory, part of the process's state."""

from __future__ import annotations

import json
import posixpath
import sys
from base64 import b64decode, b64encode

from aoshell.sandbox.wasm.budget import Budget

MAX_BYTES = 256 << 20  # of all files of a process, whatever its limit
MAX_NAMES = 10_000
PIECE = 1 << 20  # bytes of zeros that a file grows by at a time


class FilesFullError(Exception):
    """There are too many files, or too many bytes in them."""


def path_cost(path: str) -> int:
    """Bytes of memory that a path takes."""
    return sys.getsizeof(path)


class Files:
    """The files. Paths are absolute and normalized, "/" is the root; `folders` lists directories.

    Attributes:
        limit: bytes that all files together may have.
    """

    def __init__(self, budget: Budget) -> None:
        self.limit = MAX_BYTES
        self.contents: dict[str, bytearray] = {}
        self.folders: set[str] = {"/"}
        self._names = 0  # bytes of all paths
        self._budget = budget
        budget.count("files", lambda: self.size + self._names)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.contents.values()))

    @staticmethod
    def resolve(base: str, path: str) -> str:
        """The absolute form of a path that is relative to `base`. ".." of the root is the root."""
        return posixpath.normpath(posixpath.join("/", base, path)).replace("//", "/")

    def exists(self, path: str) -> bool:
        return path in self.contents or path in self.folders

    def parent_exists(self, path: str) -> bool:
        return posixpath.dirname(path) in self.folders

    def children(self, folder: str) -> list[str]:
        """Names in a directory, sorted."""
        names = [path for path in (*self.contents, *self.folders) if path != "/"]
        return sorted(posixpath.basename(p) for p in names if posixpath.dirname(p) == folder)

    def create(self, path: str) -> None:
        """Make an empty file. Raises FilesFullError, and OutOfMemoryError."""
        self._make_room(path)
        self.contents[path] = bytearray()

    def create_folder(self, path: str) -> None:
        """Make an empty directory. Raises FilesFullError, and OutOfMemoryError."""
        self._make_room(path)
        self.folders.add(path)

    def remove(self, path: str) -> bool:
        """Remove a file. False where there is none."""
        if self.contents.pop(path, None) is None:
            return False
        self._names -= path_cost(path)
        return True

    def remove_folder(self, path: str) -> None:
        """Remove an empty directory."""
        self.folders.remove(path)
        self._names -= path_cost(path)

    def _make_room(self, path: str) -> None:
        if len(self.contents) + len(self.folders) >= MAX_NAMES:
            raise FilesFullError
        self._budget.check(path_cost(path))
        self._names += path_cost(path)

    def resize(self, path: str, size: int) -> None:
        """Cut a file, or extend it by zeros. Raises FilesFullError, and OutOfMemoryError."""
        content = self.contents[path]
        more = size - len(content)
        if more > 0:
            if self.size + more > min(self.limit, MAX_BYTES):
                raise FilesFullError
            self._budget.check(more)
        if size < len(content):
            del content[size:]
        while len(content) < size:
            content.extend(bytes(min(PIECE, size - len(content))))

    def rename(self, old: str, new: str) -> None:
        """Move a file, or a directory with what it holds. Raises OutOfMemoryError."""
        if old in self.contents:
            self._budget.check(path_cost(new))
            self.contents[new] = self.contents.pop(old)
        else:
            inside = [p for p in self.contents if p.startswith(old + "/")]
            moved = {p for p in self.folders if p == old or p.startswith(old + "/")}
            # Old and new names exist together for a while.
            more = path_cost(new) - path_cost(old)
            self._budget.check(sum(path_cost(path) + more for path in (*inside, *moved)))
            for path in inside:
                self.contents[new + path[len(old) :]] = self.contents.pop(path)
            self.folders = (self.folders - moved) | {new + path[len(old) :] for path in moved}
        self._names = sum(map(path_cost, (*self.contents, *self.folders)))

    def dump(self) -> bytes:
        """All files as bytes; equal trees give equal bytes."""
        contents = {p: b64encode(c).decode() for p, c in sorted(self.contents.items())}
        return json.dumps({"folders": sorted(self.folders), "files": contents}).encode()

    @classmethod
    def load(cls, data: bytes, budget: Budget) -> Files:
        """The inverse of `dump`. Raises ValueError."""
        files = cls(budget)
        try:
            facts = json.loads(data)
            files.folders = set(facts["folders"])
            files.contents = {p: bytearray(b64decode(c)) for p, c in facts["files"].items()}
            files._names = sum(map(path_cost, (*files.contents, *files.folders)))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("the image of its files is damaged") from error
        return files
