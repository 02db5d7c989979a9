"""The lock of a home, which one process holds; the kernel releases it when that process ends.

The file has the process id of the holder, and the socket where it answers (`nodes.joined`).
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
        folder: the locked folder.
        pid: process id of the holder, 0 if it has not written it yet.
        socket: where the holder answers, None if the file does not say.
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
    """The lock; making one takes it.

    Raises:
        HeldError: another process has it.
        OSError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = path.open("a+", encoding="utf-8", errors="surrogateescape")
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
        """Write the id of this process, and the socket where it answers ("" for none)."""
        self._handle.truncate(0)
        # Older versions show the first 20 characters as the pid.
        self._handle.write(f"{os.getpid():<20}\n{socket}\n")
        self._handle.flush()

    def close(self) -> None:
        """Release it."""
        self._handle.close()


def lock_folder(folder: Path) -> HomeLock:
    """Take the lock of a node's folder, which is created with mode 0700 if missing.

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


# Without this, forks would still hold the lock and the socket after this process has ended.
_ours: weakref.WeakSet[Closing] = weakref.WeakSet()


def not_in_forks(held: Closing) -> None:
    """Close something in each fork of this process. Started programs never inherit it."""
    _ours.add(held)


def _let_go() -> None:
    for held in list(_ours):
        held.close()


os.register_at_fork(after_in_child=_let_go)
