"""The parts of the node on their own: store, scheduler, roots, wire."""

from __future__ import annotations

import asyncio
import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoshell.errors import AoError
from aoshell.nodes.local.log import elsewhere, form, reading, spans
from aoshell.nodes.local.log import store as store_module
from aoshell.nodes.local.log.assigning import Assigner
from aoshell.nodes.local.log.rows import (
    LOST,
    PARTIAL,
    QUEUED,
    Arrival,
    Batch,
    Computed,
    Kept,
    Logged,
    Origin,
    ProcessRow,
    Upload,
    mark_of,
)
from aoshell.nodes.local.log.scheduler import Scheduler
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.log.totals import Running, totals_of
from aoshell.nodes.local.waiting.roots import Roots
from aoshell.nodes.served import Span
from aoshell.nodes.values import Place
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Assignment, Message, Tag, printable, raw, text
from aoshell.sandbox.frames import FrameError

NO_KEY = Assigner(lambda: None)
ROW = ProcessRow(1, "p" * 43, "name", "owner", "module", "environment", 0, "[]", 1 << 29)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "node")
    yield store
    store.close()


@pytest.fixture
def scheduler(store):
    store.commit(Batch(processes=[ROW]), sync=True)
    return Scheduler(store, lambda: 1_700_000_000_000, NO_KEY)


def rows(store, table):
    return store._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def computed(logged):
    return Computed(logged.seq, "ok", 1.0, 0, 0, 0, b'[false,"","",false,0,0,0]')


def chained(before, names):
    """What the hash chain comes to behind each message."""
    found = []
    for name in names:
        before = b64url(hashlib.sha256((before + name).encode()).digest())
        found.append(before)
    return found


# Store ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"slot": 0}, {"seq": 1}, {"seq": 9, "slot": 9}])
def test_one_place_holds_one_message(store, scheduler, change):
    first = scheduler.assign(1, "a", b"[]")
    caused = scheduler.assign(1, "b", b"[]", cause=first, idx=0)
    store.commit(Batch(log=[first, caused]), sync=False)
    with pytest.raises(AoError):
        store.commit(Batch(log=[caused._replace(**{"seq": 5, "slot": 5} | change)]), sync=False)
    assert rows(store, "log") == 2


def test_one_message_has_one_result(store, scheduler):
    first = scheduler.assign(1, "a", b"[]")
    store.commit(Batch(log=[first], results=[computed(first)]), sync=False)
    with pytest.raises(AoError):
        store.commit(Batch(results=[computed(first)]), sync=False)


def test_a_batch_is_written_as_a_whole_or_not_at_all(store, scheduler):
    first = scheduler.assign(1, "a", b"[]")
    store.commit(Batch(log=[first]), sync=False)
    second = scheduler.assign(1, "b", b"[]", cause=first, idx=0)
    kept = Kept(first.seq, 1, "reason", False, "target", "id", b"[]")
    batch = Batch(log=[second], results=[computed(first)], kept=[kept, kept])
    with pytest.raises(AoError):
        store.commit(batch, sync=True)
    assert (rows(store, "log"), rows(store, "results"), rows(store, "kept")) == (1, 0, 0)
    assert [logged.seq for logged in store.pending()] == [first.seq]
    batch.kept = [kept]
    store.commit(batch, sync=True)
    assert [logged.seq for logged in store.pending()] == [second.seq]
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_entries_come_in_order_whether_computed_or_not(store, scheduler):
    log = [scheduler.assign(1, str(n), b"[]") for n in range(1203)]
    store.commit(Batch(log=log, results=[computed(logged) for logged in log[:1100]]), sync=False)
    entries = list(store.entries(1))
    assert [logged.slot for logged, _result in entries] == list(range(1203))
    assert [result is None for _logged, result in entries] == [False] * 1100 + [True] * 103
    between = store.entries(1, (600, 0), log[610].seq)
    assert [logged.slot for logged, _ in between] == list(range(601, 611))
    assert len(store.pending()) == 103
    store.commit(Batch(computed_to=log[1099].seq), sync=False)
    assert len(store.pending()) == 103


def test_a_store_for_reading_writes_nothing(store, scheduler):
    reader = Store.reading(store.path)
    assert reader.processes() == [ROW]
    with pytest.raises(AoError):
        reader.commit(Batch(log=[scheduler.assign(1, "a", b"[]")]), sync=False)
    reader.close()
    with pytest.raises(AoError):
        Store.reading(store.path.with_name("none.db")).processes()


