"""Cron: messages at given times, placed between slots."""

from __future__ import annotations

import contextlib

import pytest
from eventually import in_loop, until
from hypothesis import given
from hypothesis import strategies as st
from local_home import next_event

from aoshell.errors import UsageError
from aoshell.nodes.local.clock import ticking as node_time
from aoshell.nodes.local.processes import cron

START = 1_800_000_000_000
TICK = 'Ticks = 0 Handlers.add("Tick", "Tick", function(msg) Ticks = Ticks + 1 Last = msg end)'


class Clock:
    """A clock that only tests move."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(node_time, "read_wall_clock", clock)
    return clock


async def pass_time(local, clock, milliseconds):
    """Let time pass and wait for what that causes."""
    clock.now += milliseconds
    events = local.node.subscribe()
    local.engine.ticking.begin()
    pending = len(local.engine.store.pending())
    for _ in range(pending):
        await next_event(events, "result")
    await events.aclose()


async def ticking(local, interval="1-second", **more):
    return await local.spawn(TICK, Cron_Interval=interval, Cron_Tag_Action="Tick", **more)


@pytest.mark.usefixtures("clock")
@in_loop
async def test_each_way_to_a_process_with_cron_sets_the_timer(opening):
    """One that a client spawns, one that a process spawns, and one that a node starts with."""
    async with opening() as local:
        pid = await local.spawn()
        assert local.engine.ticking._timer is None
        await ticking(local, "1-hour")
        assert local.engine.ticking._timer is not None
        local.engine.ticking.stop()
        await local.eval(pid, 'Spawn(ao.env.Module.Id, { ["Cron-Interval"] = "1-hour" })')
        assert local.engine.ticking._timer is not None
    async with opening() as local:
        assert local.engine.ticking._timer is not None


@in_loop
async def test_a_tick_has_no_place_of_its_own(opening, clock):
    async with opening() as local:
        pid = await ticking(local, Cron_Tag_Extra="more")
        await pass_time(local, clock, 999)
        assert len(await local.messages(pid)) == 1
        await pass_time(local, clock, 1)
        await pass_time(local, clock, 1000)
        await local.eval(pid, "1")
        await pass_time(local, clock, 1000)
        placed = [
            (m.assignment.slot, m.assignment.tick, m.assignment.timestamp)
            for m in await local.messages(pid)
        ]
        assert placed == [
            (0, 0, START),
            (0, 1, START + 1000),
            (0, 2, START + 2000),
            (1, 0, START + 2000),
            (1, 1, START + 3000),
        ]
        tick = (await local.messages(pid))[1]
        assert (tick.id, tick.data, tick.anchor, tick.pushed_for) == ("", b"", "", "")
        assert tick.from_ == tick.owner == local.wallet.address
        assert [(tag.name, tag.value) for tag in tick.tags] == [
            ("Action", "Tick"),
            ("Extra", "more"),
        ]
        fields = ("Id", "Data", "Nonce", "Reference", "Cron")
        seen = "Ticks .. " + " .. ".join(f"tostring(Last.{name})" for name in fields)
        assert await local.value(pid, seen) == "3nilnilnilniltrue"
        assert await local.node.slots(pid) == 3
        assert await local.node.verify_log(pid) == []


@in_loop
async def test_what_passed_while_nobody_was_there_is_one_tick_and_said(opening, clock):
    async with opening() as local:
        pid = await ticking(local)
        await pass_time(local, clock, 1000)
    clock.now += 3_600_000
    async with opening() as local:
        events = local.node.subscribe()
        notice = await next_event(events, "notice")
        assert "due 3600 times" in notice.detail and notice.process == pid
        assert await local.value(pid, "Ticks") == "2"
        await pass_time(local, clock, 1000)
        assert await local.value(pid, "Ticks") == "3"
    async with opening() as local:
        assert await local.value(pid, "Ticks") == "3"


@in_loop
async def test_ticks_of_the_log_are_replayed_where_they_stood(opening, clock):
    async with opening() as local:
        pid = await ticking(local)
        await local.eval(
            pid,
            "Order = {} Handlers.prepend('note', function() Order[#Order + 1] = Ticks "
            "return 'continue' end, function() end)",
        )
        for _ in range(3):
            await pass_time(local, clock, 1000)
            await local.eval(pid, "1")
        order = await local.value(pid, "table.concat(Order, ' ')")
    async with opening() as local:
        assert (await local.value(pid, "table.concat(Order, ' ')")).startswith(order)
        assert await local.node.verify_log(pid) == []


@in_loop
async def test_two_schedules_keep_their_own_time(opening, clock):
    async with opening() as local:
        module = await local.node.upload(TICK.encode())
        from aoshell.protocol.ans104 import DataItem
        from aoshell.protocol.message import tags_of

        pairs = [
            ("Data-Protocol", "ao"),
            ("Type", "Process"),
            ("Module", module.id),
            ("Cron-Interval", "2-seconds"),
            ("Cron-Tag-Action", "Tick"),
            ("Cron-Interval", "3-Seconds"),
            ("Cron-Tag-Action", "Other"),
        ]
        item = DataItem.sign(local.wallet, tags=tags_of(pairs))
        await local.node.spawn(item)
        for _ in range(6):
            await pass_time(local, clock, 1000)
        actions = [
            (m.assignment.timestamp - START, m.tag("Action")) for m in await local.messages(item.id)
        ]
        assert actions[1:] == [
            (2000, "Tick"),
            (3000, "Other"),
            (4000, "Tick"),
            (6000, "Tick"),
            (6000, "Other"),
        ]


@in_loop
async def test_what_a_tick_sends_goes_out_and_names_no_root(opening, clock):
    async with opening() as local:
        other = await local.spawn()
        pid = await local.spawn(
            'Handlers.add("Tick", "Tick", function() '
            f'Send({{Target = "{other}", Data = "by time"}}) end)',
            Cron_Interval="1-minute",
            Cron_Tag_Action="Tick",
        )
        await pass_time(local, clock, 60_000)
        assert await local.value(other, "Inbox[#Inbox].Data") == "by time"
        message = next(m for m in await local.messages(other) if m.from_ == pid)
        assert message.pushed_for == "" == message.tag("Pushed-For")
        assert len(message.id) == 43


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 100])
@in_loop
async def test_pages_of_results_lose_no_cron_message(opening, clock, limit):
    async with opening() as local:
        pid = await ticking(local)
        for _ in range(3):
            await pass_time(local, clock, 1000)
        await local.eval(pid, "1")
        await pass_time(local, clock, 1000)
        places, after = [], -1
        while page := await local.node.results(pid, after, limit):
            places += [(entry.result.slot, entry.result.tick) for entry in page]
            after = places[-1][0]
        assert places == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]


@in_loop
async def test_settled_does_not_wait_for_cron(opening, clock):
    async with opening() as local:
        pid = await local.spawn(
            'Handlers.add("Tick", "Tick", function() while true do end end)',
            Cron_Interval="1-second",
            Cron_Tag_Action="Tick",
        )
        other = await local.spawn()
        clock.now += 1000
        local.engine.ticking.begin()
        assert await local.value(other, "1 + 1") == "2"
        assert [m.assignment.tick for m in await local.messages(pid)] == [0, 1]


@in_loop
async def test_a_real_second_passes(opening):
    async with opening() as local:
        pid = await ticking(local)
        events = local.node.subscribe()
        event = await next_event(events, "result")
        assert (event.process, event.root) == (pid, "")
        assert event.entry.message.assignment.tick == 1


@in_loop
async def test_an_interval_that_is_none_is_refused(opening):
    async with opening() as local:
        with pytest.raises(UsageError, match="'often'"):
            await local.node.spawn(local.definition(Cron_Interval="often"))
        assert await local.node.processes() == []
        pid = await local.spawn()
        await local.eval(pid, 'Spawn(ao.env.Module.Id, { ["Cron-Interval"] = "10-fortnights" })')
        assert ["10-fortnights" in reason for reason in await local.reasons(pid)] == [True]
        assert len(await local.node.processes()) == 1


@in_loop
async def test_a_clock_set_back_sends_nothing_twice(opening, clock):
    async with opening() as local:
        pid = await ticking(local)
        await pass_time(local, clock, 1000)
        await pass_time(local, clock, -900)
        await pass_time(local, clock, 900)
        assert await local.value(pid, "Ticks") == "1"
        await pass_time(local, clock, 1000)
        assert await local.value(pid, "Ticks") == "2"
        stamps = [m.assignment.timestamp for m in await local.messages(pid)]
        assert stamps == sorted(stamps)


@pytest.mark.parametrize("back", [2000, 3_600_000, 400 * 86_400_000])
@in_loop
async def test_a_clock_that_jumped_back_does_not_stop_cron(opening, clock, back):
    async with opening() as local:
        pid = await ticking(local)
        slow = await ticking(local, "5-seconds", Name="slow")
        await pass_time(local, clock, 1000)
        events = local.node.subscribe()
        await pass_time(local, clock, -back)
        said = (await next_event(events, "notice")).detail
        assert "the clock went back" in said and "goes on from now" in said
        await pass_time(local, clock, 999)
        assert await local.value(pid, "Ticks") == "1"
        await pass_time(local, clock, 1)
        assert await local.value(pid, "Ticks") == "2"
        await pass_time(local, clock, 5000)
        assert await local.value(slow, "Ticks") == "1"
        stamps = [m.assignment.timestamp for m in await local.messages(pid)]
        assert stamps == sorted(stamps)


@in_loop
async def test_the_clock_is_looked_at_however_far_the_next_time_is(opening, clock, monkeypatch):
    """The loop's own clock stops while the machine sleeps, and does not follow a changed clock."""
    monkeypatch.setattr(node_time, "LOOK", 0.02)
    async with opening() as local:
        pid = await ticking(local, "1-day")
        number = local.engine.processes.find(pid).number
        clock.now += 86_400_000  # and nobody is told
        await until(lambda: local.engine.store.head(number).tick == 1)
        await local.node.idle()
        clock.now -= 400 * 86_400_000
        events = local.node.subscribe()
        assert "the clock went back" in (await next_event(events, "notice")).detail
        clock.now += 86_400_000
        await until(lambda: local.engine.store.head(number).tick == 2)
        await local.node.idle()
        assert await local.value(pid, "Ticks") == "2"


