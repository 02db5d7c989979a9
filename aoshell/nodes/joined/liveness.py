"""Tells whether a process is stopped, as by Ctrl-Z: it keeps its lock, and does not answer."""

from __future__ import annotations

import sys
from pathlib import Path

from aoshell.bounded import files

_LONGEST = 4096  # bytes of /proc/PID/stat that are read
_PATIENCE = 1.0  # seconds for `ps`


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped, by a signal or a debugger. False if that is not known."""
    if pid <= 0:
        return False
    import subprocess

    try:
        if sys.platform == "linux":
            stat = files.read_head(Path(f"/proc/{pid}/stat"), _LONGEST)
            state = stat.rpartition(b")")[2].split()[0].decode()  # proc(5): the name may hold ")"
        else:
            ask = ["ps", "-o", "state=", "-p", str(pid)]
            output = subprocess.run(ask, capture_output=True, timeout=_PATIENCE, check=False).stdout
            state = output.decode("latin-1").strip()
    except (OSError, IndexError, subprocess.SubprocessError):
        return False
    return state[:1] in ("T", "t")
