"""A process as a file: `.export` and `.import`.

Compressed JSON lines: a header, the modules, then the log with its results. Ids and contents do not
change. Facts about other processes are left out: who caused a message, what was not delivered.
Signatures for forks of live processes are left out, too; if data holds such an item, the file has
the ids of these forks. An import refuses a small file that unpacks to very much. So a log that
compresses that well gets a filler as its last record, which an import skips.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from hashlib import shake_256
from itertools import chain
from typing import Any

from aoshell.bounded import jsontext, zipped
from aoshell.bounded.sizes import size
from aoshell.errors import AoError
from aoshell.nodes.local.forked.memories import Coming, Memories
from aoshell.nodes.local.forked.withheld import Elsewhere, holding
from aoshell.nodes.local.history import records
from aoshell.nodes.local.history.adding import Adding
from aoshell.nodes.local.history.longwork import LongWork, Progress, run_in_thread
from aoshell.nodes.local.history.records import DAMAGED, LONGEST, demand, most_unpacked
from aoshell.nodes.local.log.form import TAGS, load_wire
from aoshell.nodes.local.log.rows import Computed, Logged, Origin, ProcessRow
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.authority import AUTO, fixed_authority

MAGIC = b"aoshell process 1\n"
FORKED = b"aoshell process 2\n"  # for a fork, as earlier versions would deliver what it sent

LARGEST = 1 << 30  # bytes of all records of a file, `RECORD` more for each
RECORD = 1 << 10  # bytes that a record takes in memory besides its own
PIECE = 1 << 20  # bytes that are unpacked at a time


def export_process(store: Store, row: ProcessRow, progress: Progress) -> Iterator[bytes]:
    """The bytes of a file with a process, its modules, its log and its results, in pieces.

    Raises:
        AoError: stage "export", the file would be too large to import.
    """
    origin = store.origin(row.number)
    found = _records(store, row, origin, progress)
    yield from write_process(row, found, forked=origin and origin._replace(process=0))


def write_process(
    row: ProcessRow, found: Iterable[dict[str, Any]], forked: Origin | None = None
) -> Iterator[bytes]:
    """The bytes of a file of these records, in pieces. Raises AoError as `export_process`."""
    pack = zlib.compressobj(6)
    yield MAGIC if forked is None else FORKED
    taken = packed = 0
    if forked is not None:
        found = chain([records.of_origin(forked)], found)
    for record in found:
        line = _line(record)
        taken += len(line) + RECORD
        if len(line) > LONGEST or taken > LARGEST:
            raise _too_large(row, taken)
        part = pack.compress(line)
        packed += len(part)
        yield part
    end = pack.flush(zlib.Z_SYNC_FLUSH)
    yield end
    lacks = taken // (records.RATIO - 2) - packed - len(end)
    if taken > records.LITTLE and lacks > 0:
        line = _line({"filler": b64encode(shake_256().digest(lacks)).decode()})
        if taken + len(line) + RECORD > LARGEST:
            raise _too_large(row, LARGEST)
        yield pack.compress(line)
    yield pack.flush()


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _too_large(row: ProcessRow, taken: int) -> AoError:
    most = f"{size(LARGEST)} in all and {size(LONGEST)} for one message"
    return AoError(
        f"{row.name or row.id} is too large for a file: its first records take {size(taken)},"
        f" and what can be imported is {most}",
        stage="export",
        hint=".fork copies a process within this node",
    )


def _records(
    store: Store, row: ProcessRow, origin: Origin | None, progress: Progress
) -> Iterator[dict[str, Any]]:
    yield {"process": records.without_defaults(row)}
    for module_id in dict.fromkeys([row.environment, row.module]):
        found = store.module(module_id)
        if found is not None:
            yield {"module": [module_id, found[0], records.text_of(found[1])]}
    if origin is not None and origin.memory:
        yield records.of_memory(Memories(store.folder), origin.memory)
    if held := sorted({one.own for one in holding(store, row.number)}):
        yield {"elsewhere": held}
    elsewhere = Elsewhere.of(store)
    for number, (logged, computed) in enumerate(store.entries(row.number)):
        progress(number)
        given = elsewhere.stripped(logged, origin.slot if origin else None)
        yield records.of_entry(given, computed)


def rename_addresses(data: bytes, names: Mapping[str, str]) -> bytes:
    """An exported process with some addresses replaced, so that its signatures do not verify.

    Args:
        names: address → its replacement, both of 43 characters.

    Raises:
        AoError: the data is no exported process.
    """
    if not data.startswith(_MAGICS):
        raise _no_export()
    pack = zlib.compressobj(6)
    parts = [data[: len(MAGIC)]]
    try:
        for line in _records_of(data):
            for old, new in names.items():
                line = line.replace(old.encode(), new.encode())
            parts.append(pack.compress(line + b"\n"))
    except ValueError as error:
        raise _damaged(error) from error
    parts.append(pack.flush())
    return b"".join(parts)


async def import_process(
    store: Store,
    adding: Adding,
    memories: Coming,
    work: LongWork,
    data: bytes,
    node: str,
    name: str = "",
    *,
    unique: bool = False,
) -> ProcessRow:
    """Add a process that `export_process` wrote.

    It goes on trusting its old node: if that node owned the messages pushed to it, its definition
    names that node, whose address stays the owner.

    Args:
        memories: takes the memory of a fork.
        node: address of this node.
        name: name for the process; "" keeps its own.
        unique: refuse a name that another process has.

    Raises:
        AoError: the data is no export, or is damaged, or the process or its name is here already.
    """
    if not data.startswith(_MAGICS):
        raise _no_export()
    try:
        with work.seen("import", size(len(data))) as seen:
            row, modules, entries, origin, elsewhere = await run_in_thread(
                partial(_read, data, memories), seen
            )
        facts = records.read_elsewhere(store, elsewhere)
    except DAMAGED as error:
        raise _damaged(error) from error
    adding.check_new(row.id)
    authority = row.authority or fixed_authority(AUTO, node, load_wire(entries[0][0].body)[TAGS:])
    row = row._replace(name=name or row.name, authority="" if authority == node else authority)
    if unique and row.name and store.processes_named(row.name):
        raise AoError(
            f"a process called {row.name} is on this node already",
            stage="import",
            hint=".import FILE as NAME gives this one another name",
        )
    kinds = {module_id: kind for module_id, kind, _content in modules}
    for needed in (row.environment, row.module):
        if needed not in kinds and (kind := store.module_kind(needed)):
            kinds[needed] = kind
        if needed not in kinds:
            raise AoError(f"module {needed} is missing in the exported process", stage="import")
    if kinds[row.environment] != "environment":  # a worker would read it as an environment
        raise _damaged(ValueError("its environment is a module of another kind"))
    brought = [(*module, row.created) for module in modules]
    return await adding.add(row, entries, origin, brought, facts)


_MAGICS = (MAGIC, FORKED)
_Entries = list[tuple[Logged, Computed | None]]


def _read(
    data: bytes, memories: Coming, progress: Progress
) -> tuple[ProcessRow, list[tuple[str, str, bytes]], _Entries, Origin | None, list[str]]:
    """Process, modules, log, origin, ids of other forks.

    Each record is dropped once it is read: they may be large.
    """
    row, modules, entries = None, list[tuple[str, str, bytes]](), _Entries()
    elsewhere: list[str] = []
    origin: Origin | None = None
    kept = set[str]()
    for line in _records_of(data):
        record = jsontext.parse(line, largest=LONGEST)
        line = b""  # free it: it may be large
        if "origin" in record:
            demand(row is None and origin is None, "it has two origins")
            origin = records.read_origin(record["origin"])
        elif row is None:
            row = records.read_process(record["process"])
        elif "memory" in record:
            kept.add(records.read_memory(memories, *record["memory"]))
        elif "elsewhere" in record:
            elsewhere = record["elsewhere"]
        elif "module" in record:
            modules.append(records.read_module(*record["module"]))
        elif "message" in record:
            entries.append(records.read_entry(record))
            progress(len(entries))
    if row is None:
        raise ValueError("there is nothing in it")
    demand((origin is None) == data.startswith(MAGIC), "it does not say where it was forked from")
    demand(
        not (origin and origin.memory) or origin.memory in kept, "the memory of a fork is missing"
    )
    _check(entries, origin)
    return row, modules, entries, origin, elsewhere


def _records_of(data: bytes) -> Iterator[bytes]:
    """The records of a file, each a line of JSON. Raises ValueError."""
    view = memoryview(data)[len(MAGIC) :]
    pieces = (bytes(view[at : at + PIECE]) for at in range(0, len(view), PIECE))
    most, taken = min(LARGEST, most_unpacked(len(view))), 0
    try:
        for line in zipped.unpacked_lines(pieces, most, LONGEST):
            taken += len(line) + RECORD
            demand(taken <= most, f"its records take more than {size(most)}")
            yield line
    except zipped.DamagedZipError as error:
        raise ValueError(f"its bytes {error}") from None


def _no_export() -> AoError:
    return AoError("this is no exported process", stage="import", hint="give a file of .export")


def _damaged(error: Exception) -> AoError:
    return AoError(
        f"the exported process is damaged: {error}",
        stage="import",
        hint="export it again; nothing was changed here",
    )


def _check(entries: _Entries, origin: Origin | None) -> None:
    places = records.Places(origin.memory_slot if origin else -1)
    for logged, computed in entries:
        places.follow(logged, computed)
    demand(bool(entries) and entries[0][0].tick == 0, "its log has no beginning")
    demand(origin is None or origin.slot < places.slots, "it was forked after its end")
