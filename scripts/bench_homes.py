"""Large homes, made quickly: rows that a node has written are written again under other ids."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.assigning import Assigner
from aoshell.nodes.local.log.reading import START
from aoshell.nodes.local.log.rows import Batch
from aoshell.nodes.local.log.scheduler import Scheduler
from aoshell.nodes.local.log.store import Store
from aoshell.protocol.encoding import b64url

AT_ONCE = 20_000  # messages of one transaction


def lengthen(folder: Path, process: str, count: int) -> None:
    """Repeat the last computed message of a process; its result must be the same each time.

    No node may have the folder open.
    """
    with _Writer(folder) as writer:
        row = writer.store.process(process)
        assert row is not None
        last = writer.store.last_computed(row.number)
        assert last is not None and last[1] is not None
        wire, computed = form.load_wire(last[0].body), last[1]
        for number in range(count):
            wire[form.ID] = _made_id(f"{process} {last[0].slot} {number}")
            logged = writer.scheduler.assign(row.number, wire[form.ID], form.dump_wire(wire))
            writer.batch.log.append(logged)
            writer.batch.results.append(computed._replace(seq=logged.seq))
            writer.write_some()


def multiply(folder: Path, process: str, count: int) -> list[str]:
    """Write a process with its log under other ids; the ids.

    Its messages must have results that do not tell its id. No node may have the folder open.
    """
    made = []
    with _Writer(folder) as writer:
        row = writer.store.process(process)
        assert row is not None
        log = list(writer.store.entries(row.number, START))
        for number in range(count):
            made.append(_made_id(f"{process} {number}"))
            copy = row._replace(number=writer.scheduler.new_process(), id=made[-1], name="")
            writer.batch.processes.append(copy)
            for logged, computed in log:
                assert computed is not None
                body = logged.body.replace(row.id.encode(), copy.id.encode())
                at = writer.scheduler.assign(copy.number, form.load_wire(body)[form.ID], body)
                writer.batch.log.append(at)
                writer.batch.results.append(computed._replace(seq=at.seq))
            writer.write_some()
    return made


class _Writer:
    """Writes batches to the database of a closed node."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.scheduler = Scheduler(self.store, _now, Assigner(lambda: None))
        self.batch = Batch()

    def write_some(self) -> None:
        """Write the batch once it is large."""
        if len(self.batch.log) >= AT_ONCE:
            self._write()

    def _write(self) -> None:
        self.batch.computed_to = self.scheduler.last_seq
        self.store.commit(self.batch, sync=False)
        self.batch = Batch()

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()
        self.store.close()


def _now() -> int:
    return time.time_ns() // 1_000_000


def _made_id(text: str) -> str:
    return b64url(hashlib.sha256(text.encode()).digest())
