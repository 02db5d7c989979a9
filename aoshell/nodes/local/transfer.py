"""A process as a file: `.export` and `.import`.

JSON lines, compressed: a header, the modules, then the log with its results. What belongs to other
processes (who caused a message, what could not be delivered) stays behind; ids and contents do not
change.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.local.engine import Engine
from aoshell.nodes.local.store import Batch, Computed, Logged, ProcessRow, Store

MAGIC = b"aoshell process 1\n"


def export(store: Store, row: ProcessRow) -> bytes:
    """A process, its modules, its log and its results."""
    pack = zlib.compressobj(6)
    parts = [MAGIC]
    for record in _records(store, row):
        parts.append(pack.compress(json.dumps(record).encode() + b"\n"))
    parts.append(pack.flush())
    return b"".join(parts)


def _records(store: Store, row: ProcessRow) -> Iterator[dict[str, Any]]:
    yield {"process": row._asdict()}
    for module_id in dict.fromkeys([row.environment, row.module]):
        found = store.module(module_id)
        if found is not None:
            yield {"module": [module_id, found[0], b64encode(found[1]).decode()]}
    for logged, computed in store.entries(row.number):
        signed = b64encode(logged.signed).decode() if logged.signed else None
        message = logged._asdict() | {"signed": signed, "body": logged.body.decode("latin-1")}
        yield {"message": message, "result": _result(computed)}


def _result(computed: Computed | None) -> dict[str, Any] | None:
    return computed and computed._asdict() | {"body": computed.body.decode("latin-1")}


def restore(engine: Engine, data: bytes) -> ProcessRow:
    """Take in what `export` wrote.

    Raises:
        AoError: it is no such file, it is damaged, or the process is here already.
    """
    if not data.startswith(MAGIC):
        raise AoError("this is no exported process", stage="import", hint="give a file of .export")
    try:
        lines = zlib.decompress(data[len(MAGIC) :]).splitlines()
        records = [json.loads(line) for line in lines]
        row = ProcessRow(**records[0]["process"])
        modules = [record["module"] for record in records if "module" in record]
        entries = [record for record in records if "message" in record]
        batch = _batch(engine, row, entries)
    except (zlib.error, ValueError, KeyError, TypeError, IndexError) as error:
        raise AoError(
            f"the exported process is damaged: {error}",
            stage="import",
            hint="export it again; nothing was changed here",
        ) from error
    if engine.process(row.id) is not None:
        engine.scheduler.forget()
        raise AoError(
            f"process {row.id} is on this node already",
            stage="import",
            hint=".delete it first to replace it",
        )
    for module_id, kind, content in modules:
        engine.store.add_module(module_id, kind, b64decode(content), "", row.created)
    engine.take_in(batch)
    return batch.processes[0]


def _batch(engine: Engine, row: ProcessRow, entries: list[dict[str, Any]]) -> Batch:
    """The records under numbers of this node."""
    number = engine.scheduler.new_process()
    batch = Batch(processes=[row._replace(number=number)])
    for entry in entries:
        message = entry["message"]
        signed = b64decode(message["signed"]) if message["signed"] else None
        seq = engine.scheduler.new_seq()
        body = message["body"].encode("latin-1")
        changed = {"seq": seq, "process": number, "cause": None, "idx": None, "root": seq}
        batch.log.append(Logged(**message | changed | {"signed": signed, "body": body}))
        result = entry["result"]
        if result is not None:
            changed = {"seq": seq, "body": result["body"].encode("latin-1")}
            batch.results.append(Computed(**result | changed))
    return batch