def test_what_is_read_does_not_change_while_others_write(store, scheduler):
    """From the first moment on, not from the first read."""
    log = [scheduler.assign(1, str(n), b"[]") for n in range(3)]
    store.commit(Batch(log=log[:2]), sync=True)
    with store.unchanging() as now:
        store.commit(Batch(log=log[2:], results=[computed(log[0])]), sync=True)
        assert [result for _logged, result in now.entries(1)] == [None] * 2
    assert len(list(store.entries(1))) == 3


def test_what_is_not_there_is_not_found(store, scheduler):
    first = scheduler.assign(1, "a", b"[]")
    store.commit(Batch(log=[first]), sync=True)
    assert (store.id_of(first.seq), store.id_of(9)) == ("a", "")
    assert (store.slot_of(1, "a"), store.slot_of(2, "a"), store.slot_of(1, "b")) == (0, None, None)
    assert (store.by_id("a"), store.by_id("b"), store.head(2)) == (first, None, None)
    assert (store.is_owner("owner"), store.is_owner("name")) == (True, False)
    assert (store.module("m"), store.module_named("m"), store.name_of_module("m")) == (
        None,
        None,
        "",
    )
    assert (store.slots(1), store.slots(2), store.result_of(first.seq)) == (1, 0, None)
    assert totals_of(store, 1)[:2] == (1, 0) and totals_of(store, 2) == (0, 0, 0, 0, 0, 0)
    for missing in (lambda: store.at_seq(9), lambda: store.process_numbered(9)):
        with pytest.raises(AoError, match="is gone"):
            missing()


def test_what_is_computed_stays_known(store, scheduler):
    log = [scheduler.assign(1, str(n), b"[]") for n in range(6)]
    results = [computed(logged) for logged in log[:5]]
    store.commit(Batch(log=log, results=results, computed_to=log[4].seq), sync=True)
    store.commit(Batch(facts={"another": "fact"}), sync=True)
    assert store.meta("computed_to") == log[4].seq
    assert store.forget(1, 2, 100) == 4
    assert store.meta("computed_to") == log[1].seq
    assert store.forget(1, 2, 100) == 0
    assert store.meta("computed_to") == log[1].seq
    again = log[2]._replace(id="another")
    store.commit(Batch(log=[again]), sync=True)
    assert store.pending() == [again]


def test_the_end_of_a_log_is_cut_a_slice_at_a_time(store, scheduler):
    """Newest first; slot 0 removes the process too, and a message all that it caused."""
    log = [scheduler.assign(1, str(n), b"[]", tick=n % 2 == 1) for n in range(6)]
    kept = [Kept(logged.seq, 0, "reason", 0, "target", "id", b"[]") for logged in log]
    origin = Origin(1, "source", 5, 0, 0, "", 0, 0)
    results = [computed(logged) for logged in log]
    store.commit(Batch(log=log, results=results, kept=kept, origins=[origin]), sync=True)
    assert (store.forget(1, 1, 3), rows(store, "results"), rows(store, "kept")) == (3, 3, 3)
    assert [logged.seq for logged, _ in store.entries(1)] == [logged.seq for logged in log[:3]]
    assert (store.forget(1, 0, 2), store.processes()) == (2, [ROW])
    assert store.origin(1) == origin  # a kill in between leaves a fork that is known as one
    assert (store.forget(1, 0, 2), store.processes()) == (1, [])
    assert [rows(store, table) for table in ("log", "results", "kept", "origins")] == [0, 0, 0, 0]
    assert (store.cuts, store.lowest) == (3, (log[3].seq, log[1].seq, log[0].seq))


def test_the_numbers_of_the_last_cuts_are_kept_and_no_more(store, scheduler, monkeypatch):
    monkeypatch.setattr(store_module, "MOST_CUTS", 2)
    log = [scheduler.assign(1, str(n), b"[]") for n in range(4)]
    store.commit(Batch(log=log), sync=True)
    for slot in (3, 2, 1):
        assert store.forget(1, slot, 1) == 1
    assert (store.cuts, store.lowest) == (3, (log[2].seq, log[1].seq))


