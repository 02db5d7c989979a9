"""A process as a file: `.export` and `.import`.

JSON lines, compressed: a header, the modules, then the log with its results. Ids and contents do
not change. What belongs to other processes is left out: who caused a message, what was not
delivered. An import refuses a small file that unpacks to very much, so a log that compresses that
well gets a filler as its last record, which an import skips.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import shake_256
from typing import Any

from aoshell.bounded import jsontext, zipped
from aoshell.bounded.sizes import size
from aoshell.errors import AoError
from aoshell.nodes.local import cron
from aoshell.nodes.local.history.adding import Adding
from aoshell.nodes.local.history.longwork import LongWork, Progress, run_in_thread
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.rows import CHAINS, FORMS, STOPPED, Computed, Logged, ProcessRow
from aoshell.nodes.local.log.schema import MEMORY_BEFORE_2
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.modules import WASM_MAGIC
from aoshell.protocol.encoding import has_id_form
from aoshell.sandbox import environment
from aoshell.sandbox.frames import is_count, is_text

MAGIC = b"aoshell process 1\n"
OUTCOMES = ("ok", "error", *STOPPED)

LARGEST = 1 << 30  # bytes of all records of a file, `RECORD` more for each
LITTLE, RATIO = 128 << 20, 100  # what a small file may unpack to: bytes, or times its size
LONGEST = 192 << 20  # bytes of one record
RECORD = 1 << 10  # bytes that a record takes in memory besides its own
PIECE = 1 << 20  # bytes that are unpacked at a time


def export_process(store: Store, row: ProcessRow, progress: Progress) -> Iterator[bytes]:
    """The parts of a file with a process, its modules, its log and its results.

    Raises:
        AoError: stage "export", it would be too large to import.
    """
    pack = zlib.compressobj(6)
    yield MAGIC
    taken = packed = 0
    for record in _records(store, row, progress):
        line = _line(record)
        taken += len(line) + RECORD
        if len(line) > LONGEST or taken > LARGEST:
            raise _too_large(row, taken)
        part = pack.compress(line)
        packed += len(part)
        yield part
    end = pack.flush(zlib.Z_SYNC_FLUSH)
    yield end
    if taken > LITTLE and (lacks := taken // (RATIO - 2) - packed - len(end)) > 0:
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


def _records(store: Store, row: ProcessRow, progress: Progress) -> Iterator[dict[str, Any]]:
    yield {"process": _without_defaults(row)}
    for module_id in dict.fromkeys([row.environment, row.module]):
        found = store.module(module_id)
        if found is not None:
            yield {"module": [module_id, found[0], b64encode(found[1]).decode()]}
    for number, (logged, computed) in enumerate(store.entries(row.number)):
        progress(number)
        message = _without_defaults(logged) | {"body": logged.body.decode("latin-1")}
        message["signed"] = b64encode(logged.signed).decode() if logged.signed else None
        if logged.assigned:
            message["assigned"] = b64encode(logged.assigned).decode()
        yield {"message": message, "result": _result(computed)}


def _without_defaults(row: ProcessRow | Logged) -> dict[str, Any]:
    """A row as a record. What format 3 added is there only where it says something: earlier
    versions refuse a key that they do not know."""
    defaults = row._field_defaults
    values: dict[str, Any] = row._asdict()
    return {
        key: value for key, value in values.items() if key not in defaults or value != defaults[key]
    }


def _result(computed: Computed | None) -> dict[str, Any] | None:
    return computed and computed._asdict() | {"body": computed.body.decode("latin-1")}


def rename_addresses(data: bytes, names: Mapping[str, str]) -> bytes:
    """An exported process with some addresses replaced, so that its signatures do not verify.

    Args:
        names: address → its replacement, both of 43 characters.

    Raises:
        AoError: the data is no exported process.
    """
    if not data.startswith(MAGIC):
        raise _no_export()
    pack = zlib.compressobj(6)
    parts = [MAGIC]
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
    work: LongWork,
    data: bytes,
    name: str = "",
    *,
    unique: bool = False,
) -> ProcessRow:
    """Add the process that `export_process` wrote.

    Args:
        name: that the process gets; "" keeps its own.
        unique: refuse a name that another process has.

    Raises:
        AoError: the data is no export, it is damaged, or the process or its name is here already.
    """
    if not data.startswith(MAGIC):
        raise _no_export()
    try:
        with work.seen("import", size(len(data))) as seen:
            row, modules, entries = await run_in_thread(partial(_read, data), seen)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise _damaged(error) from error
    adding.check_new(row.id)
    row = row._replace(name=name or row.name)
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
    if kinds[row.environment] != "environment":  # a worker would take its text for an archive
        raise _damaged(ValueError("its environment is a module of another kind"))
    for module_id, kind, content in modules:
        store.add_module(module_id, kind, content, "", row.created)
    return await adding.add(row, entries)


_Entries = list[tuple[Logged, Computed | None]]


def _read(
    data: bytes, progress: Progress
) -> tuple[ProcessRow, list[tuple[str, str, bytes]], _Entries]:
    """Process, modules and log. Each record is dropped once it is read: they may be large."""
    row, modules, entries = None, list[tuple[str, str, bytes]](), _Entries()
    for line in _records_of(data):
        record = jsontext.parse(line, largest=LONGEST)
        line = b""  # it may be large, and is not needed any more
        if row is None:
            row = ProcessRow(**{"memory": MEMORY_BEFORE_2} | record["process"])
        elif "module" in record:
            modules.append(_module(*record["module"]))
        elif "message" in record:
            entries.append(_entry(record))
            progress(len(entries))
    if row is None:
        raise ValueError("there is nothing in it")
    _check(row, entries)
    return row._replace(cron=_cron(row.cron)), modules, entries


def _records_of(data: bytes) -> Iterator[bytes]:
    """The records of a file, each a line of JSON. Raises ValueError."""
    view = memoryview(data)[len(MAGIC) :]
    pieces = (bytes(view[at : at + PIECE]) for at in range(0, len(view), PIECE))
    most, taken = min(LARGEST, max(LITTLE, RATIO * len(view))), 0
    try:
        for line in zipped.unpacked_lines(pieces, most, LONGEST):
            taken += len(line) + RECORD
            _demand(taken <= most, f"its records take more than {size(most)}")
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


# A file may come from anybody: the database gets only what `export_process` could have written.


def _demand(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _module(module_id: str, kind: str, content: str) -> tuple[str, str, bytes]:
    data = b64decode(content, validate=True)
    _demand(environment.module_id(data) == module_id, "a module is not what its id says")
    _demand(kind in ("lua", "wasm", "environment"), "a module is of an unknown kind")
    _demand((kind == "wasm") == data.startswith(WASM_MAGIC), "a module is of another kind")
    if kind == "environment":
        environment.unpack(data)
    return module_id, kind, data


def _entry(record: dict[str, Any]) -> tuple[Logged, Computed | None]:
    message, result = record["message"], record["result"]
    blobs = {key: _bytes(message.get(key)) for key in ("signed", "assigned")}
    logged = Logged(**message | blobs | {"body": message["body"].encode("latin-1")})
    counts = (logged.slot, logged.tick, logged.ordinal, logged.timestamp, logged.height)
    _demand(all(map(is_count, counts)), "a number of a message is none")
    _demand(is_text(logged.id) and is_text(logged.chain), "an id or chain is no text")
    _demand(is_text(logged.client) and logged.form in FORMS, "a message is of an unknown form")
    _demand(bool(logged.assignment) == bool(logged.assigned), "an assignment has no id")
    _demand(not logged.assignment or has_id_form(logged.assignment), "an assignment's id is none")
    body = _wire(logged.body)
    pairs = len(body) - form.TAGS
    _demand(type(body) is list and all(map(is_text, body)), "a message is no list of texts")
    _demand(pairs >= 0 and pairs % 2 == 0, "a message is too short")
    if result is None:
        return logged, None
    computed = Computed(**result | {"body": result["body"].encode("latin-1")})
    _demand(computed.outcome in OUTCOMES, "an outcome is none")
    _demand(type(computed.milliseconds) in (int, float), "a time is no number")
    _demand(0 <= computed.milliseconds < 1 << 63, "a time is none that the database can hold")
    numbers = (computed.memory, computed.gas, abs(computed.waits))
    _demand(all(map(is_count, numbers)), "a result's number is none")
    result = form.FlatResult.of(_wire(computed.body))
    form.check_result(computed.outcome != "ok", result)
    return logged, computed


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text, validate=True)


def _wire(body: bytes) -> form.Wire:
    """A list as `form.dump_wire` writes it, unchecked."""
    found: form.Wire = jsontext.parse(body.decode("latin-1"), largest=LONGEST)
    return found


def _cron(text: str) -> str:
    """Checked schedules as the node writes them: it reads its own without a check."""
    found, items = jsontext.parse(text), []
    _demand(type(found) is list, "its cron is none")
    for every, due, tags in found:
        _demand(is_count(every) and is_count(due), "a time of its cron is none")
        _demand(cron.MINIMUM <= every <= cron.MAXIMUM, "an interval of its cron is none")
        _demand(type(tags) is list and len(tags) % 2 == 0, "a cron message has no tags")
        _demand(all(map(is_text, tags)), "a cron tag is no text")
        items.append(cron.Schedule(every, due, tuple(tags)))
    return cron.dump_schedules(items)


def _check(row: ProcessRow, entries: list[tuple[Logged, Computed | None]]) -> None:
    # The id becomes the name of a file.
    _demand(has_id_form(row.id), "the id of the process is none")
    texts = (row.name, row.owner, row.module, row.environment, row.alias, row.authority)
    _demand(all(type(text) is str and text.isprintable() for text in texts), "a name is no text")
    _demand(is_count(row.created), "the time of its creation is none")
    _demand(is_count(row.memory) and row.memory > 0, "its memory limit is none")
    _demand(row.chain in CHAINS and row.monitored in (0, 1), "it is of an unknown form")
    place, computed_all = (-1, 0), True
    for logged, computed in entries:
        here = (logged.slot, logged.tick)
        following = ((place[0] + 1, 0), (max(place[0], 0), place[1] + 1))
        _demand(here in following, f"slot {place[0] + 1} is missing")
        _demand(computed is None or computed_all, f"a slot before {logged.slot} has no result")
        place, computed_all = here, computed is not None
    _demand(bool(entries) and entries[0][0].tick == 0, "its log has no beginning")
