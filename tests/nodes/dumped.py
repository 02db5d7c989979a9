"""Dumps in tests: made of a node's folder, loaded into one, taken apart and put together."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from aoshell.nodes.local.history import dumping, loading, parts
from aoshell.nodes.local.log.store import Store

TABLES = ("modules", "names", "log", "results", "kept", "uploads")


def nothing(_done: int) -> None:
    """Ignore a progress."""


def dump(folder: Path) -> bytes:
    """The dump of a node, which may be open."""
    with closing(Store.reading(folder / "node.db")) as store, store.unchanging() as now:
        return b"".join(dumping.dump_node(now, dumping.read_header(now), nothing))


def load(folder: Path, data: bytes, piece: int = 1 << 20) -> loading.Loaded:
    """Load a dump into a node that is closed."""
    with closing(Store(folder)) as store:
        return loading.load_node(store, pieces(data, piece), nothing)


def pieces(data: bytes, size: int) -> Iterable[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def records(data: bytes) -> list[dict[str, Any]]:
    """What a dump holds."""
    return list(parts.read_parts([data]))


def rewritten(found: Iterable[dict[str, Any]]) -> bytes:
    """A dump of these records, with correct hashes."""
    return b"".join(parts.write_parts(found))


def rows(folder: Path, *tables: str) -> dict[str, list[Any]]:
    """The rows of a database, sorted."""
    with closing(sqlite3.connect(folder / "node.db")) as database:
        return {
            table: sorted(database.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
            for table in tables or TABLES
        }
