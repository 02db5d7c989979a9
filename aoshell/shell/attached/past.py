"""The input of `.record`, a whole session as values, and its output, a test.

A session is its logs, and what no log holds (`shell.attached.journal`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aoshell.nodes.values import LogEntry, Module, ProcessInfo
from aoshell.shell.attached.journal import Journal


@dataclass(frozen=True, slots=True)
class Past:
    """A session to record.

    Attributes:
        entries: of all its processes, the cron messages among them.
        processes: by id, oldest first; those of the whole node.
        modules: by the reference that processes are made of.
        people: names of identities by address.
        folder: of the test; file paths are relative to it.
    """

    entries: Sequence[LogEntry]
    processes: Mapping[str, ProcessInfo] = field(default_factory=dict)
    modules: Mapping[str, Module] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)
    journal: Journal = field(default_factory=Journal)
    folder: Path = field(default_factory=Path)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A session as a test.

    Attributes:
        test: Lua.
        beside: content of the files that the test needs next to it, by name.
        lost: what the test does not repeat, one sentence each.
    """

    test: str
    beside: Mapping[str, bytes]
    lost: Sequence[str]
