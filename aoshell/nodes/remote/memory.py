"""Facts about remote nodes: which processes they have, cursors of feeds, keys of nodes.

They are in one small SQLite file beside that of the local node. Several shells may have it open, as
each fact is one row. A row is fsynced, unless the node can be asked for it again. Losing the file
loses no message.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from aoshell.nodes.remote.results import words
from aoshell.nodes.values import ProcessInfo

_TABLE = """CREATE TABLE IF NOT EXISTS facts (
  endpoint TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (endpoint, kind, key)
) WITHOUT ROWID"""

VERSION = 1  # of the facts (`PRAGMA user_version`)
_REMEDY = "move it away: it only remembers where remote processes live"


class Book:
    """Facts by endpoint, kind and key. Each value is a JSON value.

    Args:
        path: the file; its folder exists.

    Raises:
        AoError: stage "store", the file cannot be used. Every method may raise it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._database_errors():
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=5)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(_TABLE)
            self._forget_what_misled()

    def _forget_what_misled(self) -> None:
        """Drop facts of older versions about which path gives results: one of these paths always
        answers with the newest state, for any slot."""
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version < VERSION:
            with self._db:
                self._db.execute("DELETE FROM facts WHERE kind = 'form'")
                self._db.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _database_errors(self) -> Iterator[None]:
        """Raises errors of the database as AoError."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            from aoshell.nodes.database_errors import as_ao_error

            raise as_ao_error(self._path, error, _REMEDY) from error

    def get(self, endpoint: str, kind: str, key: str) -> Any:
        """A fact, None if there is none."""
        query = "SELECT value FROM facts WHERE endpoint = ? AND kind = ? AND key = ?"
        with self._database_errors():
            row = self._db.execute(query, (endpoint, kind, key)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(
        self, endpoint: str, kind: str, key: str, value: Any, *, learnt_again: bool = False
    ) -> None:
        """Remember a fact.

        Args:
            learnt_again: do not fsync the row; a power cut may lose it, as the node can be asked
                again.
        """
        row = (endpoint, kind, key, json.dumps(value))
        with self._database_errors(), self._unsynced() if learnt_again else nullcontext():
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?,?,?,?)", row)

    @contextmanager
    def _unsynced(self) -> Iterator[None]:
        """While the block runs, writes are not fsynced: a power cut may lose them."""
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self._db.execute("PRAGMA synchronous = FULL")

    def drop(self, endpoint: str, kind: str, key: str) -> None:
        """Remove a fact. It may be back after a power cut."""
        query = "DELETE FROM facts WHERE endpoint = ? AND kind = ? AND key = ?"
        with self._database_errors(), self._unsynced():
            self._db.execute(query, (endpoint, kind, key))

    def all(self, endpoint: str, kind: str) -> dict[str, Any]:
        """All facts of a kind, by key."""
        query = "SELECT key, value FROM facts WHERE endpoint = ? AND kind = ?"
        with self._database_errors():
            rows = self._db.execute(query, (endpoint, kind)).fetchall()
        return {key: json.loads(value) for key, value in rows}

    def close(self) -> None:
        self._db.close()


def home_of(path: Path, reference: str) -> tuple[str, bool] | None:
    """(endpoint, whether it is HyperBEAM) of a process with that name or id; None if not known.

    Opens the file read-only, without creating it or waiting for a lock.
    """
    query = (
        "SELECT endpoint, json_extract(value, '$.device') FROM facts WHERE kind = 'process'"
        " AND ? IN (key, json_extract(value, '$.name')) LIMIT 1"
    )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as book:
            row = book.execute(query, (reference,)).fetchone()
    except (sqlite3.Error, UnicodeEncodeError):
        return None
    return row and (str(row[0]), bool(row[1]))


def ids_named(path: Path, name: str) -> list[str]:
    """The ids of known processes with a name. Opens the file as `home_of` does."""
    query = (
        "SELECT DISTINCT key FROM facts WHERE kind = 'process'"
        " AND json_extract(value, '$.name') = ?"
    )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as book:
            return [str(id) for (id,) in book.execute(query, (name,))]
    except sqlite3.Error:
        return []


def process_info(process: str, fact: Mapping[str, Any], slots: int = 0) -> ProcessInfo:
    """A process from its fact {"name", "owner", "module", "created"}.

    Args:
        slots: number of slots, 0 if not known. On a remote node all count as computed.
    """
    return ProcessInfo(
        id=process,
        name=words(fact.get("name")),
        owner=words(fact.get("owner")),
        module=words(fact.get("module")),
        slots=slots,
        computed=slots,
        live=False,
        checkpoint=None,
        disk=0,
        memory=0,
        waiting=0,
        prompt="",
        created=int(fact.get("created", 0)),
    )
