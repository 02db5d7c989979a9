"""What is remembered of remote nodes: which process lives where, how far each was followed, and
which forms of a path a node answers to.

One small SQLite file beside the local node's. Several shells may have it open at once: each fact is
one row, written whole and fsynced, but for those that are learnt again by asking. Losing it loses
comfort, never a message.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from aoshell.nodes.remote.results import words
from aoshell.nodes.values import ProcessInfo

_TABLE = """CREATE TABLE IF NOT EXISTS facts (
  endpoint TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (endpoint, kind, key)
) WITHOUT ROWID"""

VERSION = 1  # of what is remembered (`PRAGMA user_version`)
_REMEDY = "move it away: it only remembers where remote processes live"


class Book:
    """Facts by endpoint, kind and key; each value is what JSON can say.

    Args:
        path: the file; its folder exists.

    Raises:
        AoError: stage "store", the file cannot be used; so does all that is asked of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._told():
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=5)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(_TABLE)
            self._forget_what_misled()

    def _forget_what_misled(self) -> None:
        """Homes of before kept which path gave results, and one of these paths answers with the
        newest state whatever slot is asked for."""
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version < VERSION:
            with self._db:
                self._db.execute("DELETE FROM facts WHERE kind = 'form'")
                self._db.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the database as errors for people."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            from aoshell.nodes.database_errors import as_told

            raise as_told(self._path, error, _REMEDY) from error

    def get(self, endpoint: str, kind: str, key: str) -> Any:
        """A fact, None where there is none."""
        query = "SELECT value FROM facts WHERE endpoint = ? AND kind = ? AND key = ?"
        with self._told():
            row = self._db.execute(query, (endpoint, kind, key)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(
        self, endpoint: str, kind: str, key: str, value: Any, *, learnt_again: bool = False
    ) -> None:
        """Remember a fact.

        Args:
            learnt_again: a power cut may take it, and the node tells it again.
        """
        row = (endpoint, kind, key, json.dumps(value))
        with self._told():
            if learnt_again:
                self._db.execute("PRAGMA synchronous = NORMAL")
            try:
                self._db.execute("INSERT OR REPLACE INTO facts VALUES (?,?,?,?)", row)
            finally:
                if learnt_again:
                    self._db.execute("PRAGMA synchronous = FULL")

    def all(self, endpoint: str, kind: str) -> dict[str, Any]:
        """All facts of a kind, by key."""
        query = "SELECT key, value FROM facts WHERE endpoint = ? AND kind = ?"
        with self._told():
            rows = self._db.execute(query, (endpoint, kind)).fetchall()
        return {key: json.loads(value) for key, value in rows}

    def close(self) -> None:
        self._db.close()


def home_of(path: Path, reference: str) -> tuple[str, bool] | None:
    """The endpoint at which a process of that name or id is known to live, and whether that is
    HyperBEAM. None where nothing is known; nothing is made, and nothing waited for.
    """
    query = (
        "SELECT endpoint, json_extract(value, '$.device') FROM facts WHERE kind = 'process'"
        " AND ? IN (key, json_extract(value, '$.name')) LIMIT 1"
    )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as book:
            row = book.execute(query, (reference,)).fetchone()
    except sqlite3.Error:
        return None
    return row and (str(row[0]), bool(row[1]))


def process_info(process: str, fact: Mapping[str, Any], slots: int = 0) -> ProcessInfo:
    """A process by what is remembered of it: {"name", "owner", "module", "created"}.

    Args:
        slots: how many it has, where that is known: a remote node has computed them all.
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
