"""Checkpoints: images of process state on disk. They save time only; the log is the truth.

A file holds one line of JSON (what it is of, and the SHA-256 of the rest) and the compressed image.
It loads only where the format, the environment, the Lua library and the process are the ones that
wrote it, because an image holds bytecode.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

FORMAT = 1


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


class Damaged(Exception):
    """A checkpoint that cannot be used; the text says why."""


class Checkpoints:
    """The folder of checkpoints, one file a process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, process: str) -> Path:
        return self._folder / f"{process}.checkpoint"

    def _header(self, process: str, environment: str) -> dict[str, object]:
        return {
            "format": FORMAT,
            "lua": f"lupa {version('lupa')}",
            "process": process,
            "environment": environment,
        }

    def write(self, process: str, environment: str, checkpoint: Checkpoint) -> None:
        """Replace the process's checkpoint. A disk that is full is no failure: the log is there."""
        header = self._header(process, environment) | {
            "seq": checkpoint.seq,
            "slot": checkpoint.slot,
            "mark": checkpoint.mark,
        }
        header["sha256"] = _digest(header, checkpoint.image)
        path = self._path(process)
        partial = path.with_suffix(".partial")
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with open(partial, "wb", opener=_private) as file:
                file.write(json.dumps(header).encode() + b"\n" + checkpoint.image)
            partial.replace(path)

    def read(self, process: str, environment: str) -> Checkpoint | None:
        """The process's checkpoint, or None where there is none.

        Raises:
            Damaged: there is one that cannot be used. It has been removed.
        """
        path = self._path(process)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Damaged(f"it cannot be read: {error.strerror}") from error
        try:
            return self._parse(raw, self._header(process, environment))
        except Damaged:
            self.remove(process)
            raise

    def _parse(self, raw: bytes, expected: dict[str, object]) -> Checkpoint:
        line, _, image = raw.partition(b"\n")
        try:
            header = json.loads(line)
            digest = header.pop("sha256")
            seq, slot, mark = header["seq"], header["slot"], header["mark"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged("its header is no header") from error
        for key, value in expected.items():
            if header.get(key) != value:
                raise Damaged(f"it was made for another {key}")
        if _digest(header, image) != digest:
            raise Damaged("its bytes have changed")
        return Checkpoint(int(seq), int(slot), str(mark), image)

    def remove(self, process: str) -> None:
        """Forget a process's checkpoint."""
        with contextlib.suppress(OSError):
            self._path(process).unlink(missing_ok=True)

    def facts(self, process: str) -> tuple[int | None, int]:
        """Slot of the checkpoint and its size on disk, (None, 0) where there is none."""
        path = self._path(process)
        try:
            with path.open("rb") as file:
                header = json.loads(file.readline())
            return int(header["slot"]), path.stat().st_size
        except (OSError, ValueError, KeyError, TypeError):
            return None, 0


def _digest(header: dict[str, object], image: bytes) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode() + image).hexdigest()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