@pytest.mark.parametrize(
    ("slot", "tags", "is_one"),
    [
        (0, ["Mock", "true"], True),
        (0, ["Mock", "false"], False),
        (0, ["Name", "Mock"], False),
        (0, ["X", "true", "Mock", "true"], True),
        (1, ["Mock", "true"], False),  # what anybody may send to it
    ],
)
def test_a_stand_in_is_what_its_definition_says(store, scheduler, slot, tags, is_one):
    bodies = [form.dump_wire([""] * form.TAGS) for _ in range(2)]
    bodies[slot] = form.dump_wire([*[""] * form.TAGS, *tags])
    store.commit(Batch(log=[scheduler.assign(1, "x", body) for body in bodies]), sync=True)
    assert elsewhere.stand_ins(store) == ([ROW.id] if is_one else [])
    assert elsewhere.stand_ins(store, after=ROW.number) == []
    store.commit(Batch(origins=[Origin(1, "source", 5, 0, 0, "", 0, 0)]), sync=True)
    assert elsewhere.forks(store) == [ROW.id]
    assert elsewhere.forks(store, after=ROW.number) == []


def test_a_tree_that_is_cut_off_has_what_came_first(store, scheduler):
    """Not what is nearest to its root."""
    root = scheduler.assign(1, "root", b"[]")
    one, other = (scheduler.assign(1, "", b"[]", cause=root, idx=at) for at in range(2))
    below = [scheduler.assign(1, "", b"[]", cause=cause, idx=0) for cause in (other, one)]
    log = [root, one, other, *below]
    store.commit(Batch(log=log), sync=True)
    for limit in range(1, 6):
        found = [logged.seq for logged, _ in store.tree(root.seq, limit)]
        assert found == [logged.seq for logged in log[:limit]]


def test_a_log_is_read_in_order_with_its_ticks_whatever_a_page_holds(store, scheduler, monkeypatch):
    log = [scheduler.assign(1, str(n), b"[]", tick=bool(n % 4)) for n in range(9)]
    store.commit(Batch(log=log, results=[computed(one) for one in log[:7]]), sync=True)
    for page in (1, 2, 3, 9, 10):
        monkeypatch.setattr(reading, "PAGE", page)
        assert [one.seq for one, _ in store.entries(1)] == [one.seq for one in log]
        assert [one.seq for one, _ in store.entries(1, last_seq=log[5].seq)] == [
            one.seq for one in log[:6]
        ]
    assert store.pending() == log[7:]
    assert store.head(1) == log[8] and (log[7].tick, log[8].tick) == (3, 0)
    assert store.last_computed(1) == (log[6], computed(log[6])) and log[6].tick == 2
    store.commit(Batch(log=[scheduler.assign(1, "x", b"[]", tick=True)]), sync=True)
    assert store.head(1).tick == 1


def test_numbers_are_those_behind_all_that_have_one(store, scheduler):
    assert store.last_numbers() == (0, 1)
    being_added = scheduler.assign(scheduler.new_process(), "x", b"[]")
    store.commit(Batch(log=[being_added]), sync=True)  # its row comes with the last slice
    assert store.last_numbers() == (being_added.seq, 2)
    upload = Upload(scheduler.new_seq(), "id", 0, "", "", b"signed")
    store.commit(Batch(uploads=[upload]), sync=True)
    assert store.last_numbers() == (upload.seq, 2)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, asyncio.CancelledError])
def test_what_is_written_together_is_all_there_or_nothing(store, scheduler, error):
    log = [scheduler.assign(1, str(n), b"[]") for n in range(2)]
    with pytest.raises(error), store.together() as write:
        write(Batch(log=log[:1]))
        raise error
    assert rows(store, "log") == 0
    with store.together() as write:
        write(Batch(log=log))
    assert rows(store, "log") == 2


