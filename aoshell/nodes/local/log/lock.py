"""The lock of a home, which one process holds; the kernel drops it when that one ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from aoshell.errors import AoError


def take_lock(path: Path) -> IO[str]:
    """Take the lock exclusively. Raises AoError where another process has it."""
    handle = path.open("a+")
    path.chmod(0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.seek(0)
        pid = handle.read(20).strip() or "unknown"
        handle.close()
        raise AoError(
            f"another aoshell (pid {pid}) is working in {path.parent}",
            stage="store",
            hint="use that one, or give this one a home of its own: AOSHELL_HOME=DIR aoshell",
        ) from error
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle
