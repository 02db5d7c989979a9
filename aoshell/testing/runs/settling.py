"""Writes the files of a round: snapshots, and the list of failures."""

from __future__ import annotations

from pathlib import Path

from aoshell.bounded.files import real
from aoshell.testing.requests.snapshots import (
    UPDATE,
    SnapshotsError,
    read_snapshots,
    snapshots_file,
    unused,
    write_snapshots,
)
from aoshell.testing.runs.lasting import last_failed, remember_failed
from aoshell.testing.runs.rounds import Round

MOST_NAMED = 10  # most unused snapshots that are named


def settle_snapshots(found: Round, *, update: bool) -> list[str]:
    """Write the snapshots of a round, and report those that no test takes any more.

    Returns:
        Texts for people, one for each file that has such snapshots.

    Raises:
        AoError: a file cannot be written.
    """
    notes = []
    for file in found.files:
        if file.problem is not None:
            continue
        of_file = [one for one in found.outcomes if one.file == str(file.path) and not one.bad]
        path = snapshots_file(file.path)
        try:
            stored = read_snapshots(path)
        except SnapshotsError as error:
            failures = [one.failure.text for one in found.outcomes if one.failure]
            if not any(error.what in text for text in failures):
                notes.append(f"{error.what} ({error.hint})")
            continue
        passed = {one.name: set(one.taken) for one in of_file if one.outcome == "passed"}
        gone = unused(stored, (test.name for test in file.tests), passed)
        if update:
            kept = {key: text for key, text in stored.items() if key not in gone}
            new = {key: text for one in of_file for key, text in one.taken.items()}
            if kept | new != stored:
                write_snapshots(file.path, kept | new)
        elif gone:
            names = ", ".join(f"{test}: {name}" for test, name in gone[:MOST_NAMED])
            more = f" and {len(gone) - MOST_NAMED} more" if len(gone) > MOST_NAMED else ""
            notes.append(f"{path}: no test takes {names}{more} any more: {UPDATE} removes it")
    return notes


def settle_failed(found: Round) -> None:
    """Store the failures, and earlier ones that exist and were not run now."""
    ran = {(_resolved(outcome.file), outcome.name) for outcome in found.outcomes}
    failed = {(_resolved(one.file), one.name) for one in found.outcomes if one.bad}
    declared = {
        _resolved(str(file.path)): {test.name for test in file.tests}
        for file in found.files
        if file.problem is None
    }
    for path, name in last_failed() - ran:
        known = name in declared[path] if path in declared else Path(path).is_file()
        if known:
            failed.add((path, name))
    remember_failed(failed)


def _resolved(file: str) -> str:
    return str(real(Path(file)))
