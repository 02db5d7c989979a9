"""The log on disk. Synchronous; every call is one statement or one transaction.

Every write is a `Store._transaction`: all or nothing, and fsynced (WAL, synchronous=FULL). Only
`commit` may leave out the fsync, for rows that can be computed again. Such rows survive a kill of
the process, but a power cut may lose the last of them. The WAL is written in order, so the next
fsync covers them, and the log on disk is always a prefix of what the node took.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aoshell.nodes.local.log import database, elsewhere
from aoshell.nodes.local.log.lock import HomeLock, lock_folder
from aoshell.nodes.local.log.reading import CUTS, LOGGED, LOWEST, MOST_CUTS, PROCESS, Reader
from aoshell.nodes.local.log.rows import PARTIAL, Batch, Logged, Origin, ProcessRow
from aoshell.nodes.local.log.totals import key_of

_ADD_PROCESS = (
    f"INSERT INTO processes ({PROCESS}) VALUES ({', '.join('?' for _ in ProcessRow._fields)})"
)
_ADD_MESSAGE = f"INSERT INTO log ({LOGGED}) VALUES ({', '.join('?' for _ in Logged._fields)})"
_ADD_ORIGIN = f"INSERT INTO origins VALUES ({', '.join('?' for _ in Origin._fields)})"


class Store(Reader):
    """One database file, locked by one process.

    Args:
        folder: the node's folder; created with mode 0700 if missing.
        lock: the folder's lock, if it is taken already; the store closes it.

    Raises:
        HeldError: another process holds the lock.
        AoError: the folder cannot be used.
    """

    def __init__(self, folder: Path, lock: HomeLock | None = None) -> None:
        self.folder = folder
        self.path = folder / "node.db"
        self._lock: HomeLock | None = lock or lock_folder(folder)
        try:
            with self._translated_errors():
                self._db = database.open_to_write(self.path)
        except BaseException:
            if self._lock is not None:
                self._lock.close()
            raise

    @classmethod
    def reading(cls, path: Path) -> Store:
        """Open a store to read, even if another process holds it. Raises AoError."""
        store = cls.__new__(cls)
        store.folder, store.path, store._lock = path.parent, path, None
        with store._translated_errors():
            store._db = database.open_to_read(path)
        return store

    @contextlib.contextmanager
    def unchanging(self) -> Iterator[Store]:
        """A snapshot of the database, for reading; another thread may use it."""
        store = Store.reading(self.path)
        try:
            with store._translated_errors():
                store._db.execute("BEGIN")
                store.head(0)  # the first read fixes the snapshot
            yield store
        finally:
            store.close()

    def close(self) -> None:
        """Write the WAL back, and release the lock."""
        with contextlib.suppress(sqlite3.Error):  # a full disk: the next start writes it back
            self._db.close()
        if self._lock is not None:
            self._lock.close()

    # Writing ------------------------------------------------------------------------------

    def commit(self, batch: Batch, *, sync: bool) -> None:
        """Write everything in `batch`, or nothing.

        Raises:
            AoError: nothing was written (full disk, damaged database).
        """
        with self._transaction(sync=sync):
            self._write(batch)

    @contextlib.contextmanager
    def together(self) -> Iterator[Callable[[Batch], None]]:
        """One transaction of several batches: everything that the block writes, or nothing.

        Modules may be here already. A batch that breaks a rule of the tables (two messages in one
        place) raises ValueError.

        Raises:
            AoError: nothing was written.
        """

        def write(batch: Batch) -> None:
            try:
                self._write(batch)
            except sqlite3.IntegrityError as error:
                raise ValueError(f"two of its rows exclude each other ({error})") from error

        with self._transaction():
            yield write

    @contextlib.contextmanager
    def _transaction(self, *, sync: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction around the block: all or nothing; fsynced unless `sync` is False."""
        db = self._db
        with self._translated_errors():
            if not sync:
                db.execute("PRAGMA synchronous = NORMAL")
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            finally:
                if not sync:
                    db.execute("PRAGMA synchronous = FULL")

    def _write(self, batch: Batch) -> None:
        db = self._db
        if batch.processes:
            db.executemany(_ADD_PROCESS, batch.processes)
        if batch.origins:
            db.executemany(_ADD_ORIGIN, batch.origins)
        if batch.log:
            db.executemany(_ADD_MESSAGE, batch.log)
        if batch.results:
            db.executemany("INSERT INTO results VALUES (?,?,?,?,?,?,?)", batch.results)
        if batch.freed:
            db.executemany("DELETE FROM kept WHERE cause = ? AND idx = ?", batch.freed)
        if batch.kept:
            db.executemany("INSERT INTO kept VALUES (?,?,?,?,?,?,?)", batch.kept)
        if batch.cron:
            db.executemany("UPDATE processes SET cron = ? WHERE number = ?", batch.cron)
        if batch.uploads:
            db.executemany("INSERT INTO uploads VALUES (?,?,?,?,?,?)", batch.uploads)
        if batch.modules:
            db.executemany("INSERT OR IGNORE INTO modules VALUES (?,?,?,?)", batch.modules)
        if batch.names:
            db.executemany("INSERT OR REPLACE INTO names VALUES (?,?)", batch.names)
        if batch.monitored:
            db.executemany("UPDATE processes SET monitored = ? WHERE number = ?", batch.monitored)
        if batch.renamed:
            db.executemany("UPDATE processes SET name = ? WHERE number = ?", batch.renamed)
        for key, value in batch.facts.items():
            self._set_meta(key, value)
        if batch.computed_to is not None:
            self._set_meta("computed_to", batch.computed_to)

    def _set_meta(self, key: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def set_meta(self, key: str, value: Any) -> None:
        """Store a small fact about the node."""
        with self._transaction():
            self._set_meta(key, value)

    def add_module(self, module_id: str, kind: str, data: bytes, name: str, created: int) -> None:
        """Store a module, and point a name at it if one is given."""
        names = [(name, module_id)] if name else []
        self.commit(Batch(modules=[(module_id, kind, data, created)], names=names), sync=True)

    def forget(self, process: int, slot: int, most: int) -> int:
        """Delete the last messages of a process from a slot on, `most` at a time. Returns how many.

        Their results and kept messages are deleted, too, and after slot 0 the process itself. What
        remains is always a valid log, marked as `PARTIAL` if all of it is to go. The home still
        remembers the id of a deleted fork.
        """
        last = (
            "(SELECT seq FROM log WHERE process = ? AND slot >= ? "
            "ORDER BY slot DESC, tick DESC LIMIT ?)"
        )
        with self._transaction() as db:
            if slot == 0:
                row = db.execute("SELECT id FROM processes WHERE number = ?", (process,)).fetchone()
                if row and row[0] in (*elsewhere.forks(self), *elsewhere.stand_ins(self)):
                    for key, value in elsewhere.facts_of(row).items():
                        self._set_meta(key, value)
            args = (process, slot, most)
            (lowest,) = db.execute(f"SELECT min(seq) FROM {last}", args).fetchone()
            # Numbers are used again: facts about deleted messages must not hide new ones.
            db.execute(
                "UPDATE meta SET value = min(value, "
                f"(SELECT min(seq) FROM {last}) - 1) "
                f"WHERE key = 'computed_to' AND EXISTS {last}",
                (*args, *args),
            )
            db.execute(f"DELETE FROM kept WHERE cause IN {last}", args)
            db.execute(f"DELETE FROM results WHERE seq IN {last}", args)
            gone = db.execute(f"DELETE FROM log WHERE seq IN {last}", args).rowcount
            if gone:
                self._set_meta(CUTS, self.cuts + 1)
                self._set_meta(LOWEST, json.dumps([*self.lowest, lowest][-MOST_CUTS:]))
            if slot == 0:
                db.execute(
                    "DELETE FROM processes WHERE number = ?1 "
                    "AND NOT EXISTS (SELECT 1 FROM log WHERE process = ?1)",
                    (process,),
                )
                db.execute(
                    "DELETE FROM origins WHERE process = ?1 "
                    "AND NOT EXISTS (SELECT 1 FROM log WHERE process = ?1)",
                    (process,),
                )
                db.execute("DELETE FROM meta WHERE key = ?", (key_of(process),))
                self._mark_partial(process)
            return gone

    def _mark_partial(self, process: int) -> None:
        """Mark a process as `PARTIAL` while there is more of its log to delete."""
        more = self.select("SELECT 1 FROM log WHERE process = ? LIMIT 1", process)
        marked = self.meta(PARTIAL) == process
        if bool(more) != marked:
            self._set_meta(PARTIAL, process if more else 0)
