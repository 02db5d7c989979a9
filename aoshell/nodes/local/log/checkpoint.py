"""Checkpoints: images of process state on disk. They save time only; the log is the truth.

One loads only where the format, the environment, the Lua library and the process are the ones that
wrote it, because an image of Lua holds bytecode.

Besides the newest one of a process there are older ones, the farther back the fewer: where messages
are taken back, or the newest is no good, what is behind the next older one is all that is replayed.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from aoshell.nodes.local.log.sealed import Header, Sealed

FORMAT = 2
SPREAD = 3  # an older one goes where the gap it leaves is at most so many times its distance back
OLDER_BYTES = 64 << 20  # of all older ones of a process


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a process after message `seq`.

    Attributes:
        mark: of that message in the log: a log that was cut and went on otherwise has another.
        image: compressed.
    """

    seq: int
    slot: int
    mark: str
    image: bytes


class Checkpoints:
    """The folder of checkpoints: the newest one of each process, older ones in a folder of its own.

    A file of an older one has the number of its slot as its name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = Sealed(folder, ".checkpoint")

    def _older(self, process: str) -> Sealed:
        return Sealed(self._folder / f"{process}.older", ".checkpoint")

    def _header(self, process: str, environment: str) -> Header:
        return {
            "format": FORMAT,
            "lua": f"lupa {version('lupa')}",
            "process": process,
            "environment": environment,
        }

    def write(self, process: str, environment: str, checkpoint: Checkpoint) -> None:
        """Make a checkpoint the process's newest."""
        before = self._slot(process)
        if before is not None and before < checkpoint.slot:
            with contextlib.suppress(OSError):  # it stays the newest until the next has replaced it
                folder = self._folder / f"{process}.older"
                folder.mkdir(mode=0o700, exist_ok=True)
                self._older(process).path(str(before)).hardlink_to(self._files.path(process))
            self._thin(process, checkpoint.slot)
        facts = {"seq": checkpoint.seq, "slot": checkpoint.slot, "mark": checkpoint.mark}
        self._files.write(process, self._header(process, environment) | facts, checkpoint.image)

    def read(self, process: str, environment: str) -> Checkpoint | None:
        """The process's newest checkpoint, or None where there is none. Raises DamagedFileError."""
        found = self._files.read(process, self._header(process, environment))
        if found is None:
            return None
        header, image = found
        return Checkpoint(int(header["seq"]), int(header["slot"]), str(header["mark"]), image)

    def discard(self, process: str) -> bool:
        """Forget the newest checkpoint. Whether an older one is the newest then."""
        self._files.remove(process)
        older = self._slots(process)
        with contextlib.suppress(OSError, IndexError):
            self._older(process).path(str(older[-1])).replace(self._files.path(process))
            return True
        return False

    def back_to(self, process: str, slot: int) -> None:
        """Forget the checkpoints of that slot and of all behind it."""
        older, newest = self._older(process), self._slot(process)
        for one in self._slots(process):
            if one >= slot:
                older.remove(str(one))
        if newest is None or newest >= slot:
            self.discard(process)

    def remove(self, process: str) -> None:
        """Forget a process's checkpoints."""
        self._files.remove(process)
        older = self._older(process)
        for slot in self._slots(process):
            older.remove(str(slot))
        with contextlib.suppress(OSError):
            (self._folder / f"{process}.older").rmdir()

    def facts(self, process: str) -> tuple[int | None, int]:
        """Slot of the newest checkpoint and the size of all on disk, (None, 0) without any."""
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
        """Remove the older ones that stand close together for how far back they are."""
        older, kept = self._older(process), self._slots(process)
        room, at = OLDER_BYTES, len(kept) - 1
        behind = newest  # the next newer one that is kept
        while at >= 0:
            before = kept[at - 1] if at else -1
            room -= _size(older.path(str(kept[at])))
            if room < 0 or (at < len(kept) - 1 and behind - before <= SPREAD * (newest - behind)):
                room += _size(older.path(str(kept[at])))
                older.remove(str(kept[at]))
            else:
                behind = kept[at]
            at -= 1


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