# Scheduler --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["one", "two", "three", "four"]),
        ({"sender": 1}, ["one", "two", "three"]),
        ({"sender": 9}, []),
        ({"held": LOST}, ["one", "four"]),  # 0, and not none
        ({"held": QUEUED}, ["two", "three"]),
        ({"held": QUEUED, "target": "b"}, ["three"]),
        ({"target": "a"}, ["one", "two", "four"]),
        ({"root": 3}, ["four"]),
        ({"root": 1}, ["one", "two", "three"]),
    ],
)
def test_what_is_kept_is_found_by_each_of_its_facts(store, scheduler, wanted, found):
    store.commit(Batch(processes=[ROW._replace(number=2, id="q" * 43)]), sync=True)
    first = scheduler.assign(1, "m1", b"[]")
    caused = scheduler.assign(1, "m2", b"[]", cause=first, idx=7)
    other = scheduler.assign(2, "m3", b"[]")
    kept = [
        Kept(first.seq, 0, "reason", LOST, "a", "one", b"[]"),
        Kept(first.seq, 1, "reason", QUEUED, "a", "two", b"[]"),
        Kept(caused.seq, 0, "reason", QUEUED, "b", "three", b"[]"),
        Kept(other.seq, 0, "reason", LOST, "a", "four", b"[]"),
    ]
    store.commit(Batch(log=[first, caused, other], kept=kept), sync=True)
    places = {"one": (1, 0), "two": (1, 0), "three": (1, 1), "four": (2, 0)}
    got = store.kept(**wanted)
    assert [item.id for _, _, item in got] == found
    assert [(sender, slot) for sender, slot, _ in got] == [places[name] for name in found]


def test_ticks_stand_behind_slots(scheduler):
    placed = [scheduler.assign(1, "a", b"", tick=tick) for tick in (False, True, True, False, True)]
    assert [(p.slot, p.tick) for p in placed] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert placed[0].chain == placed[2].chain != placed[3].chain
    assert all(p.root == p.seq and p.ordinal == 0 for p in placed)


def test_a_root_is_where_it_all_began(scheduler):
    root = scheduler.assign(1, "root", b"[]")
    child = scheduler.assign(1, "", b"[]", cause=root, idx=0)
    grandchild = scheduler.assign(1, "", b"[]", cause=child, idx=0)
    assert [one.root for one in (root, child, grandchild)] == [root.seq] * 3
    assert grandchild.cause == child.seq


def test_what_was_forgotten_is_handed_out_again(store, scheduler):
    first = scheduler.assign(1, "a", b"[]")
    store.commit(Batch(log=[first]), sync=False)
    lost = scheduler.assign(1, "b", b"[]")
    scheduler.forget()
    again = scheduler.assign(1, "c", b"[]", cause=first, idx=3)
    assert (again.seq, again.slot) == (lost.seq, lost.slot)
    assert (again.root, again.cause, again.idx) == (first.seq, first.seq, 3)
    assert Scheduler(store, lambda: 0, NO_KEY).assign(1, "d", b"").timestamp == first.timestamp


def test_a_log_keeps_its_time_and_height_when_the_clock_goes_back(store):
    store.commit(Batch(processes=[ROW]), sync=True)
    times = iter([1_700_000_000_000, 1_600_000_000_000, 1_700_000_129_000])
    scheduler = Scheduler(store, lambda: next(times), NO_KEY)
    placed = [scheduler.assign(1, name, b"") for name in "abc"]
    assert [at.timestamp - 1_700_000_000_000 for at in placed] == [0, 0, 129_000]
    assert [at.height - placed[0].height for at in placed] == [0, 0, 1]
    assert [at.chain for at in placed] == [
        "ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs",
        *chained("ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs", "bc"),
    ]


# Roots ------------------------------------------------------------------------------------------


def entry(seq, root, message_id=""):
    return Logged(seq, 1, seq, 0, message_id, None, None, root, 0, 0, 0, "", None, b"")


def test_a_root_settles_when_all_it_caused_is_done():
    async def scenario():
        roots = Roots(lambda root: {7: "old"}.get(root, ""))
        roots.begin(entry(1, 1, "first"))
        roots.begin(entry(8, 7, "child of an earlier run"))
        waits = [asyncio.ensure_future(roots.wait(name)) for name in ("first", "old", "unknown")]
        await asyncio.sleep(0)
        assert [wait.done() for wait in waits] == [False, False, True]
        roots.begin(entry(9, 1))
        roots.done(entry(1, 1))
        assert roots.take_settled() == [] and roots.computed_to(9) == 7
        roots.done(entry(9, 1))
        assert roots.take_settled() == [1] and roots.is_awaited(1)
        roots.settle(1)
        await waits[0]
        roots.forget_all()
        roots.settle_empty()
        await waits[1]
        assert roots.computed_to(9) == 9

    asyncio.run(scenario())


# Wire -------------------------------------------------------------------------------------------

