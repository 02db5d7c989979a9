"""The log on disk. Synchronous; every call is one statement or one transaction.

Every write is a `Store._transaction`: all or nothing, and fsynced (WAL, synchronous=FULL). Only
`commit` may leave the fsync out, for what can be computed again. Such rows survive the death of the
process, but a power cut may take the last of them. The WAL is written in order, so the next fsync
covers them, and the log on disk is at any time a prefix of what the node took.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from aoshell import durable
from aoshell.errors import AoError
from aoshell.nodes.local.log import database
from aoshell.nodes.local.log.lock import take_lock
from aoshell.nodes.local.log.rows import Batch, Computed, Kept, Logged, ProcessRow

Place = tuple[int, int]  # slot and tick
START: Place = (-1, 0)
PAGE = 500  # messages read at once

_LOG = ", ".join(Logged._fields)
_ROW = ", ".join(ProcessRow._fields)
_WIDTH = len(Logged._fields)
_ADD_PROCESS = (
    f"INSERT INTO processes ({_ROW}) VALUES ({', '.join('?' for _ in ProcessRow._fields)})"
)
_ADD_MESSAGE = f"INSERT INTO log ({_LOG}) VALUES ({', '.join('?' for _ in Logged._fields)})"


class Store:
    """One database file, locked by one process.

    Args:
        folder: the node's state; created 0700 if missing.

    Raises:
        AoError: another process holds it (the hint names its pid), or it cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "node.db"
        try:
            durable.make_folder(folder)
            self._lock: IO[str] | None = take_lock(folder / "node.lock")
        except OSError as error:
            raise AoError(
                f"{folder} cannot be used: {error.strerror}",
                stage="store",
                hint="make it writable (`ulimit -f`, too), or name another place in AOSHELL_HOME",
            ) from error
        try:
            with self._translated_errors():
                self._db = database.open_to_write(self.path)
        except BaseException:
            if self._lock is not None:
                self._lock.close()
            raise

    @classmethod
    def reading(cls, path: Path) -> Store:
        """Open a store to read, whoever holds it. Raises AoError where it cannot be read."""
        store = cls.__new__(cls)
        store.folder, store.path, store._lock = path.parent, path, None
        with store._translated_errors():
            store._db = database.open_to_read(path)
        return store

    @contextlib.contextmanager
    def unchanging(self) -> Iterator[Store]:
        """The database as it is now, whatever is written meanwhile; another thread may use it."""
        store = Store.reading(self.path)
        try:
            with store._translated_errors():
                store._db.execute("BEGIN")
                store.last_numbers()  # what is read first fixes what there is to read
            yield store
        finally:
            store.close()

    def _translated_errors(self) -> contextlib.AbstractContextManager[None]:
        return database.translated_errors(self.path)

    def close(self) -> None:
        """Write the WAL back and let go of the lock."""
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
    def _transaction(self, *, sync: bool = True) -> Iterator[sqlite3.Connection]:
        """All that the block writes, or nothing; on disk afterwards unless `sync` is False."""
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
        """Keep a module, and point a name at it if one is given."""
        with self._transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO modules VALUES (?,?,?,?)", (module_id, kind, data, created)
            )
            if name:
                db.execute("INSERT OR REPLACE INTO names VALUES (?, ?)", (name, module_id))

    def forget(self, process: int, slot: int, most: int) -> int:
        """Delete the last messages of a process, from a slot on and at most so many; how many.

        Their results and what they left go with them, and behind slot 0 the process itself. What
        remains is at any time a log that has an end.
        """
        last = (
            "(SELECT seq FROM log WHERE process = ? AND slot >= ? "
            "ORDER BY slot DESC, tick DESC LIMIT ?)"
        )
        with self._transaction() as db:
            args = (process, slot, most)
            # Numbers are given again: what is known of those that go must not hide the next.
            db.execute(
                "UPDATE meta SET value = min(value, "
                f"(SELECT min(seq) FROM {last}) - 1) "
                f"WHERE key = 'computed_to' AND EXISTS {last}",
                (*args, *args),
            )
            db.execute(f"DELETE FROM kept WHERE cause IN {last}", args)
            db.execute(f"DELETE FROM results WHERE seq IN {last}", args)
            gone = db.execute(f"DELETE FROM log WHERE seq IN {last}", args).rowcount
            if slot == 0:
                db.execute(
                    "DELETE FROM processes WHERE number = ?1 "
                    "AND NOT EXISTS (SELECT 1 FROM log WHERE process = ?1)",
                    (process,),
                )
            return gone

    def tree(self, root: int, limit: int) -> list[tuple[Logged, Computed | None]]:
        """A message and all that it caused, with results where there are any, in order."""
        rows = self._all(
            "WITH RECURSIVE tree (seq) AS (SELECT ? UNION SELECT log.seq FROM log JOIN tree "
            f"ON log.cause = tree.seq) SELECT {_prefixed(_LOG)}, r.* FROM tree JOIN log l "
            "USING (seq) LEFT JOIN results r USING (seq) ORDER BY l.seq LIMIT ?",
            root,
            limit,
        )
        return [_pair(row) for row in rows]

    # Reading ------------------------------------------------------------------------------

    def _all(self, sql: str, *args: Any) -> list[Any]:
        with self._translated_errors():
            return self._db.execute(sql, args).fetchall()

    def _one(self, sql: str, *args: Any) -> Any:
        with self._translated_errors():
            return self._db.execute(sql, args).fetchone()

    def meta(self, key: str) -> Any:
        """A fact stored by `set_meta`, or None."""
        row = self._one("SELECT value FROM meta WHERE key = ?", key)
        return row[0] if row else None

    def module(self, module_id: str) -> tuple[str, bytes] | None:
        """Kind and bytes of a module."""
        row: tuple[str, bytes] | None = self._one(
            "SELECT kind, data FROM modules WHERE id = ?", module_id
        )
        return row

    def module_kind(self, module_id: str) -> str:
        """Kind of a module, "" where there is none; its bytes, which may be many, are not read."""
        row = self._one("SELECT kind FROM modules WHERE id = ?", module_id)
        return row[0] if row else ""

    def module_named(self, name: str) -> str | None:
        """Id of the module that a name points at."""
        row = self._one("SELECT module FROM names WHERE name = ?", name)
        return row[0] if row else None

    def find_module(self, reference: str) -> str:
        """Id of the module of that id, or else of that name; "" where there is none."""
        row = self._one("SELECT id FROM modules WHERE id = ?", reference)
        return row[0] if row else self.module_named(reference) or ""

    def name_of_module(self, module_id: str) -> str:
        """A name that points at a module, or ""."""
        row = self._one("SELECT name FROM names WHERE module = ? ORDER BY name", module_id)
        return row[0] if row else ""

    def processes(self) -> list[ProcessRow]:
        """All processes, newest first."""
        rows = self._all(f"SELECT {_ROW} FROM processes ORDER BY number DESC")
        return [ProcessRow(*row) for row in rows]

    def process(self, process_id: str) -> ProcessRow | None:
        """One process by id."""
        row = self._one(f"SELECT {_ROW} FROM processes WHERE id = ?", process_id)
        return ProcessRow(*row) if row else None

    def process_numbered(self, number: int) -> ProcessRow:
        """One process by its number. Raises AoError where there is none."""
        row = self._one(f"SELECT {_ROW} FROM processes WHERE number = ?", number)
        if row is None:
            raise AoError(f"process number {number} is gone", stage="store")
        return ProcessRow(*row)

    def processes_with_cron(self) -> list[ProcessRow]:
        """Processes with a schedule."""
        rows = self._all(f"SELECT {_ROW} FROM processes WHERE cron != '[]'")
        return [ProcessRow(*row) for row in rows]

    def find_processes(self, text: str) -> list[ProcessRow]:
        """Processes of that name, or else whose id begins so (6 characters or more)."""
        rows = self._all(f"SELECT {_ROW} FROM processes WHERE name = ? OR id = ?", text, text)
        if not rows and len(text) >= 6:
            rows = self._all(
                f"SELECT {_ROW} FROM processes WHERE substr(id, 1, ?) = ?", len(text), text
            )
        return [ProcessRow(*row) for row in rows]

    def processes_named(self, name: str) -> list[ProcessRow]:
        """Processes of exactly that name."""
        rows = self._all(f"SELECT {_ROW} FROM processes WHERE name = ?", name)
        return [ProcessRow(*row) for row in rows]

    def last_numbers(self) -> tuple[int, int]:
        """The highest seq and process number in use."""
        seq = self._one("SELECT max(seq) FROM log")[0] or 0
        number = self._one("SELECT max(number) FROM processes")[0] or 0
        # One that is being added has a log already.
        return seq, max(number, self._one("SELECT max(process) FROM log")[0] or 0)

    def newest(self) -> int:
        """The time of the latest message, milliseconds since the Unix epoch; 0 without any."""
        return self._one("SELECT max(timestamp) FROM log")[0] or 0

    def head(self, process: int) -> Logged | None:
        """The last scheduled message of a process."""
        row = self._one(
            f"SELECT {_LOG} FROM log WHERE process = ? ORDER BY slot DESC, tick DESC LIMIT 1",
            process,
        )
        return Logged(*row) if row else None

    def last_computed(self, process: int) -> tuple[Logged, Computed] | None:
        """The last message of a process that has a result."""
        row = self._last(process)
        return (Logged(*row[:_WIDTH]), Computed(*row[_WIDTH:])) if row else None

    def last_in_effect(self, process: int) -> Computed | None:
        """What the last message came to that went well; those behind it changed nothing."""
        row = self._last(process, "AND outcome = 'ok'")
        return Computed(*row[_WIDTH:]) if row else None

    def _last(self, process: int, among: str = "") -> Any:
        return self._one(
            f"SELECT {_prefixed(_LOG)}, r.* FROM log l JOIN results r USING (seq) "
            f"WHERE process = ? {among} ORDER BY slot DESC, tick DESC LIMIT 1",
            process,
        )

    def pending(self) -> list[Logged]:
        """Scheduled but not computed, in order."""
        done = self.meta("computed_to") or 0
        rows = self._all(
            f"SELECT {_LOG} FROM log WHERE seq > ? AND seq NOT IN "
            "(SELECT seq FROM results WHERE seq > ?) ORDER BY seq",
            done,
            done,
        )
        return [Logged(*row) for row in rows]

    def entries(
        self, process: int, after: Place = START, last_seq: int = 1 << 62
    ) -> Iterator[tuple[Logged, Computed | None]]:
        """The log of a process behind a place, in order, with results where there are any.

        Read a page at a time, each where the index has it; nothing is read behind `last_seq`.
        """
        while True:
            rows = self._all(
                f"SELECT {_prefixed(_LOG)}, r.* FROM log l LEFT JOIN results r USING (seq) "
                "WHERE process = ? AND (slot, tick) > (?, ?) ORDER BY slot, tick LIMIT ?",
                process,
                *after,
                PAGE,
            )
            for row in rows:
                logged, computed = _pair(row)
                if logged.seq > last_seq:
                    return
                yield logged, computed
            if len(rows) < PAGE:
                return
            after = logged.slot, logged.tick

    def behind_slot(
        self, process: int, after: int, limit: int, last: int = 1 << 62
    ) -> list[tuple[Logged, Computed | None]]:
        """Messages of slots after…last with their results, cron messages included, in order."""
        rows = self._all(
            f"SELECT {_prefixed(_LOG)}, r.* FROM log l LEFT JOIN results r USING (seq) "
            "WHERE process = ? AND slot > ? AND slot <= ? ORDER BY slot, tick LIMIT ?",
            process,
            after,
            last,
            limit,
        )
        return [_pair(row) for row in rows]

    def waits(self, process: int) -> int:
        """How many handlings of a process are suspended."""
        row = self._one(
            "SELECT total(r.waits) FROM log l JOIN results r USING (seq) WHERE process = ?", process
        )
        return max(0, int(row[0]))

    def at_slot(
        self, process: int, slot: int, tick: int = 0
    ) -> tuple[Logged, Computed | None] | None:
        """The message at a slot."""
        row = self._one(
            f"SELECT {_prefixed(_LOG)}, r.* FROM log l LEFT JOIN results r USING (seq) "
            "WHERE process = ? AND slot = ? AND tick = ?",
            process,
            slot,
            tick,
        )
        return _pair(row) if row else None

    def at_seq(self, seq: int) -> Logged:
        """The message with that number. Raises AoError where there is none."""
        row = self._one(f"SELECT {_LOG} FROM log WHERE seq = ?", seq)
        if row is None:
            raise AoError(f"message {seq} is gone from the log", stage="store")
        return Logged(*row)

    def computed_at(self, seq: int) -> Logged | None:
        """The message with that number, if it has a result."""
        row = self._one(
            f"SELECT {_prefixed(_LOG)} FROM log l JOIN results r USING (seq) WHERE l.seq = ?", seq
        )
        return Logged(*row) if row else None

    def id_of(self, seq: int) -> str:
        """Id of the message with that number, "" where it has none or is gone."""
        row = self._one("SELECT id FROM log WHERE seq = ?", seq)
        return row[0] if row else ""

    def by_id(self, message_id: str) -> Logged | None:
        """A scheduled message by its id."""
        row = self._one(f"SELECT {_LOG} FROM log WHERE id = ? ORDER BY seq LIMIT 1", message_id)
        return Logged(*row) if row else None

    def slot_of(self, process: int, message_id: str) -> int | None:
        """Where a message of a process's log stands."""
        query = "SELECT slot FROM log WHERE id = ? AND process = ?"
        row = self._one(query, message_id, process)
        return row and int(row[0])

    def kept(
        self,
        sender: int | None = None,
        *,
        held: int | None = None,
        target: str | None = None,
        root: int | None = None,
    ) -> list[tuple[int, int, Kept]]:
        """Undelivered outbox messages with their sender's process number and slot.

        Args:
            sender: number of the process that sent them; None for any, as for the others.
            held: why they are kept (see `rows`).
            target: id of the process that they are for.
            root: seq of the message from outside that they come of.
        """
        given = {"l.process": sender, "k.held": held, "k.target": target, "l.root": root}
        wanted = {column: value for column, value in given.items() if value is not None}
        where = " AND ".join(f"{column} = ?" for column in wanted) or "true"
        # CROSS JOIN: a log is long, and what is kept of it is little.
        rows = self._all(
            "SELECT l.process, l.slot, k.* FROM kept k CROSS JOIN log l ON l.seq = k.cause "
            f"WHERE {where} ORDER BY k.cause, k.idx",
            *wanted.values(),
        )
        return [(row[0], row[1], Kept(*row[2:])) for row in rows]

    def is_owner(self, address: str) -> bool:
        """Whether a process here belongs to that address (it is then a wallet or a process)."""
        return self._one("SELECT 1 FROM processes WHERE owner = ? LIMIT 1", address) is not None

    def size(self, process: int) -> int:
        """Bytes of a process's messages and results."""
        row = self._one(
            "SELECT sum(length(l.body) + coalesce(length(l.signed), 0) "
            "+ coalesce(length(r.body), 0) + 150) "
            "FROM log l LEFT JOIN results r USING (seq) WHERE process = ?",
            process,
        )
        return row[0] or 0

    def counts(self, process: int) -> tuple[int, int]:
        """Slots scheduled and slots computed."""
        slots = self._one("SELECT max(slot) FROM log WHERE process = ?", process)[0]
        last = self.last_computed(process)
        return (0 if slots is None else slots + 1), (last[0].slot + 1 if last else 0)


def _pair(row: Any) -> tuple[Logged, Computed | None]:
    return Logged(*row[:_WIDTH]), Computed(*row[_WIDTH:]) if row[_WIDTH] is not None else None


def _prefixed(columns: str) -> str:
    return ", ".join(f"l.{name.strip()}" for name in columns.split(","))
