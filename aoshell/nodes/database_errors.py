"""Turns errors of SQLite and of the disk into AoError: damage, a full disk, or a bug of aoshell."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import suppress
from pathlib import Path

from aoshell.errors import AoError

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# SQLite's codes for a file that it cannot make or extend, which a full disk may cause.
_PERHAPS_FULL = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
# Bytes; a disk with less room counts as full, as SQLite needs 32 KB more beside a database.
LEAST_ROOM = 65536


class UnusableDatabaseError(AoError):
    """The database is damaged, or was used wrongly: trying again does not help."""


def is_damage(error: sqlite3.Error | OSError) -> bool:
    """Whether the error means that the database is damaged."""
    return code_of(error) in _DAMAGED


def as_ao_error(path: Path, error: sqlite3.Error | OSError, remedy: str = "") -> AoError:
    """The AoError for an error of a database.

    Args:
        remedy: hint for a damaged database; the default fits the node's own database.
    """
    own = f"move it away and `.import` what you exported, or try `sqlite3 {path} .recover`"
    if is_damage(error):
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
    """Whether the disk is full. SQLite itself reports this only for writes to a database."""
    if code_of(error) == sqlite3.SQLITE_FULL or getattr(error, "errno", None) == errno.ENOSPC:
        return True
    import shutil  # imported here, as a start does not need it

    with suppress(OSError):  # the folder is gone: another failure
        return code_of(error) in _PERHAPS_FULL and shutil.disk_usage(path.parent).free < LEAST_ROOM
    return False


def code_of(error: Exception) -> int:
    """SQLite's primary result code of an error, 0 if it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