any_text = st.binary(max_size=30).map(text) | st.text(max_size=30)
ids = st.text("abcXYZ019-_", max_size=43)
messages = st.builds(
    Message,
    id=ids,
    owner=ids,
    from_=any_text,
    target=any_text,
    data=st.binary(max_size=60),
    tags=st.lists(st.builds(Tag, any_text, any_text), max_size=5).map(tuple),
    anchor=any_text,
    pushed_for=ids,
    assignment=st.none() | st.just(Assignment("p", 1, 0, 2, 3, "c")),
)


@given(messages)
def test_a_message_survives_the_wire(message):
    stored = form.dump_wire(form.from_message(message))
    assert form.to_message(form.load_wire(stored), message.assignment) == message
    assert form.dump_wire(form.load_wire(stored)) == stored


@given(st.binary())
def test_bytes_are_text_and_back(data):
    assert raw(text(data)) == data
    assert form.narrow(text(data)).encode("latin-1") == data
    assert text(data) == form.widen(form.narrow(text(data)))
    printable(text(data)).encode()


@given(st.lists(st.tuples(any_text, any_text)), any_text)
def test_the_first_tag_of_a_name_counts(pairs, name):
    flat = [part for pair in pairs for part in pair]
    assert form.find_tag(flat, name) == next((value for key, value in pairs if key == name), "")


outgoing = st.tuples(
    st.booleans(),
    st.none() | st.text("ab", min_size=1),
    st.text("xé"),
    st.text("0"),
    st.lists(st.tuples(st.text("n"), st.text("v"))),
)
assigned = st.tuples(st.text("m"), st.lists(st.text("p")))


@given(st.lists(st.text("r")), st.lists(outgoing), st.lists(assigned))
def test_an_outbox_is_read_as_it_was_written(resumed, sent, assignments):
    result = [False, "out", "prompt", False, len(resumed), *resumed, len(sent)]
    for spawn, target, data, anchor, tags in sent:
        result += [
            spawn,
            target or False,
            data,
            anchor,
            len(tags),
            *(part for tag in tags for part in tag),
        ]
    result.append(len(assignments))
    for message, processes in assignments:
        result += [message, len(processes), *processes]
    stored = form.FlatResult.of(result)
    assert stored.values == result
    outbox = form.Outbox(stored)
    assert outbox.resumed == resumed
    assert [
        (*m[:4], list(zip(m[4][::2], m[4][1::2], strict=True))) for m in outbox.messages
    ] == sent
    assert outbox.assignments == assignments
    form.check_result(False, stored)
    failed = form.failed_result("text", "out")
    assert form.Outbox(failed).messages == []
    form.check_result(True, failed)


@pytest.mark.parametrize("count", range(5))
def test_a_result_that_is_too_short_is_none(count):
    whole = ["", "out", "> ", False, 0]
    assert form.FlatResult.of(whole).values == whole
    with pytest.raises(FrameError, match="too short"):
        form.FlatResult.of(whole[:count])


ANSWER = [
    *(False, "output", "prompt", True, 1, "ended"),
    *(1, True, "target", "data", "anchor", 1, "name", "value"),
    *(1, "message", 1, "process", "returned"),
]


def test_a_result_is_whole_and_nothing_follows_it():
    form.check_result(False, form.FlatResult.of(ANSWER))
    form.check_result(False, form.FlatResult.of(ANSWER[:-1]))  # environments that tell nothing
    for wrong in (*(ANSWER[:end] for end in range(5, len(ANSWER) - 1)), [*ANSWER, "more"]):
        with pytest.raises(FrameError):
            form.check_result(False, form.FlatResult.of(wrong))


@pytest.mark.parametrize("at", range(len(ANSWER)))
def test_each_value_of_a_result_is_of_its_kind(at):
    for other in (None, 1.5, -1, [], "text" if type(ANSWER[at]) is not str else True):
        wrong = [*ANSWER[:at], other, *ANSWER[at + 1 :]]
        with pytest.raises(FrameError):
            form.check_result(False, form.FlatResult.of(wrong))


def test_a_result_that_sends_nothing_is_looked_at_as_closely():
    """Most are, and have a shorter way."""
    short = [False, "output", "prompt", True, 0, 0, 0]
    form.check_result(False, form.FlatResult.of(short))
    for at, others in {
        0: (0, None, "text", True),
        1: (0, None),
        2: (0, None),
        3: (0, 1, None, "text"),
        4: (False, 0.0, None, 1),
        5: (False, 0.0, None, 1),
        6: (False, 0.0, None, 1),
    }.items():
        for other in others:
            wrong = [*short[:at], other, *short[at + 1 :]]
            with pytest.raises(FrameError):
                form.check_result(False, form.FlatResult.of(wrong))
    with pytest.raises(FrameError):  # one that failed says why, and has no outbox
        form.check_result(True, form.FlatResult.of(short))
    form.check_result(True, form.failed_result("why"))


