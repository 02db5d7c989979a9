"""Forks, undo, the past, snapshots, the clock, queues, stand-ins and traces.

With these the user changes logs. A process still sees only what messages could have caused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import partial

from aoshell.errors import AoError, UsageError
from aoshell.nodes.local.engine import Engine
from aoshell.nodes.local.history.longwork import Progress, run_in_thread
from aoshell.nodes.local.log import elsewhere, form
from aoshell.nodes.local.log.rows import OF_NODE, Batch, Computed, Logged, ProcessRow
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.replaying.replay import Replay
from aoshell.nodes.local.replaying.rerunning import rerun
from aoshell.nodes.local.tracing import trace
from aoshell.nodes.local.workers.jobs import make_message_frame
from aoshell.nodes.values import Hop, ProcessInfo, Receipt, Rerun, Undelivered
from aoshell.protocol.encoding import b64url, has_id_form
from aoshell.protocol.message import Message, Result, printable

HOPS = 2000  # messages that one trace shows
LARGEST_TRACE = 256 << 20  # bytes of these messages and their results
FOUND = 20  # the most messages that `find_messages` returns
SHORTEST = 6  # characters of an id that `find_messages` needs


class LocalWorkbench:
    """See `nodes.base.Workbench`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # Other times ------------------------------------------------------------------------------

    async def fork(self, process: str, slot: int | None, name: str) -> ProcessInfo:
        row = self._engine.processes.look_up(process)
        self._free(name)
        self._engine.flush()
        last = self._slot(row, slot)
        self._engine.origins.check_copied(row)
        twin = self._twin(row, last, name)

        def renamed(store: Store, progress: Progress) -> list[tuple[Logged, Computed | None]]:
            found: list[tuple[Logged, Computed | None]] = []
            for logged, computed in store.entries(row.number):
                if logged.slot > last:
                    break
                progress(len(found))
                found.append(_renamed(logged, computed, row.id, twin))
            return found

        with (
            self._engine.store.unchanging() as now,
            self._engine.work.seen("copy", row.name, last + 1) as seen,
        ):
            entries = await run_in_thread(partial(renamed, now), seen)
        # Its first messages keep their chain, but have no assignments: these name the original.
        made = row._replace(id=twin, name=printable(name), created=self._engine.clock(), chain="")
        origin = self._engine.origins.of(row.number)
        if origin is not None and last < origin.slot:
            origin = origin._replace(slot=last)
        return self._engine.describe(await self._engine.adding.add(made, entries, origin))

    def _twin(self, row: ProcessRow, slot: int, name: str) -> str:
        """A random id for a fork; on a node with a fixed clock and key, the same in each run."""
        if self._engine.fixed is None:
            return b64url(os.urandom(32))
        return b64url(hashlib.sha256(f"fork {row.id} {slot} {name}".encode()).digest())

    async def undo(self, process: str, slot: int) -> str:
        row = self._engine.processes.look_up(process)
        if slot < 1:
            raise UsageError("a process keeps its definition", hint=".delete forgets all of it")
        self._engine.origins.check_cut(row, slot)
        await self._engine.others.wait("undo", row)
        self._slot(row, slot)
        path = await self._engine.cutting.undo(row, slot)
        self._engine.events.deed(row, f"took back its slots from {slot} on (.undo)")
        return str(path)

    async def at(self, process: str, slot: int, message: Message) -> Result:
        row = self._engine.processes.look_up(process)
        self._engine.origins.check_computed_here(row, slot)
        await self._engine.settling.wait_for_result(row.number, self._slot(row, slot))
        engine = self._engine
        code = await engine.loader.make_code(row)
        base = engine.origins.base_of(row)
        replay = Replay(engine.supervisor, engine.modules, engine.limits, row, code, base)
        try:
            last: tuple[Logged, Computed] | None = None
            begin = base[1].slot if base else -1
            for logged, computed in self._engine.store.entries(row.number, (begin, -1)):
                if logged.slot > slot:
                    break
                if computed is None:
                    continue
                last = logged, computed
                if (logged.slot, logged.tick) > (begin, 0):
                    await replay.past(logged, computed)
            assert last is not None
            placed = last[0]._replace(tick=0, id="", signed=None)
            body = form.from_message(message)
            body[form.TARGET] = body[form.TARGET] or process
            outcome, cost, result = await replay.dry(
                make_message_frame(placed, body, read_only=True)
            )
        finally:
            replay.close()
        dried = Computed(placed.seq, outcome, *cost, 0, b"")
        return form.to_result(process, placed, dried, result, body)

    async def rerun(self, process: str, slot: int, code: bytes, last: int) -> Rerun:
        row = self._engine.processes.look_up(process)
        for one in (slot, last):
            self._slot(row, one)
        return await rerun(self._engine, row, slot, code, last)

    async def mark(self, process: str, name: str) -> int:
        row = self._engine.processes.look_up(process)
        self._engine.flush()
        slot = self._engine.scheduler.head(row.number).slot
        self._engine.marks.put(row.id, name, slot)
        return slot

    async def marks(self, process: str) -> Mapping[str, int]:
        row = self._engine.processes.look_up(process)
        last = self._engine.scheduler.head(row.number).slot
        # Older versions left the names of slots that were taken back.
        found = self._engine.marks.of(row.id)
        return {name: slot for name, slot in found.items() if slot <= last}

    async def warp(self, milliseconds: int) -> int:
        self._engine.clock.warp(milliseconds)
        self._engine.ticking.begin()
        return self._engine.clock.ahead

    async def tick(self, process: str) -> int:
        row = self._engine.processes.look_up(process)
        await self._engine.cutting.wait_until_free(row)
        return self._engine.ticking.tick(row)

    # Queues -----------------------------------------------------------------------------------

    async def pause(self, process: str, on: bool) -> None:
        row = self._engine.processes.look_up(process)
        await self._engine.cutting.wait_until_free(row)
        self._engine.keeping.pause(row, on)
        if not on:
            self._engine.keeping.release(self._engine.keeping.queued(row.id))

    async def queued(self, process: str) -> Sequence[Undelivered]:
        rows = self._engine.processes
        found = self._engine.keeping.queued(rows.look_up(process).id)
        return [
            form.to_undelivered(rows.get(sender).id, slot, kept) for sender, slot, kept in found
        ]

    async def step(self, process: str, index: int = 0) -> None:
        row = self._engine.processes.look_up(process)
        await self._engine.cutting.wait_until_free(row)
        queue = self._engine.keeping.queued(row.id)
        if not 0 <= index < len(queue):
            raise UsageError(
                f"{len(queue)} messages wait, and none is number {index + 1}"
                if queue
                else "nothing waits in its queue",
                hint=".queue lists what waits; in a test, p:queued()",
            )
        self._engine.keeping.release([queue[index]])

    # Others -----------------------------------------------------------------------------------

    async def mock(self, id: str, source: bytes, name: str) -> ProcessInfo:
        engine = self._engine
        if not has_id_form(id):
            raise UsageError(f"{id} is no address", hint="43 characters of A-Z a-z 0-9 - and _")
        if engine.processes.find(id) is not None:
            raise UsageError(
                f"{id} is a process of this node already", hint="at the prompt, .delete it first"
            )
        self._free(name)
        module = engine.modules.check(source, "")
        engine.modules.keep(module)
        tags = ["Data-Protocol", "ao", "Type", "Process", "Module", module.id, "Name", name]
        tags += ["Authority", engine.address, elsewhere.MOCK, "true"]
        row = engine.processes.create(id, module.id, owner=engine.address, tags=tags, name=name)
        body = [id, engine.address, engine.address, id, "", "", "", *tags]
        logged = engine.scheduler.assign(row.number, id, form.dump_wire(body))
        engine.admit(Batch(processes=[row], log=[logged]), [(logged, body)])
        await engine.settling.wait_for_result(row.number, 0)
        return self._engine.describe(row)

    async def trace(self, message: str, process: str = "") -> Sequence[Hop]:
        engine = self._engine
        engine.flush()
        own = engine.processes.find(process) if process else None
        found = engine.store.by_id(message, own.number if own else 0)
        if found is None:
            raise AoError(
                f"no message {message} is on this node", stage="trace", hint=".messages lists ids"
            )
        return list(trace(engine, found.root, HOPS, LARGEST_TRACE).hops)

    # ------------------------------------------------------------------------------------------

    async def find_messages(self, begin: str) -> Sequence[Receipt]:
        engine = self._engine
        engine.flush()
        if len(begin) < SHORTEST:
            return ()
        found = engine.store.find_messages(begin, FOUND)
        return [Receipt(id, process, slot) for id, process, slot in found]

    def _free(self, name: str) -> None:
        """Raise UsageError if a process has that name already."""
        if self._engine.store.processes_named(name):
            raise UsageError(f"{name} exists already", hint="choose a new name")

    def _slot(self, row: ProcessRow, slot: int | None) -> int:
        last = self._engine.scheduler.head(row.number).slot
        if slot is None:
            return last
        if not 0 <= slot <= last:
            raise UsageError(
                f"{row.name or row.id} has no slot {slot}", hint=f"it has slots 0 to {last}"
            )
        return slot


def _renamed(
    logged: Logged, computed: Computed | None, old: str, new: str
) -> tuple[Logged, Computed | None]:
    """A message and its result with another process id, and so without a signature."""

    def named(text: bytes) -> bytes:
        for before, after in ((old, new), (_short(old), _short(new))):
            text = text.replace(before.encode(), after.encode())
        return text

    request = logged.signed if logged.form == OF_NODE else None  # scripts get no item
    message = logged._replace(
        id=logged.id.replace(old, new),
        body=named(logged.body),
        signed=request and named(request),
        assignment="",
        assigned=None,
    )
    if computed is None:
        return message, None
    return message, computed._replace(body=named(computed.body))


def _short(id: str) -> str:
    """How the default handler of aos shows who has sent a message."""
    return f"{id[:3]}...{id[-3:]}"
