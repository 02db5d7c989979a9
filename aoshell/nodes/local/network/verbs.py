"""See `nodes.network_verbs.NetworkVerbs`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from aoshell.nodes.httpitem import HttpItem
from aoshell.nodes.local.delivery.push import owned
from aoshell.nodes.local.engine import Engine
from aoshell.nodes.local.forked.withheld import Elsewhere
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.form import Wire
from aoshell.nodes.local.log.rows import (
    TRANSACTION,
    Arrival,
    Batch,
    Logged,
    ProcessRow,
    Upload,
)
from aoshell.nodes.local.log.scheduler import block_height
from aoshell.nodes.local.log.spans import (
    computed_in,
    find_message,
    find_scheduled,
    find_upload,
    scheduled_in,
    taken_behind,
)
from aoshell.nodes.local.network.glances import LocalGlances
from aoshell.nodes.local.network.shapes import (
    Original,
    data_of,
    excluded,
    scheduled_of,
    stored_of,
    texts_of,
)
from aoshell.nodes.local.network.states import States
from aoshell.nodes.local.processes.aliases import BUILT_IN, TAGS
from aoshell.nodes.local.processes.authority import AUTO, fixed_authority
from aoshell.nodes.local.processes.peek import fork_point
from aoshell.nodes.served import (
    EntryPage,
    NetworkModule,
    Scheduled,
    SchedulePage,
    Span,
    Stored,
    StoredPage,
)
from aoshell.nodes.transaction import Transaction
from aoshell.nodes.values import ForkPoint, LogEntry, Module, NotFoundError, Receipt
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import brief, has_id_form
from aoshell.protocol.message import by_lower_name

LITTLE = 1 << 20  # bytes of data that are searched in the loop; more are searched in a thread
FEW = 8  # entries of a page that are parsed in the loop; more are parsed in a thread

_T = TypeVar("_T")


class LocalNetwork:
    """`NetworkVerbs` of a node in this process."""

    def __init__(self, engine: Engine, states: States) -> None:
        self._engine = engine
        self._states = states
        self._glances = LocalGlances(engine)

    @property
    def address(self) -> str:
        return self._engine.address

    @property
    def time(self) -> int:
        return self._engine.clock()

    @property
    def height(self) -> int:
        return block_height(self.time)

    @property
    def glances(self) -> LocalGlances:
        return self._glances

    @property
    def cuts(self) -> int:
        return self._engine.store.cuts

    def _look_up(self, process: str) -> ProcessRow:
        """A process by its id, which may be any text. Raises NotFoundError."""
        if not has_id_form(process):
            raise NotFoundError("no process without an id is on this node", stage="node")
        return self._engine.processes.look_up(process)

    def accept_signed(self, on: bool) -> None:
        self._engine.origins.accept_signed = on

    # In ---------------------------------------------------------------------------------------

    async def submit(
        self, item: DataItem | HttpItem, *, authority: str = AUTO, client: str = ""
    ) -> Receipt:
        engine = self._engine
        named = by_lower_name(item.tags)
        if named.get("type") == "Process":
            if "module-format" in named and "module" not in named:  # code in HyperBEAM's form
                await engine.loader.add_module(item.data, item.id)
            tags = [text for tag in item.tags for text in (tag.name, tag.value)]
            owner = fixed_authority(authority, engine.address, tags)
            logged = engine.intake.spawn(item, authority=owner, client=client)
            return Receipt(item.id, item.id, logged.slot)
        row = self._look_up(item.target)
        await self._check_data(item.data)
        await engine.cutting.wait_until_free(row)
        logged = engine.intake.send(row, item, client)
        return Receipt(item.id, row.id, logged.slot)

    async def keep(self, item: DataItem | Transaction, *, client: str = "") -> None:
        engine = self._engine
        if own := engine.origins.elsewhere.addressee(item):
            raise engine.origins.not_kept(own, "this upload")
        await self._check_data(item.data)
        if find_upload(engine.store, item.id) is not None:
            return
        if by_lower_name(item.tags).get("type") == "Module":
            await engine.loader.add_module(item.data, item.id)
        if find_upload(engine.store, item.id) is None:  # ask again, as compiling took time
            seq = engine.scheduler.new_seq()
            kind = TRANSACTION if isinstance(item, Transaction) else ""
            upload = Upload(seq, item.id, engine.clock(), client, kind, item.raw)
            engine.admit(Batch(uploads=[upload]), [])

    async def _check_data(self, data: bytes) -> None:
        """Raise AoError if incoming data contains an item that is signed for a fork."""
        origins = self._engine.origins
        if own := await _within(data, origins.elsewhere):
            raise origins.not_kept(own, "an item in this one's data")

    async def assign(
        self, process: str, message: str, exclude: Sequence[str] = (), *, client: str = ""
    ) -> Receipt:
        engine = self._engine
        row = self._look_up(process)
        await engine.cutting.wait_until_free(row)
        body = excluded(await self._wire_for(row, message), exclude)
        arrival = Arrival(None, "", client)
        logged = engine.scheduler.assign(
            row.number, message, form.dump_wire(body), arrival=arrival, exclude=exclude
        )
        engine.admit(Batch(log=[logged]), [(logged, body)])
        return Receipt(logged.assignment, row.id, logged.slot)

    async def _wire_for(self, process: ProcessRow, message_id: str) -> Wire:
        """A message of this node, to assign to a process. Raises NotFoundError, WithheldError."""
        if logged := find_message(self._engine.store, message_id):
            wire = form.load_wire(logged.body)
            sent = logged.cause is not None
            return owned(process, wire, self._engine.address) if sent else wire
        if upload := find_upload(self._engine.store, message_id):
            elsewhere = self._engine.origins.elsewhere
            return form.from_message((await self._given(stored_of("", upload), elsewhere)).message)
        raise NotFoundError(
            f"no message {brief(message_id)} is on this node",
            stage="schedule",
            hint="post it first",
        )

    async def monitor(self, process: str, on: bool) -> None:
        engine = self._engine
        row = self._look_up(process)
        engine.admit(Batch(monitored=[(on, row.number)]), [])
        engine.processes.keep(row._replace(monitored=int(on)))
        engine.ticking.begin()

    # Out --------------------------------------------------------------------------------------

    async def entry(self, process: str, place: int | str) -> LogEntry | None:
        row = self._look_up(process)
        found = find_scheduled(self._engine.store, row.number, place)
        return await self._given_entry(form.load_entry(row.id, *found)) if found else None

    async def computed(self, process: str, place: int | str, seconds: float) -> LogEntry | None:
        row = self._look_up(process)
        found = find_scheduled(self._engine.store, row.number, place)
        if found is None:
            return None
        if found[1] is not None:
            return await self._given_entry(form.load_entry(row.id, *found))
        try:
            async with asyncio.timeout(seconds):
                await self._engine.settling.wait_for_result(row.number, found[0].slot)
        except TimeoutError:
            return None
        return await self.entry(process, found[0].slot)

    async def page(self, process: str, span: Span, limit: int, *, failed: bool = True) -> EntryPage:
        row = self._look_up(process)
        rows = computed_in(self._engine.store, row.number, span, limit, failed=failed)
        entries = await _read([partial(form.load_entry, row.id, *one) for one in rows[:limit]])
        return EntryPage(
            tuple([await self._given_entry(one) for one in entries]), len(rows) > limit
        )

    async def scheduled(self, process: str, place: int | str) -> Scheduled | None:
        row = self._look_up(process)
        found = find_scheduled(self._engine.store, row.number, place)
        if found is None:
            return None
        elsewhere = self._engine.origins.elsewhere
        logged = self._without_signature(found[0], elsewhere)
        original = self._original(logged, elsewhere)
        one = scheduled_of(row.id, logged, original, self._engine.assigner)
        return replace(one, stored=await self._given(one.stored, elsewhere))

    async def schedule_page(self, process: str, span: Span, limit: int) -> SchedulePage:
        row = self._look_up(process)
        rows = scheduled_in(self._engine.store, row.number, span, limit)
        assigner, elsewhere = self._engine.assigner, self._engine.origins.elsewhere
        given = [self._without_signature(logged, elsewhere) for logged in rows[:limit]]
        entries = await _read(
            [
                partial(scheduled_of, row.id, logged, self._original(logged, elsewhere), assigner)
                for logged in given
            ]
        )
        found = [replace(one, stored=await self._given(one.stored, elsewhere)) for one in entries]
        return SchedulePage(tuple(found), len(rows) > limit)

    def _without_signature(self, logged: Logged, elsewhere: Elsewhere) -> Logged:
        """A message that may be given out: without its signature if that is for a fork."""
        row = self._engine.processes.get(logged.process)
        return logged._replace(signed=None) if row.id in elsewhere else logged

    async def _given(self, stored: Stored, elsewhere: Elsewhere) -> Stored:
        """A message or upload that may be given out: without a signature for a fork.

        Raises:
            WithheldError: its data contains an item that is signed for a fork.
        """
        if own := await _within(data_of(stored), elsewhere):
            raise self._engine.origins.withheld(stored.message.id, own)
        return _unsigned(stored, elsewhere)

    async def _given_entry(self, entry: LogEntry) -> LogEntry:
        """A message with its result, if it may be given out.

        Raises:
            WithheldError: its output, or what it sent, contains an item that is signed for a fork.
        """
        elsewhere, result = self._engine.origins.elsewhere, entry.result
        if result is None or not elsewhere:
            return entry
        for data in texts_of(result):
            if own := await _within(data, elsewhere):
                raise self._engine.origins.withheld(entry.message.id, own)
        return entry

    def _original(self, logged: Logged, elsewhere: Elsewhere) -> Original:
        """The original of an assigned message without a signature; None if it is not assigned."""
        if self._engine.processes.get(logged.process).id in elsewhere:
            return None
        if logged.signed is not None or not logged.id:
            return None
        found = find_message(self._engine.store, logged.id)
        if found is not None and found.seq != logged.seq:
            return found
        return find_upload(self._engine.store, logged.id)

    async def item(self, id: str) -> Stored | None:
        elsewhere = self._engine.origins.elsewhere
        logged = find_message(self._engine.store, id)
        if logged is not None:
            process = self._engine.processes.get(logged.process).id
            found = stored_of(process, self._without_signature(logged, elsewhere))
            return await self._given(found, elsewhere)
        upload = find_upload(self._engine.store, id)
        return await self._given(stored_of("", upload), elsewhere) if upload else None

    async def forked(self, process: str) -> ForkPoint | None:
        origin = self._engine.origins.of(self._look_up(process).number)
        return fork_point(origin) if origin else None

    async def base(self, process: str, most: int) -> bytes | None:
        origins = self._engine.origins
        origin = origins.of(self._look_up(process).number)
        if origin is None or not origin.memory:
            return None
        return await asyncio.to_thread(origins.memories.whole, origin.memory, most)

    async def module(self, id: str) -> Module | None:
        module_id = self._engine.store.find_module(id) if has_id_form(id) else ""
        found = self._engine.store.module(module_id) if module_id else None
        return Module(id, found[0], "", found[1]) if found else None

    def modules(self) -> Sequence[NetworkModule]:
        store = self._engine.store
        here = {name: module for name, module in store.module_names() if has_id_form(name)}
        known = dict.fromkeys(BUILT_IN, self._engine.modules.environment) | here
        found = []
        for name, module in known.items():
            upload = find_upload(store, name)
            tags = stored_of("", upload).message.tags if upload else ()
            tags = tags or (TAGS if name in BUILT_IN else ())
            found.append(NetworkModule(name, module, BUILT_IN.get(name, ""), tags))
        return found

    # For an index -----------------------------------------------------------------------------

    async def stored_behind(self, seq: int, limit: int) -> StoredPage:
        store, processes = self._engine.store, self._engine.processes
        calls, elsewhere = [], self._engine.origins.elsewhere
        for row in taken_behind(store, seq, limit):
            process = processes.get(row.process).id if isinstance(row, Logged) else ""
            row = self._without_signature(row, elsewhere) if isinstance(row, Logged) else row
            calls.append(partial(stored_of, process, row))
        cuts, lowest = store.cuts, store.lowest
        found = await _read(calls)  # not searched for items: an index has only the size of data
        return StoredPage(cuts, tuple(_unsigned(one, elsewhere) for one in found), lowest)

    async def stored_changed(self) -> None:
        await self._engine.changes.wait(None)

    async def state_at(self, process: str, slot: int | None, path: str) -> object:
        return await self._states.read(self._look_up(process).id, slot, path)


async def _within(data: bytes, elsewhere: Elsewhere) -> str:
    """As `Elsewhere.within`; large data is searched in a thread."""
    if len(data) < LITTLE:
        return elsewhere.within(data)
    return await asyncio.to_thread(elsewhere.within, data)


def _unsigned(stored: Stored, elsewhere: Elsewhere) -> Stored:
    """A message or an upload without a signature that is for a fork."""
    if stored.signed is None or not elsewhere.addressee(stored.signed):
        return stored
    return replace(stored, signed=None)


async def _read(calls: Sequence[Callable[[], _T]]) -> tuple[_T, ...]:
    """The results of calls that only parse and sign; many run in a thread, to free the loop."""
    if len(calls) <= FEW:
        return tuple(call() for call in calls)
    return await asyncio.to_thread(lambda: tuple(call() for call in calls))
