"""Converts rows of the database to records of a file, and back.

A record is a JSON object. A file is untrusted: the database gets only what this program could have
written.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from aoshell.bounded import jsontext
from aoshell.nodes.local.forked.memories import Coming, Memories
from aoshell.nodes.local.log import elsewhere, form
from aoshell.nodes.local.log.rows import (
    CHAINS,
    FORMS,
    STOPPED,
    Computed,
    Logged,
    Origin,
    ProcessRow,
)
from aoshell.nodes.local.log.schema import MEMORY_BEFORE_2
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes import cron
from aoshell.nodes.local.processes.modules import WASM_MAGIC
from aoshell.protocol.encoding import has_id_form
from aoshell.sandbox import environment
from aoshell.sandbox.frames import is_count, is_text

LONGEST = 192 << 20  # bytes of one record
LITTLE, RATIO = 128 << 20, 100  # a file may unpack to so many bytes, or times its size
OUTCOMES = ("ok", "error", *STOPPED)
KINDS = ("lua", "wasm", "environment")  # of modules

DAMAGED = (ValueError, KeyError, TypeError, IndexError, AttributeError)
"""The exceptions for a malformed record."""


def demand(condition: bool, what: str) -> None:
    """Raise ValueError unless a condition holds for a file that this program wrote."""
    if not condition:
        raise ValueError(what)


def most_unpacked(packed: int) -> int:
    """The most bytes to which `packed` bytes may unpack."""
    return max(LITTLE, RATIO * packed)


# Written ------------------------------------------------------------------------------------------


def without_defaults(row: ProcessRow | Logged) -> dict[str, Any]:
    """A row as a record. Keys that format 3 added are left out if they have their defaults:
    earlier versions refuse unknown keys."""
    defaults = row._field_defaults
    values: dict[str, Any] = row._asdict()
    return {
        key: value for key, value in values.items() if key not in defaults or value != defaults[key]
    }


def of_entry(logged: Logged, computed: Computed | None) -> dict[str, Any]:
    """A message and its result."""
    message = without_defaults(logged) | {"body": logged.body.decode("latin-1")}
    message["signed"] = text_of(logged.signed) if logged.signed else None
    if logged.assigned:
        message["assigned"] = text_of(logged.assigned)
    result = computed and computed._asdict() | {"body": computed.body.decode("latin-1")}
    return {"message": message, "result": result}


def of_origin(origin: Origin) -> dict[str, Any]:
    """The origin of a fork, as a record."""
    return {"origin": origin._asdict()}


def of_memory(memories: Memories, digest: str) -> dict[str, Any]:
    """A memory that forks begin with, as a record. Raises AoError if it is missing."""
    return {"memory": [digest, text_of(memories.packed(digest))]}


def text_of(data: bytes) -> str:
    """Bytes as text in a record."""
    return b64encode(data).decode()


# Read ---------------------------------------------------------------------------------------------


def bytes_of(text: str | None) -> bytes | None:
    """The inverse of `text_of`. Raises ValueError."""
    return None if text is None else b64decode(text, validate=True)


def read_process(record: dict[str, Any]) -> ProcessRow:
    """A process, checked. Raises one of `DAMAGED`."""
    row = ProcessRow(**{"memory": MEMORY_BEFORE_2} | record)
    check_process(row)
    return row._replace(cron=checked_cron(row.cron))


def check_process(row: ProcessRow) -> None:
    """Raise ValueError if a row cannot be that of a process."""
    demand(has_id_form(row.id), "the id of the process is invalid")  # it becomes the name of a file
    texts = (row.name, row.owner, row.module, row.environment, row.alias, row.authority)
    demand(all(type(text) is str and text.isprintable() for text in texts), "a name is not text")
    demand(is_count(row.created), "the time of its creation is invalid")
    demand(is_count(row.memory) and row.memory > 0, "its memory limit is invalid")
    demand(row.chain in CHAINS and row.monitored in (0, 1), "its chain or monitor is unknown")


def read_origin(record: dict[str, Any]) -> Origin:
    """The origin of a fork, checked. Raises one of `DAMAGED`."""
    origin = Origin(**record)
    counts = (origin.process, origin.slot, origin.timestamp, origin.height)
    demand(
        all(map(is_count, (*counts, origin.epoch, origin.unsigned))),
        "a number of a fork is invalid",
    )
    texts = (origin.source, origin.chain, origin.vouched, origin.memory, origin.module)
    demand(all(type(text) is str for text in texts), "a text of a fork is invalid")
    demand(origin.source.isprintable() and origin.vouched.isprintable(), "its source is no URL")
    demand(type(origin.memory_slot) is int, "the slot of a memory is invalid")
    if origin.memory:
        demand(0 < origin.memory_slot <= origin.slot, "a fork's memory is after its end")
        demand(bool(origin.module), "a fork in Lua begins with a memory")
    else:
        demand(origin.memory_slot == -1, "a fork has the slot of a memory, but no memory")
    if origin.module:
        demand(type(jsontext.parse(origin.module)) is dict, "the module of a fork is invalid")
    return origin


def read_memory(memories: Memories | Coming, digest: str, content: str) -> str:
    """Store a memory of forks. Returns its SHA-256. Raises one of `DAMAGED`, AoError."""
    demand(type(digest) is str, "the SHA-256 of a memory is invalid")
    memories.put_packed(digest, b64decode(content, validate=True))
    return digest


def read_elsewhere(store: Store, record: list[str]) -> dict[str, int | str]:
    """The facts that a home stores about ids of deleted forks. Raises ValueError.

    Leaves out ids of processes that were made in that home: those are the live ones.
    """
    ids = all(type(one) is str and has_id_form(one) for one in record)
    demand(type(record) is list and ids, "an id of a fork is invalid")
    here = {row.id for row in map(store.process, record) if row and not store.origin(row.number)}
    return elsewhere.facts_of([one for one in record if one not in here])


def read_module(module_id: str, kind: str, content: str) -> tuple[str, str, bytes]:
    """Id, kind and bytes of a module whose id is its hash. Raises ValueError."""
    data = checked_module(kind, content)
    demand(environment.module_id(data) == module_id, "a module does not match its id")
    return module_id, kind, data


def checked_module(kind: str, content: str) -> bytes:
    """The bytes of a module of that kind. Raises ValueError."""
    data = b64decode(content, validate=True)
    demand(kind in KINDS, "a module is of an unknown kind")
    demand((kind == "wasm") == data.startswith(WASM_MAGIC), "a module is of another kind")
    if kind == "environment":
        environment.unpack(data)
    return data


def read_entry(record: dict[str, Any]) -> tuple[Logged, Computed | None]:
    """A message and its result, checked, except for the numbers of the database."""
    message, result = record["message"], record["result"]
    blobs = {key: bytes_of(message.get(key)) for key in ("signed", "assigned")}
    logged = Logged(**message | blobs | {"body": message["body"].encode("latin-1")})
    counts = (logged.slot, logged.tick, logged.ordinal, logged.timestamp, logged.height)
    demand(all(map(is_count, counts)), "a number of a message is invalid")
    demand(is_text(logged.id) and is_text(logged.chain), "an id or chain is not text")
    demand(is_text(logged.client) and logged.form in FORMS, "a message is of an unknown form")
    demand(bool(logged.assignment) == bool(logged.assigned), "an assignment has no id")
    demand(not logged.assignment or has_id_form(logged.assignment), "an assignment's id is invalid")
    check_message(logged.body)
    if result is None:
        return logged, None
    computed = Computed(**result | {"body": result["body"].encode("latin-1")})
    demand(computed.outcome in OUTCOMES, "an outcome is unknown")
    demand(type(computed.milliseconds) in (int, float), "a time is not a number")
    demand(0 <= computed.milliseconds < 1 << 63, "a time is negative or too large")
    numbers = (computed.memory, computed.gas, abs(computed.waits))
    demand(all(map(is_count, numbers)), "a result's number is invalid")
    form.check_result(computed.outcome != "ok", form.FlatResult.of(_wire(computed.body)))
    return logged, computed


def check_message(stored: bytes) -> None:
    """Raise ValueError if bytes are not a message in the form of the log."""
    body = _wire(stored)
    pairs = len(body) - form.TAGS
    demand(type(body) is list and all(map(is_text, body)), "a message is not a list of texts")
    demand(pairs >= 0 and pairs % 2 == 0, "a message is too short")


def _wire(body: bytes) -> form.Wire:
    """A list as `form.dump_wire` writes it, unchecked."""
    found: form.Wire = jsontext.parse(body.decode("latin-1"), largest=LONGEST)
    return found


def checked_cron(text: str) -> str:
    """The schedules of a cron in the node's form, checked, as the node does not check its own."""
    found, items = jsontext.parse(text), []
    demand(type(found) is list, "its cron is not a list")
    for every, due, tags in found:
        demand(is_count(every) and is_count(due), "a time of its cron is invalid")
        demand(cron.MINIMUM <= every <= cron.MAXIMUM, "an interval of its cron is out of range")
        demand(type(tags) is list and len(tags) % 2 == 0, "cron tags are not pairs")
        demand(all(map(is_text, tags)), "a cron tag is not text")
        items.append(cron.Schedule(every, due, tuple(tags)))
    return cron.dump_schedules(items)


class Places:
    """Checks the places of one log: no slot is missing, and messages with results come first.

    Attributes:
        begin: the slot of a fork's memory, which may directly follow slot 0; -1 for none.
    """

    def __init__(self, begin: int = -1) -> None:
        self.begin = begin
        self._slot, self._tick, self._computed_all = -1, 0, True

    @property
    def slots(self) -> int:
        """How many slots there were."""
        return self._slot + 1

    def follow(self, logged: Logged, computed: Computed | None) -> None:
        """Raise ValueError if a message is not the next one."""
        here = (logged.slot, logged.tick)
        following = [(self._slot + 1, 0), (max(self._slot, 0), self._tick + 1)]
        if self.begin > 0 and (self._slot, self._tick) == (0, 0):
            following = [(self.begin, 0)]
        demand(here in following, f"slot {self._slot + 1} is missing")
        demand(computed is None or self._computed_all, f"a slot before {logged.slot} has no result")
        self._slot, self._tick = here
        self._computed_all = computed is not None
