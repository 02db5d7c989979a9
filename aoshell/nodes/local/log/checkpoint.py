"""Checkpoints: images of process state on disk. They only save time: the log is the truth.

A checkpoint is loaded only for the same format, environment, Lua library and process, as an image
of Lua contains bytecode.

Besides the newest checkpoint of a process, some older ones are kept, fewer with growing distance.
After an undo, or if the newest is damaged, only the log after the next older one is replayed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aoshell.nodes.local.log.sealed import DamagedFileError, Header, Sealed, installed

FORMAT = 2
SPREAD = 3  # an older one is removed if that leaves a gap of at most so many times its distance
OLDER_BYTES = 64 << 20  # bytes of all older ones of a process


class Checkpoint(NamedTuple):
    """The state of a process after message `seq`.

    Attributes:
        mark: identifies that message; another message with the same number has another mark.
        image: compressed.
    """

    seq: int
    slot: int
    mark: str
    image: bytes


class Checkpoints:
    """The folder of checkpoints: the newest of each process, and a folder with its older ones.

    The name of an older one is the number of its slot.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = Sealed(folder, ".checkpoint")

    def _older(self, process: str) -> Sealed:
        return Sealed(self._folder / f"{process}.older", ".checkpoint")

    def _header(self, process: str, environment: str) -> Header:
        return {
            "format": FORMAT,
            "lua": installed("lupa"),
            "process": process,
            "environment": environment,
        }

    def write(self, process: str, environment: str, checkpoint: Checkpoint) -> None:
        """Make a checkpoint the process's newest."""
        before = self._slot(process)
        if before is not None and before < checkpoint.slot:
            with contextlib.suppress(OSError):  # a hard link: it stays the newest until replaced
                folder = self._folder / f"{process}.older"
                folder.mkdir(mode=0o700, exist_ok=True)
                self._older(process).path(str(before)).hardlink_to(self._files.path(process))
            self._thin(process, checkpoint.slot)
        facts = {"seq": checkpoint.seq, "slot": checkpoint.slot, "mark": checkpoint.mark}
        self._files.write(process, self._header(process, environment) | facts, checkpoint.image)

    def read(self, process: str, environment: str) -> Checkpoint | None:
        """The process's newest checkpoint, None if there is none. Raises DamagedFileError."""
        found = self._files.read(process, self._header(process, environment))
        if found is None:
            return None
        header, image = found
        return Checkpoint(int(header["seq"]), int(header["slot"]), str(header["mark"]), image)

    def up_to(self, process: str, environment: str, slot: int) -> Iterator[Checkpoint]:
        """The process's good checkpoints up to a slot, newest first. Does not discard bad ones."""
        header, newest = self._header(process, environment), self._slot(process)
        files = [(newest, self._files, process)] if newest is not None else []
        older = self._older(process)
        files += [(at, older, str(at)) for at in reversed(self._slots(process))]
        for at, kept, name in files:
            if at > slot:
                continue
            with contextlib.suppress(DamagedFileError):
                if (found := kept.read(name, header)) is not None:
                    facts, image = found
                    seq, mark = int(facts["seq"]), str(facts["mark"])
                    yield Checkpoint(seq, int(facts["slot"]), mark, image)

    def discard(self, process: str) -> bool:
        """Remove the newest checkpoint. Returns whether an older one replaces it."""
        self._files.remove(process)
        older = self._slots(process)
        with contextlib.suppress(OSError, IndexError):  # there is none
            self._older(process).path(str(older[-1])).replace(self._files.path(process))
            return True
        return False

    def back_to(self, process: str, slot: int) -> None:
        """Remove the checkpoints of a slot and of all later ones."""
        older, newest = self._older(process), self._slot(process)
        for one in self._slots(process):
            if one >= slot:
                older.remove(str(one))
        if newest is None or newest >= slot:
            self.discard(process)

    def remove(self, process: str) -> None:
        """Remove all checkpoints of a process."""
        self._files.remove(process)
        older = self._older(process)
        for slot in self._slots(process):
            older.remove(str(slot))
        with contextlib.suppress(OSError):  # there is none, or a file of somebody else in it
            (self._folder / f"{process}.older").rmdir()

    def facts(self, process: str) -> tuple[int | None, int]:
        """Slot of the newest checkpoint, and bytes of all on disk; (None, 0) without any."""
        slot = self._slot(process)
        if slot is None:
            return None, 0
        older = self._older(process)
        paths = [self._files.path(process), *(older.path(str(n)) for n in self._slots(process))]
        return slot, sum(_size(path) for path in paths)

    def _slot(self, process: str) -> int | None:
        slot = self._files.header(process).get("slot")
        return slot if isinstance(slot, int) else None

    def _slots(self, process: str) -> list[int]:
        """Slots of the older ones, in order."""
        return sorted(int(name) for name in self._older(process).names() if name.isdecimal())

    def _thin(self, process: str, newest: int) -> None:
        """Remove older ones that are too close together for their distance from the newest."""
        older, kept = self._older(process), self._slots(process)
        room, at = OLDER_BYTES, len(kept) - 1
        behind = newest  # the next newer one that is kept
        while at >= 0:
            before = kept[at - 1] if at else -1
            room -= _size(older.path(str(kept[at])))
            # Of the last older one the distance is 0, so it stays.
            if room < 0 or behind - before <= SPREAD * (newest - behind):
                room += _size(older.path(str(kept[at])))
                older.remove(str(kept[at]))
            else:
                behind = kept[at]
            at -= 1


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
