"""The index of transactions: a database derived from the node's log.

Losing it loses nothing: `filling` fills it from the log again. So it is made anew if it is damaged,
or was written by another version. It holds what queries filter messages by, and what they show.

Each message has a place (`entries.place_of`). Each tag, owner and recipient is a key with a list of
places (`postings`), which `searching` reads in order.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from aoshell.nodes.database_errors import as_ao_error, is_damage
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Tag
from aoshell.serve.graphql.entries import Entry
from aoshell.serve.graphql.filters import OWNER, RECIPIENT, TAG

VERSION = 1  # of the tables and of what is in them (`PRAGMA user_version`)

LONGEST_KEY = 256  # characters; a longer value is replaced by its beginning and its digest
PATIENCE = 5.0  # seconds to wait for another process that writes

COLUMNS = "number, id, owner, recipient, anchor, size, timestamp, height, tags"  # of `messages`

_REMEDY = "delete it; it will be made again from the log"

_TABLES = f"""
BEGIN;
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE messages (
  place INTEGER PRIMARY KEY,
  number INTEGER NOT NULL,
  id TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  recipient TEXT NOT NULL,
  anchor TEXT NOT NULL,
  size INTEGER NOT NULL,
  timestamp INTEGER NOT NULL,
  height INTEGER NOT NULL,
  tags TEXT NOT NULL           -- JSON: [name, value, …]
);
CREATE TABLE keys (
  key INTEGER PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
  UNIQUE (kind, name, value)
);
CREATE TABLE postings (
  key INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (key, place)
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
COMMIT;
"""


class DamagedIndexError(Exception):
    """The index is damaged. `Index.remake` gives an empty one."""


class Position(NamedTuple):
    """How far an index follows the log.

    Attributes:
        node: address of the node whose log it is.
        cuts: `StoredPage.cuts` of the last page that was added.
        number: number of the last message of that page.
    """

    node: str = ""
    cuts: int = 0
    number: int = 0


class Index:
    """The database. Several processes may have it open; each message is still added once.

    Args:
        path: the file; its folder exists.

    Raises:
        AoError: stage "store", it cannot be used. Every method may raise this, and
            `DamagedIndexError`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._open()
        except DamagedIndexError:
            self._open(anew=True)

    def close(self) -> None:
        self.db.close()

    def remake(self) -> None:
        """Start again with an empty database."""
        self.close()
        self._open(anew=True)

    def _open(self, *, anew: bool = False) -> None:
        with self.errors(), _alone(self._path):
            if anew:
                _remove(self._path)
            self.db = _open(self._path)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raises errors of the database as AoError, or as DamagedIndexError."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if is_damage(error):
                raise DamagedIndexError(str(error)) from error
            raise as_ao_error(self._path, error, _REMEDY) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self.errors():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    def position(self) -> Position:
        """How far it has come."""
        with self.errors():
            row = self.db.execute("SELECT value FROM state WHERE key = 'position'").fetchone()
        return Position(*json.loads(row[0])) if row else Position()

    def add(self, entries: Iterable[Entry], came_from: Position, number: int) -> None:
        """Add the entries that follow a position, up to a number.

        Does nothing if another process has moved the position meanwhile.
        """
        with self._transaction():
            if self.position() == came_from:
                known: dict[tuple[int, str, str], int] = {}
                for entry in entries:
                    self._add(entry, known)
                self._move(came_from._replace(number=number))

    def cut(self, came_from: Position, cuts: int, number: int) -> None:
        """Remove what comes after a number, as the log has taken it back.

        Does nothing if another process has moved the position meanwhile.
        """
        with self._transaction():
            if self.position() != came_from:
                return
            rows = self.db.execute(f"SELECT {COLUMNS} FROM messages WHERE number > ?", (number,))
            for entry in map(read_row, rows.fetchall()):
                self.db.executemany(
                    "DELETE FROM postings WHERE place = ? AND key = (SELECT key FROM keys "
                    "WHERE kind = ? AND name = ? AND value = ?)",
                    [(entry.place, *key) for key in _keys(entry)],
                )
            self.db.execute("DELETE FROM messages WHERE number > ?", (number,))
            self._move(came_from._replace(cuts=cuts, number=min(came_from.number, number)))

    def clear(self, came_from: Position, node: str, cuts: int) -> None:
        """Remove everything, to fill it from the beginning.

        Does nothing if another process has moved the position meanwhile: that one has cleared it
        already, and may have filled it.
        """
        with self._transaction():
            if self.position() != came_from:
                return
            for table in ("messages", "keys", "postings"):
                self.db.execute(f"DELETE FROM {table}")
            self._move(Position(node, cuts, 0))

    def _move(self, position: Position) -> None:
        row = ("position", json.dumps(position))
        self.db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", row)

    def _add(self, entry: Entry, known: dict[tuple[int, str, str], int]) -> None:
        flat = [text for tag in entry.tags for text in (tag.name, tag.value)]
        place = entry.place
        values = (place, *entry[:-1], json.dumps(flat))
        # A message in several logs is one transaction, at the place where it came first.
        added = self.db.execute(
            "INSERT OR IGNORE INTO messages VALUES (?,?,?,?,?,?,?,?,?,?)", values
        )
        if added.rowcount != 1:
            return
        self.db.executemany(
            "INSERT INTO postings VALUES (?, ?)",
            [(self._key(key, known), place) for key in _keys(entry)],
        )

    def _key(self, key: tuple[int, str, str], known: dict[tuple[int, str, str], int]) -> int:
        """The number of a key; a new key is added."""
        number = known.get(key)
        if number is None:
            sql = "SELECT key FROM keys WHERE kind = ? AND name = ? AND value = ?"
            row = self.db.execute(sql, key).fetchone()
            if row is None:
                sql = "INSERT INTO keys (kind, name, value) VALUES (?,?,?) RETURNING key"
                row = self.db.execute(sql, key).fetchone()
            known[key] = number = int(row[0])
        return number


def read_row(row: Sequence[Any]) -> Entry:
    """The transaction of a row of `COLUMNS`."""
    texts = iter(json.loads(row[-1]))
    return Entry._make((*row[:-1], tuple(map(Tag, texts, texts))))


def _keys(entry: Entry) -> set[tuple[int, str, str]]:
    """The keys under which a transaction is found: (kind, name, value)."""
    keys = {(TAG, to_key(tag.name), to_key(tag.value)) for tag in entry.tags}
    return keys | {(OWNER, "", to_key(entry.owner)), (RECIPIENT, "", to_key(entry.recipient))}


def to_key(text: str) -> str:
    """A name or value as it is stored in keys: a long one ends with its digest."""
    if len(text) <= LONGEST_KEY:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return f"{text[:LONGEST_KEY]}\0{b64url(digest)}"


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """A lock: while the block runs, no other process opens, makes or removes the database."""
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _open(path: Path) -> sqlite3.Connection:
    """Open the database of today's version; one of another version is removed first."""
    db = _connect(path)
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if version != VERSION and (version or tables):
            db.close()
            _remove(path)
            db = _connect(path)
        elif version == VERSION:
            return db
        db.executescript(_TABLES)
        return db
    except BaseException:
        db.close()
        raise


def _connect(path: Path) -> sqlite3.Connection:
    # SQLite would make the file readable to others: it holds what users send.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=PATIENCE)
    db.execute("PRAGMA journal_mode = WAL")
    # A power cut may lose the last messages, which the log still has; it damages nothing.
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def _remove(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with suppress(FileNotFoundError):
            path.with_name(name).unlink()
