"""What errors of a database mean, for people: damage, no room, or a defect."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

from aoshell.errors import AoError

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# What SQLite says of a disk on which it cannot make a file as long as it needs one.
_PERHAPS_FULL = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
# Bytes free on a disk, below which it is full: SQLite begins with 32 KB beside a file.
LEAST_ROOM = 65536


class UnusableDatabaseError(AoError):
    """The database is damaged, or used as it must not be; trying again is of no use."""


def as_told(path: Path, error: sqlite3.Error | OSError, remedy: str = "") -> AoError:
    """An error of a database for people; damage is what SQLite calls damage, nothing else.

    Args:
        remedy: what to do about a damaged one; by default, for the node's own.
    """
    own = f"move it away and `.import` what you exported, or try `sqlite3 {path} .recover`"
    if code_of(error) in _DAMAGED:
        return UnusableDatabaseError(
            f"{path} is damaged: {error}",
            stage="store",
            hint=remedy or own,
        )
    if not isinstance(error, (sqlite3.OperationalError, OSError)):
        return UnusableDatabaseError(
            f"a defect of the node itself: {type(error).__name__}: {error}",
            stage="store",
            hint="what was acknowledged is on disk; please report this",
        )
    return AoError(
        f"{path} cannot be used: {error}",
        stage="store",
        hint="free some room on the disk; what was acknowledged is safe"
        if is_full(path, error)
        else "check that the folder is writable and not on a broken disk",
    )


def is_full(path: Path, error: sqlite3.Error | OSError) -> bool:
    """Whether the disk has no room left; SQLite says so only of what it writes to a database."""
    if code_of(error) == sqlite3.SQLITE_FULL or getattr(error, "errno", None) == errno.ENOSPC:
        return True
    with suppress(OSError):
        return code_of(error) in _PERHAPS_FULL and shutil.disk_usage(path.parent).free < LEAST_ROOM
    return False


def code_of(error: Exception) -> int:
    """SQLite's code of an error without what extends it, 0 where it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