# Intervals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1-second", 1000),
        ("10-seconds", 10_000),
        ("5-Minutes", 300_000),
        (" 2-hours ", 7_200_000),
        ("1000-milliseconds", 1000),
        ("1-day", 86_400_000),
        ("1-week", 604_800_000),
        ("1-month", 2_592_000_000),
        ("1-year", 31_536_000_000),
    ],
)
def test_intervals(text, milliseconds):
    assert cron.parse_interval(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "second",
        "-second",
        "0-seconds",
        "1",
        "1-",
        "1.5-seconds",
        "-1-seconds",
        "1-fortnight",
        "999-milliseconds",
        "1-milliseconds",
        "1-secondss",
        "²-seconds",
        "१-seconds",
        "9" * 5000 + "-years",
    ],
)
def test_what_is_no_interval(text):
    with pytest.raises(UsageError):
        cron.parse_interval(text)


@given(st.text(max_size=20))
def test_any_text_is_an_interval_or_refused(text):
    with contextlib.suppress(UsageError):
        assert cron.parse_interval(text) >= cron.MINIMUM


@given(st.integers(1000, 10**9), st.integers(0, 10**13), st.integers(0, 10**13))
def test_a_schedule_moves_behind_now_in_whole_steps(interval, due, now):
    before = cron.Schedule(interval, due, ("Action", "Tick"))
    after, missed = cron.advance_schedule(before, now)
    assert after.due == due + missed * interval
    assert (missed == 0) == (now < due)
    assert after.due > now
    assert missed == 0 or after.due - interval <= now
    assert cron.load_schedules(cron.dump_schedules([before, after])) == [before, after]
