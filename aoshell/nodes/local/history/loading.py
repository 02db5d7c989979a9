"""Loads a dumped node into a home: `aoshell load`, `--state`.

All of it is one transaction, which is committed only if the last hash of the file is right.
Messages get the next numbers of the home, in their old order. Processes that trusted the dumped
node go on trusting its address: only they have it as their `authority`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.local.clock.ticking import AHEAD, FARTHEST, NodeClock
from aoshell.nodes.local.delivery.intake import WALLETS
from aoshell.nodes.local.delivery.keeping import PAUSED
from aoshell.nodes.local.forked.memories import Memories
from aoshell.nodes.local.forked.origins import sweep_memories
from aoshell.nodes.local.history import parts, records
from aoshell.nodes.local.history.longwork import Progress
from aoshell.nodes.local.history.records import DAMAGED, Places, demand
from aoshell.nodes.local.log.rows import (
    FETCHING,
    QUEUED,
    TRANSACTION,
    Batch,
    Kept,
    Logged,
    Origin,
    ProcessRow,
    Upload,
)
from aoshell.nodes.local.log.signed import load_upload
from aoshell.nodes.local.log.spans import find_upload
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes import cron
from aoshell.nodes.local.processes.marks import marks_key
from aoshell.nodes.local.processes.modules import ENVIRONMENT
from aoshell.nodes.local.processes.peek import fork_point
from aoshell.nodes.transaction import Transaction
from aoshell.nodes.values import ForkPoint
from aoshell.protocol.encoding import b64url, has_id_form, unb64url
from aoshell.protocol.wallet import address_of
from aoshell.sandbox.frames import is_count, is_text

ROWS, ROOM = 500, 8 << 20  # rows, or bytes of them, that are written at a time
HIGHEST = 1 << 48  # the highest number of a message or process in a file
NAMED = 6  # collisions that an error lists

# Records by their kinds, in the order in which they come; those of the log come mixed.
_ORDER = {"state": 0, "module": 1, "name": 2, "process": 3, "origin": 4, "memory": 5, "marks": 6}
_ORDER["elsewhere"] = 7
_LOG = {"message": 8, "upload": 8, "kept": 8}
_HEADER = {
    *("aoshell", "node", "time", "ahead", "wallets", "paused"),
    *("processes", "modules", "messages", "uploads"),
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded.

    Attributes:
        node: address of the dumped node, "" if it had none.
        waits: number of messages without a result; opening the node computes them.
        ahead: milliseconds by which the dumped node's clock was set forward.
        clock_taken: whether the home's clock was set forward by as much.
        forks: forks of live processes: (name or id, fork point).
    """

    processes: int
    modules: int
    messages: int
    uploads: int
    node: str
    waits: int
    ahead: int
    clock_taken: bool
    forks: tuple[tuple[str, ForkPoint], ...]


def load_node(store: Store, pieces: Iterable[bytes], progress: Progress) -> Loaded:
    """Load a dump, completely or not at all.

    Args:
        progress: called with the number of messages read so far.

    Raises:
        AoError: stage "state", it is no dump, it is damaged, or some of it is here already; stage
            "store", it cannot be written.
    """
    try:
        with _swept(store), store.together() as write:
            return _Loading(store, write, progress).load(parts.read_parts(pieces))
    except parts.NoStateError as error:
        raise AoError(
            f"the file {error}", stage="state", hint="give a file of aoshell dump"
        ) from None
    except DAMAGED as error:
        raise AoError(
            f"the dump is damaged: {error}",
            stage="state",
            hint="dump again; nothing was changed here",
        ) from error


@contextmanager
def _swept(store: Store) -> Iterator[None]:
    """If the block fails, remove the memories that it has stored."""
    try:
        yield
    except BaseException:
        sweep_memories(store)
        raise


