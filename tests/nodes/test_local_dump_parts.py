"""The stream of a dump, and generated logs."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from dumped import dump, load, pieces, rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aoshell.nodes.local.history import parts
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.rows import Batch, Computed, Kept, Logged, ProcessRow
from aoshell.nodes.local.log.store import Store
from aoshell.protocol.encoding import b64url
from aoshell.sandbox import environment

pytestmark = pytest.mark.long

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), 1 << 63) | st.text(max_size=60),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)
RECORDS = st.lists(
    st.dictionaries(st.text(max_size=9), VALUES, min_size=1, max_size=3), max_size=12
)


@pytest.fixture(autouse=True, scope="module")
def little_parts():
    """Bounds that short tests reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART", 200)
        patch.setattr("aoshell.nodes.local.history.records.LITTLE", 2000)
        yield


@given(RECORDS, st.integers(1, 300))
def test_records_go_round_however_the_bytes_come(records, size):
    data = b"".join(parts.write_parts(records))
    assert list(parts.read_parts(pieces(data, size))) == records


@given(RECORDS, st.data())
def test_no_change_goes_unseen(records, data):
    whole = b"".join(parts.write_parts(records))
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = data.draw(
        st.sampled_from(
            [
                whole[:at],
                whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :],
                whole[:at] + data.draw(st.binary(min_size=1, max_size=9)) + whole[at:],
                whole[:at] + whole[at + 1 :],
            ]
        )
    )
    if changed != whole:
        with pytest.raises(ValueError, match=r"."):
            list(parts.read_parts([changed]))


def test_parts_can_neither_change_places_nor_be_left_out():
    records = [{"n": number, "text": "x" * 250} for number in range(3)]
    begin, one, two, _three, end = parts.write_parts(records)
    for stream in ((begin, two, one, end), (begin, two, end), (begin, one, one, end)):
        with pytest.raises(ValueError, match=r"of part [01] have changed"):
            list(parts.read_parts(stream))


IDS = st.binary(min_size=32, max_size=32).map(b64url)
BYTES = st.binary(max_size=40).map(lambda data: data.decode("latin-1"))
BODIES = st.builds(
    lambda id, data, tags: form.dump_wire([id, id, id, id, data, "", "", *tags]),
    *(IDS, BYTES, st.lists(st.tuples(BYTES, BYTES), max_size=3).map(lambda two: sum(two, ()))),
)
SIGNED = st.none() | st.binary(min_size=1, max_size=40)


@st.composite
def logs(draw):
    """What a node could have in its database: processes, and messages that cause others."""
    module = environment.pack({"process": "-- nothing"})
    module_id = environment.module_id(module)
    batch = Batch(modules=[(module_id, "environment", module, draw(st.integers(0, 99)))])
    ids = draw(st.lists(IDS, min_size=1, max_size=3, unique=True))
    names = st.text(st.characters(categories=["L", "N"]), max_size=5)
    for number, process_id in enumerate(ids, 1):
        columns = (number * 3, process_id, draw(names), draw(IDS), module_id, module_id, 5, "[]", 9)
        batch.processes.append(ProcessRow(*columns))
    ends = dict.fromkeys((row.number for row in batch.processes), (-1, 0))
    pending: set[int] = set()  # processes whose next messages have no result either
    seq, senders, roots = 0, [], {}
    todo = [row.number for row in batch.processes]
    todo += draw(st.lists(st.sampled_from(todo), max_size=15))
    for process in todo:
        seq += draw(st.integers(1, 3))
        slot, tick = ends[process]
        cron = slot >= 0 and draw(st.booleans())
        ends[process] = slot, tick = (slot, tick + 1) if cron else (slot + 1, 0)
        cause = draw(st.sampled_from([None, *senders]))
        idx = None if cause is None else seq
        roots[seq] = seq if cause is None else roots[cause]
        columns = (cause, idx, roots[seq], 0, 7 * seq, seq, draw(IDS), draw(SIGNED), draw(BODIES))
        batch.log.append(Logged(seq, process, slot, tick, draw(IDS | st.just("")), *columns))
        if process in pending or draw(st.integers(0, 5)) == 0:
            pending.add(process)
            continue
        flat = form.dump_result(form.FlatResult(False, draw(BYTES), "", False, 0, [0, 0]))
        batch.results.append(Computed(seq, "ok", draw(st.floats(0, 9)), 1, 2, 0, flat))
        senders.append(seq)
        if draw(st.booleans()):
            kept = (draw(st.text(max_size=9)), draw(st.integers(0, 3)), draw(BYTES), draw(IDS))
            batch.kept.append(Kept(seq, 1 << 20, *kept, draw(BODIES)))
    batch.facts["paused"] = json.dumps(draw(st.lists(st.sampled_from(ids), unique=True)))
    return batch


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(logs())
def test_any_log_goes_round(batch):
    """An empty home keeps the numbers; another home gives new ones in the same order."""
    with TemporaryDirectory() as place:
        first, second = Path(place) / "first", Path(place) / "second"
        with closing(Store(first)) as store:
            store.commit(batch, sync=False)
        data = dump(first)
        assert load(second, data).waits == len(batch.log) - len(batch.results)
        assert rows(first, *("processes", "log", "results", "kept", "modules")) == rows(
            second, *("processes", "log", "results", "kept", "modules")
        )
        with closing(Store(second)) as store:
            assert [row.seq for row in store.pending()] == [
                row.seq for row in batch.log if row.seq not in {one.seq for one in batch.results}
            ]
