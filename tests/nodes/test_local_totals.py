"""Sums over a log: the same as those of a full read, after any change of the log."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from eventually import in_loop
from local_home import Local

from aoshell.errors import AoError
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.log.totals import PER_MESSAGE, Totals, key_of, totals_of
from aoshell.nodes.local.network import states
from aoshell.nodes.local.network.glances import LocalGlances
from aoshell.nodes.local.processes import tallies
from aoshell.nodes.local.processes.peek import list_processes
from aoshell.nodes.served import Span
from aoshell.nodes.values import LogEntry
from aoshell.protocol.message import Message

WAIT = 'return Receive({Action = "Never"})'


def read_whole(store: Store, process: int) -> Totals:
    """The sums, read from the rows a message at a time."""
    slots = computed = size = waits = effective = 0
    for logged, result in store.entries(process):
        slots = logged.slot + 1
        size += PER_MESSAGE + len(logged.body) + len(logged.signed or b"")
        if result is not None:
            computed = logged.slot + 1
            size += len(result.body)
            waits += result.waits
            effective = logged.seq if result.outcome == "ok" else effective
    return Totals(slots, computed, size, waits, effective, 0)


def check(local: Local, process: str) -> None:
    """The sums of a process are right, and so is what is shown of it."""
    local.engine.flush()
    store, number = local.engine.store, local.engine.processes.look_up(process).number
    whole = read_whole(store, number)
    assert totals_of(store, number)._replace(summed=0) == whole
    info = local.engine.describe(local.engine.processes.look_up(process))
    assert (info.slots, info.computed, info.waiting) == (whole.slots, whole.computed, whole.waits)
    place = local.engine.tallies.place(number)
    assert place is not None and place.slot + 1 == whole.computed


async def lines(local: Local, process: str, count: int) -> None:
    for number in range(count):
        await local.eval(process, f"X{number} = {number}")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Sums are kept after a few messages."""
    monkeypatch.setattr(tallies, "EVERY", 4)


@in_loop
async def test_sums_go_on_from_those_that_are_kept(opening):
    async with opening() as local:
        process = await local.spawn(name="desk")
        store, number = local.engine.store, local.engine.processes.look_up(process).number
        for _ in range(12):
            await lines(local, process, 1)
            check(local, process)
        assert store.meta(key_of(number)) is not None
        assert totals_of(store, number).summed <= 4 + 1
        await local.eval(process, "error('on purpose')")
        await local.eval(process, WAIT)
        check(local, process)
        assert local.engine.describe(local.engine.processes.look_up(process)).waiting == 1
    async with opening() as local:
        check(local, process)
        assert totals_of(local.engine.store, number).summed <= 4 + 1


@in_loop
async def test_sums_that_were_written_meanwhile_are_not_counted_twice(opening):
    """A reader writes the sums while another is in the middle of its own."""
    async with opening() as local:
        process = await local.spawn(name="desk")
        await lines(local, process, 6)
    async with opening() as local:
        local.engine.store.set_meta(key_of(local.engine.processes.look_up(process).number), None)
        await lines(local, process, 1)
        check(local, process)
        await lines(local, process, 6)
        check(local, process)


@in_loop
async def test_failures_at_the_end_are_not_read_again(opening):
    async with opening() as local:
        process = await local.spawn(name="desk")
        await local.eval(process, "Kept = 1")
        for _ in range(9):
            await local.eval(process, "error('on purpose')")
        check(local, process)
        info = await local.node.find(process)
        assert "aos" in info.prompt and info.memory > 0


@in_loop
async def test_a_handling_that_fails_when_it_goes_on_waits_again(opening):
    """The message that continued it is undone."""
    async with opening() as local:
        process = await local.spawn()
        await local.eval(process, 'Receive({Action = "Go"}) error("on purpose")')
        result = await local.send(process, Action="Go")
        assert "on purpose" in result.error and result.resumed
        assert read_whole(local.engine.store, 1).waits == 1
        check(local, process)


@pytest.mark.parametrize("back", [2, 9, 13])
@in_loop
async def test_sums_over_what_was_taken_back_do_not_count(opening, back):
    async with opening() as local:
        process = await local.spawn(name="desk")
        await lines(local, process, 14)
        check(local, process)
        await local.node.workbench.undo(process, back)
        check(local, process)
        await lines(local, process, back + 3)  # other messages have these places now
        check(local, process)


