"""Reads the log on disk. Synchronous; every call is one statement."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.local.log import database
from aoshell.nodes.local.log.rows import NETWORK, Computed, Kept, Logged, Origin, ProcessRow
from aoshell.nodes.values import Place

START = Place(-1)
CUTS = "cuts"  # in the table of facts: how many times messages were deleted
LOWEST = "cut_behind"  # in that table: the lowest numbers that the last cuts deleted, a JSON list
MOST_CUTS = 256  # numbers in that list
PAGE = 500  # messages read at once

LOGGED = ", ".join(Logged._fields)
PROCESS = ", ".join(ProcessRow._fields)
_WIDTH = len(Logged._fields)


class Reader:
    """Reads one database."""

    path: Path
    _db: sqlite3.Connection

    def _translated_errors(self) -> contextlib.AbstractContextManager[None]:
        return database.translated_errors(self.path)

    def select(self, sql: str, *args: Any) -> list[Any]:
        """The rows that a query finds; none by a text that is not UTF-8. Raises AoError."""
        with self._translated_errors(), contextlib.suppress(UnicodeEncodeError):
            return self._db.execute(sql, args).fetchall()
        return []

    def select_one(self, sql: str, *args: Any) -> Any:
        """The first row that a query finds, None if there is none, as for `select`."""
        with self._translated_errors(), contextlib.suppress(UnicodeEncodeError):
            return self._db.execute(sql, args).fetchone()
        return None

    def stream(self, sql: str, *args: Any) -> Iterator[Any]:
        """The rows that a query finds, read one at a time. Raises AoError."""
        with self._translated_errors():
            yield from self._db.execute(sql, args)

    def meta(self, key: str) -> Any:
        """A fact stored by `set_meta`, or None."""
        row = self.select_one("SELECT value FROM meta WHERE key = ?", key)
        return row[0] if row else None

    @property
    def cuts(self) -> int:
        """How many times messages were deleted from the log."""
        return int(self.meta(CUTS) or 0)

    @property
    def lowest(self) -> tuple[int, ...]:
        """The lowest number that each of the last `MOST_CUTS` cuts deleted, the newest last."""
        return tuple(json.loads(self.meta(LOWEST) or "[]"))

    def module(self, module_id: str) -> tuple[str, bytes] | None:
        """Kind and bytes of a module."""
        row: tuple[str, bytes] | None = self.select_one(
            "SELECT kind, data FROM modules WHERE id = ?", module_id
        )
        return row

    def module_kind(self, module_id: str) -> str:
        """Kind of a module, "" if there is none. Does not read its bytes, which may be many."""
        row = self.select_one("SELECT kind FROM modules WHERE id = ?", module_id)
        return row[0] if row else ""

    def module_named(self, name: str) -> str | None:
        """Id of the module that a name points at."""
        row = self.select_one("SELECT module FROM names WHERE name = ?", name)
        return row[0] if row else None

    def find_module(self, reference: str) -> str:
        """Id of the module of that id, or else of that name; "" where there is none."""
        row = self.select_one("SELECT id FROM modules WHERE id = ?", reference)
        return row[0] if row else self.module_named(reference) or ""

    def module_names(self) -> list[tuple[str, str]]:
        """All names of modules, with the ids that they point at."""
        return self.select("SELECT name, module FROM names ORDER BY name")

    def name_of_module(self, module_id: str) -> str:
        """A name that points at a module, or ""."""
        row = self.select_one("SELECT name FROM names WHERE module = ? ORDER BY name", module_id)
        return row[0] if row else ""

    def processes(self) -> list[ProcessRow]:
        """All processes, newest first."""
        rows = self.select(f"SELECT {PROCESS} FROM processes ORDER BY number DESC")
        return [ProcessRow(*row) for row in rows]

    def process(self, process_id: str) -> ProcessRow | None:
        """One process by id."""
        row = self.select_one(f"SELECT {PROCESS} FROM processes WHERE id = ?", process_id)
        return ProcessRow(*row) if row else None

    def process_numbered(self, number: int) -> ProcessRow:
        """One process by its number. Raises AoError where there is none."""
        row = self.select_one(f"SELECT {PROCESS} FROM processes WHERE number = ?", number)
        if row is None:
            raise AoError(f"process number {number} is gone", stage="store")
        return ProcessRow(*row)

    def processes_with_cron(self) -> list[ProcessRow]:
        """Processes with a schedule that runs."""
        rows = self.select(f"SELECT {PROCESS} FROM processes WHERE cron != '[]' AND monitored")
        return [ProcessRow(*row) for row in rows]

    def find_processes(self, text: str) -> list[ProcessRow]:
        """The process with that id; else those with that name; else those whose id begins with the
        text (6 characters or more).

        For a name, processes of the prompt have priority over those of clients, which can choose
        any name.
        """
        if row := self.process(text):
            return [row]
        if named := self.processes_named(text):
            return [row for row in named if row.chain != NETWORK] or named
        query = f"SELECT {PROCESS} FROM processes WHERE substr(id, 1, ?) = ?"
        found = self.select(query, len(text), text) if len(text) >= 6 else []
        return [ProcessRow(*row) for row in found]

    def processes_named(self, name: str) -> list[ProcessRow]:
        """Processes of exactly that name."""
        rows = self.select(f"SELECT {PROCESS} FROM processes WHERE name = ?", name)
        return [ProcessRow(*row) for row in rows]

    def origin(self, process: int) -> Origin | None:
        """The origin of a forked process, None if it was made here."""
        row = self.select_one("SELECT * FROM origins WHERE process = ?", process)
        return Origin(*row) if row else None

    def assignment_of(self, process: int, slot: int) -> str:
        """Id of the assignment that is stored with a slot, "" if there is none."""
        query = "SELECT assignment FROM log WHERE process = ? AND slot = ? AND tick = 0"
        row = self.select_one(query, process, slot)
        return row[0] if row else ""

    def last_numbers(self) -> tuple[int, int]:
        """The highest seq and process number in use."""
        seq = max(
            self.select_one("SELECT max(seq) FROM log")[0] or 0,
            self.select_one("SELECT max(seq) FROM uploads")[0] or 0,
        )
        number = self.select_one("SELECT max(number) FROM processes")[0] or 0
        # A process that is being added has a log, but no row yet.
        return seq, max(number, self.select_one("SELECT max(process) FROM log")[0] or 0)

    def newest(self) -> int:
        """The time of the latest message, milliseconds since the Unix epoch; 0 without any."""
        return self.select_one("SELECT max(timestamp) FROM log")[0] or 0

    def head(self, process: int) -> Logged | None:
        """The last scheduled message of a process."""
        row = self.select_one(
            f"SELECT {LOGGED} FROM log WHERE process = ? ORDER BY slot DESC, tick DESC LIMIT 1",
            process,
        )
        return Logged(*row) if row else None

    def last_computed(self, process: int) -> tuple[Logged, Computed] | None:
        """The last message of a process that has a result."""
        row = self.select_one(
            f"SELECT {prefixed(LOGGED)}, r.* FROM log l JOIN results r USING (seq) "
            "WHERE process = ? ORDER BY slot DESC, tick DESC LIMIT 1",
            process,
        )
        return (Logged(*row[:_WIDTH]), Computed(*row[_WIDTH:])) if row else None

    def result_of(self, seq: int) -> Computed | None:
        """The result of the message with that number; None if it has none."""
        row = self.select_one("SELECT * FROM results WHERE seq = ?", seq)
        return Computed(*row) if row else None

    def pending(self) -> list[Logged]:
        """Messages that are scheduled but not computed, in order."""
        done = self.meta("computed_to") or 0
        rows = self.select(
            f"SELECT {LOGGED} FROM log WHERE seq > ? AND seq NOT IN "
            "(SELECT seq FROM results WHERE seq > ?) ORDER BY seq",
            done,
            done,
        )
        return [Logged(*row) for row in rows]

    def entries(
        self, process: int, after: tuple[int, int] = START, last_seq: int = 1 << 62
    ) -> Iterator[tuple[Logged, Computed | None]]:
        """The log of a process after a place, in order, with results where there are any.

        Read in pages, which the index finds; ends at number `last_seq`.
        """
        while True:
            rows = self.select(
                f"SELECT {prefixed(LOGGED)}, r.* FROM log l LEFT JOIN results r USING (seq) "
                "WHERE process = ? AND (slot, tick) > (?, ?) ORDER BY slot, tick LIMIT ?",
                process,
                *after,
                PAGE,
            )
            for row in rows:
                logged, computed = pair(row)
                if logged.seq > last_seq:
                    return
                yield logged, computed
            if len(rows) < PAGE:
                return
            after = logged.slot, logged.tick

    def behind_slot(
        self, process: int, after: int, limit: int, last: int = 1 << 62
    ) -> list[tuple[Logged, Computed | None]]:
        """Messages after slot `after`, up to slot `last`, with results, cron included, in order."""
        rows = self.select(
            f"SELECT {prefixed(LOGGED)}, r.* FROM log l LEFT JOIN results r USING (seq) "
            "WHERE process = ? AND slot > ? AND slot <= ? ORDER BY slot, tick LIMIT ?",
            process,
            after,
            last,
            limit,
        )
        return [pair(row) for row in rows]

    def at_slot(
        self, process: int, slot: int, tick: int = 0
    ) -> tuple[Logged, Computed | None] | None:
        """The message at a slot."""
        row = self.select_one(
            f"SELECT {prefixed(LOGGED)}, r.* FROM log l LEFT JOIN results r USING (seq) "
            "WHERE process = ? AND slot = ? AND tick = ?",
            process,
            slot,
            tick,
        )
        return pair(row) if row else None

    def at_seq(self, seq: int) -> Logged:
        """The message with that number. Raises AoError if there is none."""
        row = self.select_one(f"SELECT {LOGGED} FROM log WHERE seq = ?", seq)
        if row is None:
            raise AoError(f"message {seq} is gone from the log", stage="store")
        return Logged(*row)

    def computed_at(self, seq: int) -> Logged | None:
        """The message with that number, if it has a result."""
        row = self.select_one(
            f"SELECT {prefixed(LOGGED)} FROM log l JOIN results r USING (seq) WHERE l.seq = ?", seq
        )
        return Logged(*row) if row else None

    def id_of(self, seq: int) -> str:
        """Id of the message with that number, "" if it has none or is gone."""
        row = self.select_one("SELECT id FROM log WHERE seq = ?", seq)
        return row[0] if row else ""

    def by_id(self, message_id: str, process: int = 0) -> Logged | None:
        """A scheduled message by its id: the one in `process` if there is one, else the first."""
        row = self.select_one(
            f"SELECT {LOGGED} FROM log WHERE id = ? ORDER BY process != ?, seq LIMIT 1",
            message_id,
            process,
        )
        return Logged(*row) if row else None

    def find_messages(self, begin: str, most: int) -> list[tuple[str, str, int]]:
        """Messages whose ids begin with `begin`: (id, id of the process, slot), newest first."""
        return self.select(
            "SELECT log.id, processes.id, slot FROM log JOIN processes ON number = process"
            " WHERE log.id >= ? AND log.id < ? || char(127) ORDER BY seq DESC LIMIT ?",
            *(begin, begin, most),
        )

    def signed_in(self, process: int, message_id: str) -> Logged | None:
        """The signed message with that id in a process's log; old logs may hold it twice."""
        row = self.select_one(
            f"SELECT {LOGGED} FROM log WHERE id = ? AND process = ? AND signed IS NOT NULL "
            "ORDER BY seq LIMIT 1",
            message_id,
            process,
        )
        return Logged(*row) if row else None

    def slot_of(self, process: int, message_id: str) -> int | None:
        """The slot of a message in a process's log; None if it is not there."""
        query = "SELECT slot FROM log WHERE id = ? AND process = ?"
        row = self.select_one(query, message_id, process)
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
            sender: number of the process that sent them. None, here and below, means any.
            held: why they are kept (see `rows`).
            target: id of the process that they are for.
            root: seq of the message from outside that caused them.
        """
        given = {"l.process": sender, "k.held": held, "k.target": target, "l.root": root}
        wanted = {column: value for column, value in given.items() if value is not None}
        where = " AND ".join(f"{column} = ?" for column in wanted) or "true"
        # CROSS JOIN fixes the order of the join: a log is long, and `kept` is short.
        rows = self.select(
            "SELECT l.process, l.slot, k.* FROM kept k CROSS JOIN log l ON l.seq = k.cause "
            f"WHERE {where} ORDER BY k.cause, k.idx",
            *wanted.values(),
        )
        return [(row[0], row[1], Kept(*row[2:])) for row in rows]

    def is_owner(self, address: str) -> bool:
        """Whether a process here belongs to that address, which is a wallet's or a process's."""
        return (
            self.select_one("SELECT 1 FROM processes WHERE owner = ? LIMIT 1", address) is not None
        )

    def slots(self, process: int) -> int:
        """How many slots of a process are scheduled."""
        last = self.select_one("SELECT max(slot) FROM log WHERE process = ?", process)[0]
        return 0 if last is None else last + 1

    def tree(self, root: int, limit: int) -> Iterator[tuple[Logged, Computed | None]]:
        """A message and all messages that it caused, with results if they have any, in order."""
        rows = self.stream(
            "WITH RECURSIVE tree (seq) AS (SELECT ? UNION SELECT log.seq FROM log JOIN tree "
            "ON log.cause = tree.seq), first AS (SELECT seq FROM tree ORDER BY seq LIMIT ?) "
            f"SELECT {prefixed(LOGGED)}, r.* FROM first JOIN log l USING (seq) "
            "LEFT JOIN results r USING (seq) ORDER BY l.seq",
            root,
            limit,
        )
        return (pair(row) for row in rows)


def pair(row: Any) -> tuple[Logged, Computed | None]:
    """A row of `log` joined with `results`."""
    return Logged(*row[:_WIDTH]), Computed(*row[_WIDTH:]) if row[_WIDTH] is not None else None


@cache
def prefixed(columns: str) -> str:
    """The columns with the prefix `l.`, for a query that calls the table `l`."""
    return ", ".join(f"l.{name.strip()}" for name in columns.split(","))
