"""Checkpoints: images of process state on disk. They save time only; the log is the truth.

One loads only where the format, the environment, the Lua library and the process are the ones that
wrote it, because an image of Lua holds bytecode.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aoshell.bounded import files, jsontext
from aoshell.nodes.local.sealed import LONGEST_HEADER, Sealed

FORMAT = 2


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
    """The folder of checkpoints, one file a process."""

    def __init__(self, folder: Path) -> None:
        self._files = Sealed(folder, ".checkpoint")

    def _header(self, process: str, environment: str) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "lua": f"lupa {version('lupa')}",
            "process": process,
            "environment": environment,
        }

    def write(self, process: str, environment: str, checkpoint: Checkpoint) -> None:
        """Replace the process's checkpoint."""
        facts = {"seq": checkpoint.seq, "slot": checkpoint.slot, "mark": checkpoint.mark}
        self._files.write(process, self._header(process, environment) | facts, checkpoint.image)

    def read(self, process: str, environment: str) -> Checkpoint | None:
        """The process's checkpoint, or None where there is none. Raises sealed.Damaged."""
        found = self._files.read(process, self._header(process, environment))
        if found is None:
            return None
        header, image = found
        return Checkpoint(int(header["seq"]), int(header["slot"]), str(header["mark"]), image)

    def remove(self, process: str) -> None:
        """Forget a process's checkpoint."""
        self._files.remove(process)

    def facts(self, process: str) -> tuple[int | None, int]:
        """Slot of the checkpoint and its size on disk, (None, 0) where there is none."""
        path = self._files.path(process)
        try:
            line, _, _ = files.head(path, LONGEST_HEADER).partition(b"\n")
            header = jsontext.parse(line)
            return int(header["slot"]), path.stat().st_size
        except (OSError, ValueError, KeyError, TypeError):
            return None, 0