@in_loop
async def test_a_process_does_not_inherit_the_sums_of_one_that_had_its_number(opening):
    async with opening() as local:
        first = await local.spawn(name="first")
        number = local.engine.processes.look_up(first).number
        await lines(local, first, 9)
        kept = local.engine.store.meta(key_of(number))
        assert kept is not None
        await local.node.delete(first)
        assert local.engine.store.meta(key_of(number)) is None
        second = await local.spawn(name="second")
        assert local.engine.processes.look_up(second).number == number
        await lines(local, second, 9)
        local.engine.store.set_meta(key_of(number), kept)  # as an earlier aoshell would leave it
        check(local, second)


@in_loop
async def test_sums_that_were_never_kept_are_kept_by_who_asks(opening):
    """A home of an earlier version has none; a shell that only reads writes none."""
    async with opening() as local:
        process = await local.spawn(name="desk")
        number = local.engine.processes.look_up(process).number
        await lines(local, process, 9)
        store = local.engine.store
        with store._transaction() as db:
            db.execute("DELETE FROM meta WHERE key = ?", (key_of(number),))
        (info,) = list_processes(store.path)
        assert info.slots == 10 and store.meta(key_of(number)) is None
        assert await local.node.find(process) is not None
        assert store.meta(key_of(number)) is not None
        check(local, process)


@in_loop
async def test_a_disk_that_took_nothing_leaves_no_sums_of_it(opening):
    async with opening() as local:
        process = await local.spawn(name="desk")
        await lines(local, process, 6)
        local.engine._undo()
        local.engine._recover()
        check(local, process)
        await lines(local, process, 6)
        check(local, process)


@in_loop
async def test_an_overview_asks_the_log_about_no_process_twice(opening):
    async with opening() as local:
        processes = [await local.spawn(name=f"desk{number}") for number in range(5)]
        glances, asked = local.node.network.glances, []
        before = await glances.overview(10)
        local.engine.store._db.set_trace_callback(asked.append)
        assert await glances.overview(10) == before
        assert len(asked) < len(processes)
        local.engine.store._db.set_trace_callback(None)
        await lines(local, processes[0], 2)
        seen = {one.id: one.computed.slot for one in (await glances.overview(10)).processes}
        assert seen == {one: 2 if one == processes[0] else 0 for one in processes}


@in_loop
async def test_a_page_of_entries_ends_at_its_limit_and_at_its_size(opening):
    """The message that goes beyond the size is the last one on the page."""
    async with opening() as local:
        process = await local.spawn()
        await lines(local, process, 3)
        glances, all_ = local.node.network.glances, len(await local.messages(process))
        for limit, largest, due in ((2, 1 << 30, 2), (all_, 1 << 30, all_), (all_, 0, 1)):
            page = await glances.entries(process, Span(), limit, largest)
            assert (len(page.entries), page.more) == (due, due < all_)


def test_kept_states_have_a_bound_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that is too large alone takes nothing else away."""
    monkeypatch.setattr(states, "LARGEST", 10)
    kept = states.States(None, None, None)  # type: ignore[arg-type]
    for name, length in (("a", 4), ("b", 6), ("too large", 11), ("b", 6)):
        kept._keep((0, 0, 0, name), "x" * length)
    assert [key[-1] for key in kept._kept] == ["a", "b"]
    kept._keep((0, 0, 0, "c"), "x")
    assert [key[-1] for key in kept._kept] == ["b", "c"]


def test_the_page_gets_a_sentence_for_data_that_holds_an_item_for_a_fork() -> None:
    class Elsewhere:
        def within(self, data: bytes) -> str:
            return "F" * 43 if b"item" in data else ""

    def withheld(_id: str, own: str) -> AoError:
        return AoError(f"withheld for {own}", stage="node")

    origins = SimpleNamespace(elsewhere=Elsewhere(), withheld=withheld)
    glances = LocalGlances(SimpleNamespace(origins=origins))  # type: ignore[arg-type]
    for data, due in ((b"an item", b"withheld for " + b"F" * 43), (b"other", b"other")):
        message = Message("i" * 43, "", "", "p" * 43, (), data)
        assert glances._given(LogEntry(message, None)).message.data == due
