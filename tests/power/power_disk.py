"""The disk that a power cut leaves, from a record of what a program did to it (recorder.c).

The worst that the rules allow: what was written into a file is gone unless the file was fsynced
behind it, and a name that was made, changed or removed is as it was unless its folder was. A torn
disk has, by chance, some of what need not be there.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

SECTOR = 512  # bytes that a disk writes whole or not at all


@dataclass(eq=False)
class File:
    """What a program sees in a file, and what is surely on disk."""

    now: bytearray = field(default_factory=bytearray)
    safe: bytes = b""
    unsafe: list[tuple[int, bytes]] = field(default_factory=list)  # writes behind the last fsync

    def write(self, at: int, data: bytes) -> None:
        _put(self.now, at, data)
        self.unsafe.append((at, data))

    def cut(self, size: int) -> None:
        # A file that is made shorter is that on every disk: whoever reads sees no more of it.
        self.now[size:] = bytes(max(0, size - len(self.now)))
        self.safe = self.safe[:size]
        self.unsafe = [(at, data[: size - at]) for at, data in self.unsafe if at < size]

    def sync(self) -> None:
        self.safe = bytes(self.now)
        self.unsafe = []

    def torn(self, chance: Random) -> bytes:
        found = bytearray(self.safe)
        for at, data in self.unsafe:
            for start in range(0, len(data), SECTOR):
                if chance.random() < 0.5:
                    _put(found, at + start, data[start : start + SECTOR])
        return bytes(found)


FOLDER = None
Entry = tuple[str, File | None, str]  # new path, what it is (FOLDER), old path that goes


class Disk:
    """A disk below one folder, which is on it from the beginning."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._files: dict[str, File] = {}  # by inode
        self._folders = {str(root.stat().st_ino): self._root}
        self._now: dict[str, File | None] = {self._root: FOLDER}
        self._safe: dict[str, File | None] = {self._root: FOLDER}
        self._unsafe: list[Entry] = []

    def replay(self, record: Path) -> Iterator[str]:
        """Do what was recorded; yields where something was acknowledged, with the text of it."""
        with record.open("rb") as lines:
            while line := lines.readline():
                what, *rest = line.decode().rstrip("\n").split("\t")
                if what == "W":
                    data = lines.read(int(rest[2]))
                    self._files[rest[0]].write(int(rest[1]), data)
                elif what == "A":
                    yield rest[0]
                else:
                    getattr(self, f"_on_{what}")(*rest)

    def _on_C(self, inode: str, path: str) -> None:
        self._files[inode] = File()
        self._enter(path, self._files[inode])

    def _on_L(self, inode: str, size: str) -> None:
        self._files[inode].cut(int(size))

    def _on_M(self, inode: str, path: str) -> None:
        self._folders[inode] = path
        self._files.pop(inode, None)
        self._enter(path, FOLDER)

    def _on_R(self, old: str, new: str) -> None:
        self._enter(new, self._now[old], old)

    def _on_K(self, old: str, new: str) -> None:
        self._enter(new, self._now[old])

    def _on_U(self, path: str) -> None:
        self._enter("", FOLDER, path)

    def _on_S(self, inode: str) -> None:
        if inode in self._files:
            self._files[inode].sync()
            return
        here, rest = self._folders[inode], []
        for entry in self._unsafe:
            if here in (posixpath.dirname(entry[0]), posixpath.dirname(entry[2])):
                _apply(self._safe, entry)
            else:
                rest.append(entry)
        self._unsafe = rest

    def _enter(self, new: str, what: File | None, old: str = "") -> None:
        _apply(self._now, (new, what, old))
        self._unsafe.append((new, what, old))

    def leave(self, target: Path, chance: Random | None = None) -> None:
        """Write what a power cut now leaves: the worst of it, or by chance something better."""
        names = dict(self._safe)
        if chance:
            for entry in self._unsafe[: chance.randint(0, len(self._unsafe))]:
                _apply(names, entry)
        for path in sorted(names):
            place = target / posixpath.relpath(path, self._root)
            if not place.parent.is_dir():
                continue  # its folder is gone
            what = names[path]
            if what is FOLDER:
                place.mkdir(exist_ok=True)
            else:
                place.write_bytes(what.torn(chance) if chance else what.safe)


def _apply(names: dict[str, File | None], entry: Entry) -> None:
    new, what, old = entry
    names.pop(old, None)
    if new:
        names[new] = what


def _put(file: bytearray, at: int, data: bytes) -> None:
    if at > len(file):
        file.extend(bytes(at - len(file)))
    file[at : at + len(data)] = data
