"""The tables of a local node's database, and the migration of older databases.

`log` has a row for each scheduled message, in the order in which the node took them (`seq`).
`results` has the same numbers, so a row of `log` without one in `results` is still to be computed.
What a message sends is scheduled in the transaction that stores its result. `cause` and `idx`
(position in the outbox) are unique together, so nothing is lost and nothing is sent twice.
"""

from __future__ import annotations

import sqlite3

VERSION = 4

MEMORY_BEFORE_2 = 512 * 1024 * 1024  # bytes; version 1 did not store the limit of a process

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE modules (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, data BLOB NOT NULL, created INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE names (name TEXT PRIMARY KEY, module TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE processes (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  owner TEXT NOT NULL,
  module TEXT NOT NULL,
  environment TEXT NOT NULL,  -- module id of the aos environment it was born with
  created INTEGER NOT NULL,
  cron TEXT NOT NULL,         -- JSON: [[interval in ms, next due in ms, [[name, value]…]]…]
  memory INTEGER NOT NULL,    -- bytes that a WASM instance may grow to; it can observe that
  alias TEXT NOT NULL DEFAULT '',     -- the network's id of its module where that is not `module`
  authority TEXT NOT NULL DEFAULT '', -- owner of what is pushed to it; '' for the node
  chain TEXT NOT NULL DEFAULT '',     -- form of its hash chain: '' own, 'ao' the network's
  monitored INTEGER NOT NULL DEFAULT 1 -- whether its cron runs
);

CREATE TABLE log (
  seq INTEGER PRIMARY KEY,
  process INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  tick INTEGER NOT NULL,      -- 0, or the place of a cron message behind its slot
  id TEXT NOT NULL,           -- '' for cron messages
  cause INTEGER,              -- seq of the message that sent it
  idx INTEGER,                -- and its place in that message's outbox
  root INTEGER NOT NULL,      -- seq of the message from outside that began it all
  ordinal INTEGER NOT NULL,   -- how many messages that root had caused by then
  timestamp INTEGER NOT NULL,
  height INTEGER NOT NULL,
  chain TEXT NOT NULL,
  signed BLOB,                -- a signed message as it came
  body BLOB NOT NULL,         -- JSON: see aoshell.nodes.local.log.form
  client TEXT NOT NULL DEFAULT '',     -- who handed it in; '' for the shell that has the node open
  form TEXT NOT NULL DEFAULT '',       -- of `signed`: '' an ANS-104 item, 'httpsig' a message
  assignment TEXT NOT NULL DEFAULT '', -- id of the assignment item, '' where none was stored
  assigned BLOB                        -- and the item itself, ANS-104
);
CREATE UNIQUE INDEX log_slot ON log (process, slot, tick);
CREATE UNIQUE INDEX log_cause ON log (cause, idx) WHERE cause IS NOT NULL;
CREATE INDEX log_id ON log (id);
CREATE INDEX log_assignment ON log (assignment) WHERE assignment != '';

CREATE TABLE uploads (        -- signed items that are in no log; numbered as those in `log`
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  timestamp INTEGER NOT NULL,
  client TEXT NOT NULL,
  form TEXT NOT NULL,
  signed BLOB NOT NULL
);

CREATE TABLE results (
  seq INTEGER PRIMARY KEY,
  outcome TEXT NOT NULL,
  milliseconds REAL NOT NULL,
  memory INTEGER NOT NULL,
  gas INTEGER NOT NULL,
  waits INTEGER NOT NULL,     -- handlings suspended by it, less those it brought to an end
  body BLOB NOT NULL          -- JSON: a result as aoshell.sandbox.lua lists it
);

CREATE TABLE kept (           -- outbox messages that could not be delivered
  cause INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  reason TEXT NOT NULL,
  held INTEGER NOT NULL,      -- why: see aoshell.nodes.local.log.rows
  target TEXT NOT NULL,
  id TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (cause, idx)
) WITHOUT ROWID;
"""

# What the source of a fork said about the last slot from there, and how the fork is computed.
_ORIGINS = """
CREATE TABLE origins (        -- of processes that were forked from elsewhere
  process INTEGER PRIMARY KEY,
  source TEXT NOT NULL,       -- URL of who gave the log
  slot INTEGER NOT NULL,      -- the last slot from there; what follows was scheduled here
  timestamp INTEGER NOT NULL,
  height INTEGER NOT NULL,
  chain TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  unsigned INTEGER NOT NULL,  -- messages up to there that nobody has signed
  vouched TEXT NOT NULL,      -- who vouches for the memory that it begins with
  memory TEXT NOT NULL,       -- SHA-256 of that memory, '' where all slots are computed here
  memory_slot INTEGER NOT NULL, -- the slot behind which the memory is, -1 for none
  module TEXT NOT NULL        -- JSON: its module as compute units tell of it; '' for Lua
);
"""

# _MIGRATIONS[n] brings a database of version n to n + 1.
_MIGRATIONS = {
    1: f"ALTER TABLE processes ADD COLUMN memory INTEGER NOT NULL DEFAULT {MEMORY_BEFORE_2};",
    2: """
ALTER TABLE processes ADD COLUMN alias TEXT NOT NULL DEFAULT '';
ALTER TABLE processes ADD COLUMN authority TEXT NOT NULL DEFAULT '';
ALTER TABLE processes ADD COLUMN chain TEXT NOT NULL DEFAULT '';
ALTER TABLE processes ADD COLUMN monitored INTEGER NOT NULL DEFAULT 1;
ALTER TABLE log ADD COLUMN client TEXT NOT NULL DEFAULT '';
ALTER TABLE log ADD COLUMN form TEXT NOT NULL DEFAULT '';
ALTER TABLE log ADD COLUMN assignment TEXT NOT NULL DEFAULT '';
ALTER TABLE log ADD COLUMN assigned BLOB;
CREATE INDEX log_assignment ON log (assignment) WHERE assignment != '';
CREATE TABLE uploads (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, timestamp INTEGER NOT NULL,
  client TEXT NOT NULL, form TEXT NOT NULL, signed BLOB NOT NULL
);
""",
    3: _ORIGINS,
}


def prepare(connection: sqlite3.Connection) -> None:
    """Create or migrate the tables.

    Raises:
        ValueError: the database was written by a newer aoshell.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise ValueError(f"it has format {version}, this aoshell knows formats up to {VERSION}")
    if version == VERSION:
        return
    steps = (
        [_TABLES, _ORIGINS] if version == 0 else [_MIGRATIONS[n] for n in range(version, VERSION)]
    )
    connection.executescript(f"BEGIN; {''.join(steps)} PRAGMA user_version = {VERSION}; COMMIT;")


# Columns that a version added, with their values for rows of older databases: see `show_older`.
_ADDED = {
    2: {"processes": {"memory": str(MEMORY_BEFORE_2)}},
    3: {
        "processes": {"alias": "''", "authority": "''", "chain": "''", "monitored": "1"},
        "log": {"client": "''", "form": "''", "assignment": "''", "assigned": "NULL"},
    },
}

_UPLOADS_SINCE = 3  # the version that added the table
_NO_UPLOADS = (
    "CREATE TEMP VIEW uploads AS SELECT 0 AS seq, '' AS id, 0 AS timestamp, '' AS client, "
    "'' AS form, x'' AS signed WHERE false"
)
_ORIGINS_SINCE = 4
_NO_ORIGINS = (
    "CREATE TEMP VIEW origins AS SELECT 0 AS process, '' AS source, 0 AS slot, 0 AS timestamp, "
    "0 AS height, '' AS chain, 0 AS epoch, 0 AS unsigned, '' AS vouched, '' AS memory, "
    "-1 AS memory_slot, '' AS module WHERE false"
)


def show_older(connection: sqlite3.Connection) -> None:
    """Give an older database, for reading only, the tables and columns of the present version.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    if 0 < version < _UPLOADS_SINCE:
        connection.execute(_NO_UPLOADS)
    if 0 < version < _ORIGINS_SINCE:
        connection.execute(_NO_ORIGINS)
    added: dict[str, dict[str, str]] = {}
    for number in range(version + 1, VERSION + 1) if version else ():
        for table, columns in _ADDED.get(number, {}).items():
            added.setdefault(table, {}).update(columns)
    for table, columns in added.items():  # a temporary view hides a table of the same name
        more = ", ".join(f"{value} AS {name}" for name, value in columns.items())
        connection.execute(f"CREATE TEMP VIEW {table} AS SELECT *, {more} FROM main.{table}")
