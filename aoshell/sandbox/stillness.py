"""Workers that neither answer nor compute: stopped by a signal, or asleep over a bug.

The clock on the wall says nothing about a worker: on a busy machine it waits for the processor as
others do. What is counted are looks, about a second apart, at which none of its processes had used
the processor since the look before, wanted it, or waited for a disk. Linux only: elsewhere a worker
never looks still.
"""

from __future__ import annotations

import os
from pathlib import Path

QUIET = 5  # looks without an answer before its processes are looked at
STILL = 10  # looks in a row at which they did nothing
_BUSY = "RD"  # states of proc(5): running or to be run, waiting for a disk


class Stillness:
    """Of one worker."""

    def __init__(self) -> None:
        self.end()

    def end(self) -> None:
        """It has answered something."""
        self._looks = self._still = 0
        self._used = -1

    def lasts(self, group: int) -> bool:
        """Look at the processes of a group. True once they have done nothing for too long."""
        self._looks += 1
        if self._looks <= QUIET:
            return False
        used = _used_if_still(group)
        self._still = self._still + 1 if used is not None and used == self._used else 0
        self._used = -1 if used is None else used
        return self._still >= STILL


def _used_if_still(group: int) -> int | None:
    """Clock ticks of processor time of a group's processes; None where one is busy, or unknown."""
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
        fields = stat.rpartition(")")[2].split()  # from the state on, the third of proc(5)
        if fields[0] in _BUSY:
            return None
        total += int(fields[11]) + int(fields[12])
    return total
