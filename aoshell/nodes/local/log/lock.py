"""The lock of a home, which one process holds; the kernel drops it when that one ends.

The file says who holds it, and on which socket that one answers the others (`nodes.joined`).
"""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path
from typing import Protocol

from aoshell import durable
from aoshell.errors import AoError

LONGEST = 4096  # bytes of the file that are read


class HeldError(AoError):
    """Another process holds the lock.

    Attributes:
        folder: what is locked.
        pid: of the process, 0 where it has not written it yet.
        socket: where it answers, None where it does not say.
    """

    def __init__(self, folder: Path, pid: int, socket: Path | None) -> None:
        super().__init__(
            f"another aoshell (pid {pid or 'unknown'}) is working in {folder}",
            stage="store",
            hint="use that one, or give this one a home of its own: AOSHELL_HOME=DIR aoshell",
        )
        self.folder = folder
        self.pid = pid
        self.socket = socket


class HomeLock:
    """The lock, taken.

    Raises:
        HeldError: another process has it.
        OSError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = path.open("a+")
        try:
            path.chmod(0o600)
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._handle.seek(0)
            pid, _, socket = self._handle.read(LONGEST).partition("\n")
            self.close()
            held = int(pid) if pid.strip().isdecimal() else 0
            raise HeldError(path.parent, held, _path(socket)) from None
        except BaseException:
            self.close()
            raise
        not_in_forks(self)
        self.note("")

    def note(self, socket: str) -> None:
        """Write who holds it, and on which socket that one answers ("" for none)."""
        self._handle.truncate(0)
        # Older versions show the first 20 characters as the pid.
        self._handle.write(f"{os.getpid():<20}\n{socket}\n")
        self._handle.flush()

    def close(self) -> None:
        """Let go of it."""
        self._handle.close()


def lock_folder(folder: Path) -> HomeLock:
    """Take the lock of a node's folder, which is made 0700 if missing.

    Raises:
        HeldError: another process holds it.
        AoError: the folder cannot be used.
    """
    try:
        durable.make_folder(folder)
        return HomeLock(folder / "node.lock")
    except OSError as error:
        raise AoError(
            f"{folder} cannot be used: {error.strerror}",
            stage="store",
            hint="make it writable (`ulimit -f`, too), or name another place in AOSHELL_HOME",
        ) from error


def _path(line: str) -> Path | None:
    line = line.removesuffix("\n")
    return Path(line) if line.startswith("/") and "\n" not in line else None


class Closing(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Close it."""


# A fork of this process would hold the lock, and what listens, when this process has ended.
_ours: weakref.WeakSet[Closing] = weakref.WeakSet()


def not_in_forks(held: Closing) -> None:
    """Close something in each fork of this process. Programs that are started never get it."""
    _ours.add(held)


def _let_go() -> None:
    for held in list(_ours):
        held.close()


os.register_at_fork(after_in_child=_let_go)