def test_messages_behind_a_time_are_those_of_its_slot_too(store):
    """Cron messages have the slot that they follow, and come later."""
    store.commit(Batch(processes=[ROW]), sync=True)
    clock = iter([10, 20, 30, 40, 40])
    scheduler = Scheduler(store, lambda: next(clock), NO_KEY)
    log = [scheduler.assign(1, str(n), b"[]", tick=n in (2, 3)) for n in range(5)]
    store.commit(Batch(log=log, results=[computed(one) for one in log]), sync=True)
    times = [0, 9, 10, 20, 25, 30, 40, 50]
    for since, until in [*itertools.combinations(times, 2), *((one, None) for one in times)]:
        span = Span(since=since, until=until)
        found = [one for one, _ in spans.computed_in(store, 1, span, 10, failed=True)]
        assert found == [one for one in log if since < one.timestamp <= (until or 99)]


@pytest.mark.parametrize(("parts", "due"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 5), (9, 5)])
def test_what_was_used_has_no_more_parts_than_asked_for(store, scheduler, parts, due):
    log = [scheduler.assign(1, str(n), b"[]") for n in range(5)]
    store.commit(Batch(log=log, results=[computed(one) for one in log]), sync=True)
    assert len(spans.used_in(store, 1, 0, 4, parts)) == due <= parts


def test_a_message_is_found_as_it_was_signed_where_one_is(store, scheduler):
    name = "m" * 43
    log = [scheduler.assign(1, name, b"[]", arrival=Arrival(signed)) for signed in (None, b"item")]
    store.commit(Batch(log=log), sync=True)
    assert spans.find_message(store, name) == log[1]


def test_what_the_node_took_is_listed_in_order_but_for_what_is_being_added(store, scheduler):
    """A copy that breaks off goes again, and its numbers with it."""
    first = scheduler.assign(1, "first", b"[]")
    upload = Upload(scheduler.new_seq(), "upload", 0, "", "", b"signed")
    added = scheduler.assign(scheduler.new_process(), "added", b"[]")
    last = scheduler.assign(1, "last", b"[]")
    later = Upload(scheduler.new_seq(), "later", 0, "", "", b"signed")
    store.commit(Batch(log=[first, added, last], uploads=[upload, later]), sync=True)
    everything = [first, upload, added, last, later]
    assert spans.taken_behind(store, 0, 9) == everything
    assert spans.taken_behind(store, 0, 3) == everything[:3]
    assert spans.taken_behind(store, 2, 9) == everything[2:]
    store.set_meta(PARTIAL, added.process)
    assert spans.taken_behind(store, 0, 9) == [first, upload]
    store.set_meta(PARTIAL, 0)
    assert spans.taken_behind(store, 0, 9) == everything


@pytest.mark.parametrize(
    "change", [{"chain": "x"}, {"tick": 1}, {"timestamp": 1}, {"assignment": "x"}]
)
def test_a_mark_tells_messages_of_one_place_apart(scheduler, change):
    """A message, its cron messages, and what another process had under the same number."""
    logged = scheduler.assign(1, "x", b"[]")
    assert mark_of(logged._replace(**change)) != mark_of(logged)
    assert mark_of(logged._replace(body=b"{}", client="x")) == mark_of(logged)


def test_sums_of_messages_that_failed_keep_the_last_one_that_went_well(store, scheduler):
    log = [scheduler.assign(1, str(n), b"[]") for n in range(3)]
    results = [computed(log[0])._replace(waits=-1)]
    store.commit(Batch(log=log, results=results), sync=True)
    found = totals_of(store, 1)
    assert (found.effective, found.waits) == (log[0].seq, 0)  # a fork ends what began elsewhere
    running = Running(1, Place(1, 0))
    failed = [computed(one)._replace(outcome="error") for one in log[1:]]
    for one, result in zip(log[1:], failed, strict=True):
        running.add(one, result)
    facts = running.to_keep(store)
    store.commit(Batch(results=failed, facts=facts), sync=True)
    found = totals_of(store, 1)
    assert (found.effective, found.computed, found.summed) == (log[0].seq, 3, 0)