class _Loading:
    def __init__(self, store: Store, write: Callable[[Batch], None], progress: Progress) -> None:
        self._store = store
        self._write = write
        self._progress = progress
        self._base, self._base_process = store.last_numbers()
        self._home_is_new = not self._base and not store.processes()
        key = store.meta("node_public_key")
        self._own = address_of(key) if key else ""
        self._readers: dict[str, Callable[[Any], None]] = {
            "state": self._state,
            "module": self._module,
            "name": self._name,
            "process": self._process,
            "origin": self._origin,
            "memory": self._memory,
            "marks": self._mark,
            "elsewhere": self._elsewhere,
            "upload": self._upload,
            "kept": self._keep,
        }
        self._header: dict[str, Any] = {}
        self._shift = 0  # milliseconds from the dump's time to the home's
        self._kinds: dict[str, str] = {}  # of the modules in the file, by id
        self._processes: dict[int, Places] = {}  # ends of logs, by the number in the file
        self._ids: dict[str, Places] = {}
        self._names: dict[int, str] = {}  # of processes, or their ids
        self._origins: dict[int, Origin] = {}
        self._memories: set[str] = set()
        self._marks: dict[str, dict[str, int]] = {}
        self._taken: list[str] = []  # what is here already
        self._pending: set[int] = set()  # messages without a result
        self._last = 0  # number of the last message or upload
        self._sender = 0  # of the last message, where it may have kept ones
        self._messages = self._uploads = 0
        self._batch, self._rows, self._size = Batch(), 0, 0

    def load(self, found: Iterable[dict[str, Any]]) -> Loaded:
        phase = -1
        for record in found:
            kind = next(iter(record))
            at = _LOG[kind] if kind in _LOG else _ORDER[kind]
            demand(at >= phase and (at == 0) == (phase < 0), "its records are out of order")
            if phase < at == _LOG["message"]:
                self._refuse_taken()
            phase = at
            if kind == "message":
                self._message(record)
            else:
                demand(len(record) == 1, "a record has too many members")
                self._readers[kind](record[kind])
            if self._rows >= ROWS or self._size >= ROOM:
                self._flush()
        demand(phase >= 0, "there is nothing in it")
        self._refuse_taken()
        return self._end()

    # Records --------------------------------------------------------------------------------------

    def _state(self, header: dict[str, Any]) -> None:
        demand(set(header) == _HEADER, "its first record has other members")
        numbers = ("time", "ahead", "processes", "modules", "messages", "uploads")
        demand(all(is_count(header[name]) for name in numbers), "a number of its header is invalid")
        demand(header["ahead"] <= FARTHEST, "its clock is too far ahead")
        demand(header["node"] == "" or has_id_form(header["node"]), "its node has no address")
        for name in ("wallets", "paused"):
            demand(type(header[name]) is list, f"its {name} are not a list")
            fits = all(type(one) is str and has_id_form(one) for one in header[name])
            demand(fits, f"one of its {name} is not an address")
        demand(type(header["aoshell"]) is str, "it does not say who wrote it")
        self._header = header
        clock = NodeClock(self._store)
        if self._home_is_new:
            clock.ahead = header["ahead"]
        self._shift = clock() - header["time"]

    def _module(self, record: list[Any]) -> None:
        module_id, kind, content, created = record
        demand(is_count(created) and module_id not in self._kinds, "a module comes twice")
        found = records.read_module(module_id, kind, content)
        self._kinds[module_id] = kind
        self._batch.modules.append((*found, created))
        self._count(len(found[2]))

    def _name(self, record: list[Any]) -> None:
        name, module_id = record
        demand(type(name) is str and module_id in self._kinds, "a name has no module")
        if name == ENVIRONMENT:  # this program's own, which the node publishes
            return
        here = self._store.module_named(name)
        if here not in (None, module_id):
            self._taken.append(f"another module called {name}")
        self._batch.names.append((name, module_id))
        self._count(0)

    def _process(self, record: dict[str, Any]) -> None:
        row = records.read_process(record)
        last = max(self._processes, default=0)
        demand(is_count(row.number) and last < row.number <= HIGHEST, "processes are out of order")
        demand(row.id not in self._ids, "a process comes twice")
        for needed in (row.environment, row.module):
            demand(needed in self._kinds, f"module {needed} of a process is missing")
        demand(self._kinds[row.environment] == "environment", "a module is not an environment")
        if self._store.process(row.id) is not None:
            self._taken.append(
                f"process {row.name} ({row.id})" if row.name else f"process {row.id}"
            )
        elif row.name and self._store.processes_named(row.name):
            self._taken.append(f"a process called {row.name}")
        self._processes[row.number] = self._ids[row.id] = Places()
        self._names[row.number] = row.name or row.id
        self._batch.processes.append(self._at_home(row))
        self._count(0)

    def _origin(self, record: dict[str, Any]) -> None:
        origin = records.read_origin(record)
        demand(origin.process in self._processes, "the process of a fork is missing")
        demand(origin.process not in self._origins, "a fork has two origins")
        self._origins[origin.process] = origin
        if origin.memory:
            self._processes[origin.process].begin = origin.memory_slot
        self._batch.origins.append(origin._replace(process=self._base_process + origin.process))
        self._count(len(origin.module))

    def _memory(self, record: list[str]) -> None:
        # Written before the transaction commits: a file that no fork needs does no harm.
        digest, content = record
        memories = Memories(self._store.folder)
        self._memories.add(records.read_memory(memories, digest, content))

    def _at_home(self, row: ProcessRow) -> ProcessRow:
        """A process for this node: it trusts the same address, and its cron goes on from now."""
        due = [
            cron.Schedule(item.interval, max(0, item.due + self._shift), item.tags)
            for item in cron.load_schedules(row.cron)
        ]
        demand(all(is_count(item.due) for item in due), "a time of its cron is invalid")
        node = self._header["node"]
        return row._replace(
            number=self._base_process + row.number,
            cron=cron.dump_schedules(due),
            authority=row.authority or (node if node != self._own else ""),
        )

    def _mark(self, record: list[Any]) -> None:
        process_id, names = record
        demand(process_id in self._ids and process_id not in self._marks, "marks have no process")
        texts = all(type(name) is str and is_count(slot) for name, slot in names.items())
        demand(texts, "a mark is invalid")
        self._marks[process_id] = names

    def _elsewhere(self, record: list[str]) -> None:
        self._batch.facts |= records.read_elsewhere(self._store, record)

    def _upload(self, record: dict[str, Any]) -> None:
        upload = Upload(**record | {"signed": records.bytes_of(record["signed"])})
        self._number(upload.seq)
        self._sender = 0
        demand(is_count(upload.timestamp) and is_text(upload.client), "an upload is invalid")
        demand(upload.form in ("", TRANSACTION), "an upload is of an unknown form")
        demand(has_id_form(upload.id) and _id_of(upload) == upload.id, "an upload has another id")
        self._uploads += 1
        if find_upload(self._store, upload.id) is None:
            self._batch.uploads.append(upload._replace(seq=self._base + upload.seq))
        self._count(len(upload.signed))

    def _message(self, record: dict[str, Any]) -> None:
        demand(len(record) == 2, "a message has no result, or more than one")
        logged, computed = records.read_entry(record)
        self._number(logged.seq)
        places = self._processes[logged.process]
        demand(places.slots > 0 or logged.tick == 0, "a log has no beginning")
        places.follow(logged, computed)
        self._check_cause(logged)
        self._sender = logged.seq if computed is not None else 0
        self._messages += 1
        self._progress(self._messages)
        base = self._base
        self._batch.log.append(
            logged._replace(
                seq=base + logged.seq,
                process=self._base_process + logged.process,
                cause=None if logged.cause is None else base + logged.cause,
                root=base + logged.root,
            )
        )
        if computed is None:
            self._pending.add(logged.seq)
        else:
            self._batch.results.append(computed._replace(seq=base + logged.seq))
            self._size += len(computed.body)
        self._count(len(logged.body) + len(logged.signed or b""))

    def _check_cause(self, logged: Logged) -> None:
        demand(has_id_form(logged.chain), "a link of a chain is invalid")
        demand(is_count(logged.root) and 0 < logged.root <= logged.seq, "a root is invalid")
        if logged.cause is None:
            demand(logged.idx is None and logged.root == logged.seq, "a message has no cause")
            return
        demand(is_count(logged.cause) and is_count(logged.idx), "a cause is invalid")
        demand(0 < logged.cause < logged.seq, "a cause is not before its message")
        demand(logged.cause not in self._pending, "a message without a result sent another")

    def _keep(self, record: dict[str, Any]) -> None:
        kept = Kept(**record | {"body": record["body"].encode("latin-1")})
        demand(0 < kept.cause == self._sender and is_count(kept.idx), "a kept message has no cause")
        demand(type(kept.held) is int and 0 <= kept.held <= QUEUED, "a kept message has no state")
        demand(type(kept.reason) is str, "a message is kept without a reason")
        demand(is_text(kept.target) and is_text(kept.id), "a kept message is invalid")
        records.check_message(kept.body)
        self._batch.kept.append(kept._replace(cause=self._base + kept.cause))
        self._count(len(kept.body))

    def _number(self, number: int) -> None:
        demand(is_count(number) and self._last < number <= HIGHEST, "messages are out of order")
        self._last = number

    # Writing --------------------------------------------------------------------------------------

    def _count(self, size: int) -> None:
        self._rows += 1
        self._size += size

    def _flush(self) -> None:
        self._write(self._batch)
        self._batch, self._rows, self._size = Batch(), 0, 0

    def _refuse_taken(self) -> None:
        """Raise AoError if something of the file is here already."""
        if not self._taken:
            return
        named = ", ".join(self._taken[:NAMED])
        more = len(self._taken) - NAMED
        raise AoError(
            f"this home has already {named}{f' and {more} more' if more > 0 else ''}",
            stage="state",
            hint="load it into a home of its own (AOSHELL_HOME=DIR), or try it with --state FILE",
        )

    def _end(self) -> Loaded:
        """Check the dump as a whole, and write facts about it."""
        header, store = self._header, self._store
        counts = (len(self._processes), len(self._kinds), self._messages, self._uploads)
        promised = tuple(header[name] for name in ("processes", "modules", "messages", "uploads"))
        demand(counts == promised, "it does not have as many records as its header says")
        demand(all(places.slots for places in self._processes.values()), "a log is missing")
        ends = ((self._processes[one].slots, at.slot) for one, at in self._origins.items())
        demand(all(slot < slots for slots, slot in ends), "a fork begins after its end")
        needed = {at.memory for at in self._origins.values() if at.memory}
        demand(needed <= self._memories, "the memory of a fork is missing")
        demand(all(one in self._ids for one in header["paused"]), "a paused queue has no process")
        for process_id, names in self._marks.items():
            slots = self._ids[process_id].slots
            demand(all(slot < slots for slot in names.values()), "a mark has no slot")
            self._batch.facts[marks_key(process_id)] = json.dumps(names)
        for key, more in ((WALLETS, header["wallets"]), (PAUSED, header["paused"])):
            known = set(json.loads(store.meta(key) or "[]"))
            self._batch.facts[key] = json.dumps(sorted(known.union(more)))
        if self._home_is_new:
            self._batch.facts[AHEAD] = header["ahead"]
            first = min(self._pending, default=self._last + 1)
            self._batch.computed_to = first - 1
        self._flush()
        demand(not self._is_sent_twice(), "a message was both sent and kept")
        return Loaded(
            *counts,
            node=header["node"],
            waits=len(self._pending),
            ahead=header["ahead"],
            clock_taken=self._home_is_new,
            forks=tuple((self._names[one], fork_point(at)) for one, at in self._origins.items()),
        )

    def _is_sent_twice(self) -> bool:
        """Whether a kept message, once released, would get the place of another message.

        A spawn takes two places: one for the definition, one for the answer to the sender.
        """
        found = self._store.select_one(
            "SELECT 1 FROM kept k JOIN log l ON l.cause = k.cause "
            "AND l.idx IN (k.idx, k.idx + (k.held = ?)) WHERE k.cause > ? LIMIT 1",
            FETCHING,
            self._base,
        )
        return found is not None


def _id_of(upload: Upload) -> str:
    """The id that follows from an upload's signature. Raises ValueError if it is no upload."""
    try:
        item = load_upload(upload)
    except AoError as error:  # of the stage "parse"
        raise ValueError(f"an upload is invalid: {error.what}") from error
    if isinstance(item, Transaction):
        return b64url(hashlib.sha256(unb64url(item.header["signature"])).digest())
    return item.id
