"""Files of a WASI process: a tree of names in memory, part of the process's state."""

from __future__ import annotations

import json
import posixpath
from base64 import b64decode, b64encode

MAX_BYTES = 256 << 20  # of all files of a process, whatever its limit
MAX_NAMES = 10_000


class Full(Exception):
    """No room for more."""


class Files:
    """Paths are absolute and normal, "/" the root; a directory is a name in `folders`.

    Attributes:
        limit: bytes that all files together may have.
    """

    def __init__(self) -> None:
        self.limit = MAX_BYTES
        self.contents: dict[str, bytearray] = {}
        self.folders: set[str] = {"/"}

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.contents.values()))

    @staticmethod
    def resolve(base: str, path: str) -> str:
        """A path as the program names it, seen from a directory. Nothing lies above the root."""
        return posixpath.normpath(posixpath.join("/", base, path)).replace("//", "/")

    def exists(self, path: str) -> bool:
        return path in self.contents or path in self.folders

    def parent_exists(self, path: str) -> bool:
        return posixpath.dirname(path) in self.folders

    def children(self, folder: str) -> list[str]:
        """Names in a directory, in order."""
        names = [path for path in (*self.contents, *self.folders) if path != "/"]
        return sorted(posixpath.basename(p) for p in names if posixpath.dirname(p) == folder)

    def create(self, path: str) -> None:
        """An empty file. Raises Full."""
        self._make_room()
        self.contents[path] = bytearray()

    def create_folder(self, path: str) -> None:
        """An empty directory. Raises Full."""
        self._make_room()
        self.folders.add(path)

    def _make_room(self) -> None:
        if len(self.contents) + len(self.folders) >= MAX_NAMES:
            raise Full

    def resize(self, path: str, size: int) -> None:
        """Cut a file, or fill it up with zeros. Raises Full."""
        content = self.contents[path]
        more = size - len(content)
        if more > 0 and self.size + more > min(self.limit, MAX_BYTES):
            raise Full
        if size < len(content):
            del content[size:]
        else:
            content.extend(bytes(size - len(content)))

    def rename(self, old: str, new: str) -> None:
        """Move a file, or a directory with what it holds."""
        if old in self.contents:
            self.contents[new] = self.contents.pop(old)
            return
        for path in [p for p in self.contents if p.startswith(old + "/")]:
            self.contents[new + path[len(old) :]] = self.contents.pop(path)
        moved = {p for p in self.folders if p == old or p.startswith(old + "/")}
        self.folders = (self.folders - moved) | {new + path[len(old) :] for path in moved}

    def dump(self) -> bytes:
        """All of it as bytes; equal trees give equal bytes."""
        contents = {p: b64encode(c).decode() for p, c in sorted(self.contents.items())}
        return json.dumps({"folders": sorted(self.folders), "files": contents}).encode()

    @classmethod
    def load(cls, data: bytes) -> Files:
        """The inverse of `dump`. Raises ValueError."""
        files = cls()
        try:
            facts = json.loads(data)
            files.folders = set(facts["folders"])
            files.contents = {p: bytearray(b64decode(c)) for p, c in facts["files"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("the image of its files is damaged") from error
        return files
