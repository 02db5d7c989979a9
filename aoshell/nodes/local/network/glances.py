"""See `nodes.glances.Glances`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aoshell.errors import UsageError
from aoshell.nodes.glances import HopPage, Overview, Progress, Use
from aoshell.nodes.local.engine import Engine
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.spans import logged_in, newest_processes, used_in
from aoshell.nodes.local.network.shapes import texts_of, with_texts
from aoshell.nodes.local.tracing import trace
from aoshell.nodes.served import EntryPage, Span
from aoshell.nodes.values import LogEntry, Place


class LocalGlances:
    """`Glances` of a node in this process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def overview(self, most: int) -> Overview:
        engine = self._engine
        engine.flush()
        rows, total = newest_processes(engine.store, most)
        found = []
        for row in rows:
            head = engine.scheduler.head(row.number)
            last = engine.tallies.place(row.number)
            place = Place(head.slot, head.tick)
            found.append(Progress(row.id, row.name, head.slot + 1, place, last))
        return Overview(engine.store.cuts, total, tuple(found))

    async def entries(self, process: str, span: Span, limit: int, largest: int) -> EntryPage:
        row = self._engine.processes.look_up(process)
        self._engine.flush()
        entries: list[LogEntry] = []
        size = 0
        for logged, computed in logged_in(self._engine.store, row.number, span, limit + 1):
            if len(entries) == limit or size > largest:
                return EntryPage(tuple(entries), True)
            size += len(logged.body) + (len(computed.body) if computed else 0)
            entries.append(self._given(form.load_entry(row.id, logged, computed)))
        return EntryPage(tuple(entries), False)

    def _given(self, entry: LogEntry) -> LogEntry:
        """A message with its result; a sentence replaces data that contains an item for a fork."""
        origins, elsewhere = self._engine.origins, self._engine.origins.elsewhere
        if not elsewhere:
            return entry
        message, result = entry.message, entry.result

        def given(data: bytes) -> bytes:
            own = elsewhere.within(data)
            return origins.withheld(message.id, own).what.encode() if own else data

        if result is not None:
            result = with_texts(result, map(given, texts_of(result)))
        return LogEntry(replace(message, data=given(message.data)), result)

    async def use(self, process: str, slots: int, parts: int) -> Sequence[Use]:
        row = self._engine.processes.look_up(process)
        self._engine.flush()
        last = self._engine.scheduler.head(row.number).slot
        return used_in(self._engine.store, row.number, max(0, last - slots + 1), last, parts)

    async def trace(self, process: str, place: Place, limit: int, largest: int) -> HopPage:
        row = self._engine.processes.look_up(process)
        self._engine.flush()
        found = self._engine.store.at_slot(row.number, *place)
        if found is None:
            raise UsageError(f"process {row.id} has no message at {place.slot}.{place.tick}")
        return trace(self._engine, found[0].root, limit, largest)
