"""Finds workers that neither answer nor compute: stopped by a signal, or stuck by a bug.

Time without an answer proves nothing: on a busy machine a worker waits for the processor. So its
processes are looked at about once a second. A look counts as still if no process has used the
processor since the last look, is ready to run, or waits for a disk. Linux only: elsewhere a worker
never counts as still.
"""

from __future__ import annotations

import os
from pathlib import Path

QUIET = 5  # looks without an answer before /proc is read at all
STILL = 10  # looks in a row without activity, after which a worker hangs
_BUSY = "RD"  # states of proc(5): running or ready to run; waiting for a disk


class Stillness:
    """Watches one worker."""

    def __init__(self) -> None:
        self.end()

    def end(self) -> None:
        """Count from the start: it has answered."""
        self._looks = self._still = 0
        self._used = -1

    def lasts(self, group: int) -> bool:
        """Look at the worker's process group. True once it has done nothing for too long."""
        self._looks += 1
        if self._looks <= QUIET:
            return False
        used = _used_if_still(group)
        self._still = self._still + 1 if used is not None and used == self._used else 0
        self._used = -1 if used is None else used
        return self._still >= STILL


def _used_if_still(group: int) -> int | None:
    """Clock ticks that a group's processes have used; None if one is busy, or if it is unknown."""
    total = 0
    try:
        names = [entry.name for entry in Path("/proc").iterdir()]
    except OSError:
        return None
    for name in names:
        try:
            if not name.isdigit() or os.getpgid(int(name)) != group:
                continue
            stat = Path(f"/proc/{name}/stat").read_text(encoding="latin-1")
        except OSError:
            continue  # it has ended meanwhile
        # A name may hold ")" and spaces. After the last ")" comes field 3 of proc(5), the state, so
        # utime and stime (fields 14 and 15) are 11 and 12 here.
        fields = stat.rpartition(")")[2].split()
        if fields[0] in _BUSY:
            return None
        total += int(fields[11]) + int(fields[12])
    return total
