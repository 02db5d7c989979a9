"""Connections to the node's database, and its errors as `AoError`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aoshell.errors import AoError
from aoshell.nodes.database_errors import as_ao_error, code_of, is_full
from aoshell.nodes.local.log import schema

CACHE = 8 << 10  # KB of pages that are kept in memory

# SQLite's codes if it cannot make a file in the folder.
_NO_ROOM_TO_WORK = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open a node's database to write; make or migrate it if necessary. Each commit is fsynced.

    Raises:
        AoError: it was written by a newer aoshell.
        sqlite3.Error, OSError: it cannot be used.
    """
    # SQLite would make the file readable to others: it holds the node's key.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 4000")
    # Ids have no order: with SQLite's default of 2 MB, most new ids would need a page from disk.
    db.execute(f"PRAGMA cache_size = -{CACHE}")
    try:
        schema.prepare(db)
    except ValueError as error:
        raise AoError(
            f"{path} is newer than this program: {error}",
            stage="store",
            hint="use the aoshell that wrote it, or another AOSHELL_HOME",
        ) from error
    return db


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a database to read, even if another process writes to it or the folder is read-only.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    db = _reading(uri)
    try:
        schema.show_older(db)
        return db
    except sqlite3.OperationalError as error:
        db.close()
        if code_of(error) not in _NO_ROOM_TO_WORK and not is_full(path, error):
            raise
    # The file shared with a writer (-shm) cannot be made, and no writer has made it.
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or not log.stat().st_size:
        db = _reading(f"{uri}&immutable=1")
    else:
        db = _reading(f"{uri}&vfs=unix-none")  # no locks either
        db.execute("PRAGMA locking_mode = EXCLUSIVE")  # the WAL's index in private memory
    schema.show_older(db)
    return db


def _reading(uri: str) -> sqlite3.Connection:
    # Long reads run in a thread, on a connection that the loop has opened.
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Raise errors of the database as AoError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise as_ao_error(path, error) from error
