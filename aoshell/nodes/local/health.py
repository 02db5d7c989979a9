"""Checks the folder of the built-in node for `.doctor`. Only reads, except for one probe.

Works while another process carries the node.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from aoshell.nodes.local.log import database
from aoshell.nodes.values import EndpointFinding

FREE = 256 << 20  # bytes that a disk should have free
LOOKED = 5.0  # seconds for checking the database
_STEPS = 10_000  # of SQLite's machine, between two looks at the clock
_OTHERS = 0o077  # bits of a mode that give other users access


def examine(folder: Path) -> list[EndpointFinding]:
    """Findings on the folder, its disk and its database."""
    return [*_folder(folder), *_disk(folder), _database(folder / "node.db")]


def _folder(folder: Path) -> Iterator[EndpointFinding]:
    mode = folder.stat().st_mode & 0o777
    if mode & _OTHERS:
        yield EndpointFinding(
            *("home", str(folder), False, f"other users can reach it (mode {mode:o})"),
            f"the wallet is in it: chmod 700 {folder}",
        )
    else:
        yield EndpointFinding("home", str(folder), True, "yours alone")


def _disk(folder: Path) -> Iterator[EndpointFinding]:
    free = shutil.disk_usage(folder).free
    hint = "" if free >= FREE else "make room: on a full disk no message is taken"
    found = f"{free / 2**30:,.1f} GB free"
    try:
        found += f"; a line is on it in {_fsync(folder) * 1000:.1f} ms"
    except OSError as error:
        found, hint = f"nothing can be written: {error.strerror or error}", "mend or free the disk"
    yield EndpointFinding("disk", str(folder), not hint, found, hint)


def _fsync(folder: Path) -> float:
    """Seconds that writing a few bytes there with fsync takes."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
        begin = time.perf_counter()
        file.write(b"aoshell")
        file.flush()
        os.fsync(file.fileno())
        return time.perf_counter() - begin


def _database(path: Path) -> EndpointFinding:
    what = "database", str(path)
    try:
        size = f"{path.stat().st_size / 2**20:,.1f} MB"
        with closing(database.open_to_read(path)) as db:
            problem, whole = _problem(db)
    except (sqlite3.Error, OSError) as error:
        return EndpointFinding(*what, False, f"it cannot be read: {error}", _RESCUE)
    if problem:
        return EndpointFinding(*what, False, f"{size}, damaged: {problem}", _RESCUE)
    looked = "whole" if whole else f"no damage found in {LOOKED:g} s of looking"
    return EndpointFinding(*what, True, f"{size}, {looked}")


_RESCUE = "stop all shells and copy the folder; aoshell dump FILE writes what can be read"


def _problem(db: sqlite3.Connection) -> tuple[str, bool]:
    """(the first damage, "" for none; whether the whole database was checked)."""
    end = time.monotonic() + LOOKED
    db.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        if time.monotonic() > end:
            return "", False
        raise
    return ("" if found == "ok" else " ".join(str(found).split())), True
