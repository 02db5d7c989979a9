"""The TCG event log: read to its last byte, and believed no further than it replays."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tpm_writer import LogDraft, boot_log, variable

from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm.eventlog import (
    LARGEST_DATA,
    LARGEST_LOG,
    MOST_EVENTS,
    check_replay,
    read_event_log,
)
from aoshell.attest.tpm.structures import SHA256

ZEROS = bytes(32)


def refused(data: bytes, error: str = "EVENT_LOG_MALFORMED") -> str:
    with pytest.raises(EvidenceError) as raised:
        read_event_log(data)
    assert raised.value.error == error
    return raised.value.what


def test_a_boot_replays() -> None:
    draft = boot_log()
    log = read_event_log(draft.write())
    assert log.replay() == draft.pcrs()
    quoted = dict.fromkeys(range(15), ZEROS) | draft.pcrs()
    assert check_replay(log, quoted) == (0, 1, 2, 3, 4, 5, 6, 7, 11)
    assert [one.number for one in log.of(7)] == [3, 4, 5, 6, 7, 8, 19]
    matched = [one.matched for one in log.events]
    assert matched[:8] == [True, False, *[True] * 6]


@given(
    banks=st.lists(st.sampled_from([0x04, 0x0C, 0x0D, 0x12]), unique=True, max_size=4),
    events=st.lists(
        st.tuples(st.integers(0, 16), st.integers(4, 1 << 31), st.binary(max_size=80)), max_size=12
    ),
    vendor=st.binary(max_size=20),
)
def test_logs_come_back(
    banks: list[int], events: list[tuple[int, int, bytes]], vendor: bytes
) -> None:
    draft = LogDraft([*banks, SHA256], vendor)
    for pcr, kind, data in events:
        draft.add(pcr, kind, data)
    log = read_event_log(draft.write())
    assert [(one.pcr, one.type, one.data) for one in log.events] == events
    assert all(one.matched for one in log.events)
    assert log.replay() | {0: draft.pcrs()[0]} == draft.pcrs()


def test_nothing_may_be_cut_off_or_added() -> None:
    draft = boot_log()
    data, whole = draft.write(), len(read_event_log(draft.write()).events)
    for end in range(len(data)):
        try:
            log = read_event_log(data[:end])
        except EvidenceError as error:
            assert error.error == "EVENT_LOG_MALFORMED"
        else:  # cut between two events: then it does not replay
            assert len(log.events) < whole
            with pytest.raises(EvidenceError):
                check_replay(log, dict.fromkeys(range(15), ZEROS) | draft.pcrs())
    for more in (b"\0", bytes(32), bytes(4096), b"\xff" * 64):
        refused(data + more)


def test_each_bit_counts() -> None:
    """A flip is refused, breaks the replay, or changes what was not extended: a type, or data that
    is not matched then."""
    draft = boot_log(banks=[SHA256])
    data = draft.write()
    before = read_event_log(data)
    quoted = dict.fromkeys(range(15), ZEROS) | draft.pcrs()
    for at in range(8 * len(draft.header()), 8 * len(data), 5):  # each byte, at bits that vary
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        try:
            after = read_event_log(bytes(changed))
            check_replay(after, quoted)
        except EvidenceError as error:
            assert error.error in ("EVENT_LOG_MALFORMED", "EVENT_LOG_REPLAY")
            continue
        [(old, new)] = [
            (old, new) for old, new in zip(before.events, after.events, strict=True) if old != new
        ]
        assert old.digest == new.digest
        assert old.pcr == new.pcr
        assert old.data == new.data or not new.matched


def header(draft: LogDraft, **changed: Any) -> bytes:
    return draft.header(**changed) + draft.body


FULL = boot_log()
FAULTS = {
    "nothing": b"",
    "zeros": bytes(100),
    "text": b"no log at all, but a text that is long enough to be one",
    "another signature": header(FULL, signature=b"Spec ID Event02\0"),
    "SHA-1 alone, older form": struct.pack("<II20sI", 0, 8, bytes(20), 4) + b"1.0\0",
    "SHA-1 alone, newer form": LogDraft([0x04]).add(0, 8, b"1.0\0").write(),
    "no algorithm": header(FULL, count=0),
    "2^32 algorithms": header(FULL, count=0xFFFFFFFF),
    "one algorithm announced": header(FULL, count=1),
    "an unknown algorithm": LogDraft([SHA256, 0x7777]).add(0, 8, b"").write(),
    "an algorithm twice": LogDraft([SHA256, SHA256]).add(0, 8, b"").write(),
    "another size of digests": LogDraft([SHA256]).write().replace(b"\x0b\0\x20", b"\x0b\0\x30"),
    "a header of PCR 1": b"\x01" + FULL.write()[1:],
    "a header of another type": FULL.write()[:4] + b"\x04" + FULL.write()[5:],
    "a header with a digest": FULL.write()[:8] + b"\x01" + FULL.write()[9:],
    "vendor bytes that are missing": LogDraft([SHA256]).header()[:-1] + b"\x05" + FULL.body,
    "a header of 2^32 bytes": FULL.write()[:28] + b"\xff" * 4 + FULL.write()[32:],
    "another algorithm in an event": FULL.header() + FULL.body.replace(b"\x0b\0", b"\x0c\0", 1),
    "PCR 24": LogDraft().add(24, 8, b"").write(),
    "PCR 2^32 - 1": LogDraft().add(0xFFFFFFFF, 8, b"").write(),
    "a locality twice": LogDraft()
    .add(0, 3, b"StartupLocality\0\x03")
    .add(0, 3, b"StartupLocality\0\x03")
    .write(),
    "a late locality": LogDraft().add(0, 8, b"").add(0, 3, b"StartupLocality\0\x03").write(),
    "a locality of PCR 1": LogDraft().add(1, 3, b"StartupLocality\0\x03").write(),
    "another locality": LogDraft().add(0, 3, b"StartupLocality\0\x05").write(),
    "a long locality": LogDraft().add(0, 3, b"StartupLocality\0\x03\0").write(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(fault: str) -> None:
    refused(FAULTS[fault])


def event(*digests: tuple[int, bytes], count: int | None = None, size: int = 0) -> bytes:
    data = struct.pack("<III", 0, 8, len(digests) if count is None else count)
    for algorithm, digest in digests:
        data += struct.pack("<H", algorithm) + digest
    return data + struct.pack("<I", size)


EVENTS = {
    "no digest": event(),
    "SHA-1 alone": event((4, bytes(20))),
    "an algorithm that was not announced": event((0x0C, bytes(48)), (SHA256, ZEROS)),
    "an algorithm twice": event((SHA256, ZEROS), (SHA256, ZEROS)),
    "more digests than algorithms": event((4, bytes(20)), (SHA256, ZEROS), (SHA256, ZEROS)),
    "2^32 digests": event((SHA256, ZEROS), count=0xFFFFFFFF),
    "data of 2^32 bytes": event((SHA256, ZEROS), size=0xFFFFFFFF),
    "data that is missing": event((SHA256, ZEROS), size=1),
    "a half digest": event((SHA256, ZEROS[:16])),
}


@pytest.mark.parametrize("fault", EVENTS)
def test_faults_of_an_event(fault: str) -> None:
    refused(LogDraft([4, SHA256]).header() + EVENTS[fault])


def test_an_event_may_leave_out_other_banks() -> None:
    log = read_event_log(LogDraft([4, SHA256]).header() + event((SHA256, ZEROS)))
    assert [one.digest for one in log.events] == [ZEROS]


def test_what_is_not_extended() -> None:
    draft = LogDraft().add(0, 3, b"anything").add(0, 8, b"1.0").add(0xFFFFFFFF, 3, b"elsewhere")
    log = read_event_log(draft.write())
    assert len(log.events) == 3 and len(log.of(0)) == 1
    assert log.replay() == {0: hashlib.sha256(ZEROS + hashlib.sha256(b"1.0").digest()).digest()}
    assert not log.events[0].matched


def test_the_locality_is_where_pcr_0_begins() -> None:
    draft = LogDraft().add(0, 3, b"StartupLocality\0\x03").add(0, 8, b"1.0")
    log = read_event_log(draft.write())
    assert log.replay() == draft.pcrs(start=3)
    assert check_replay(log, draft.pcrs(start=3)) == (0,)
    with pytest.raises(EvidenceError):
        check_replay(log, draft.pcrs())
    alone = read_event_log(LogDraft().add(0, 3, b"StartupLocality\0\x04").write())
    assert check_replay(alone, {0: bytes(31) + b"\x04"}) == ()


def test_pcrs_that_the_log_does_not_account_for() -> None:
    draft = boot_log()
    log, quoted = read_event_log(draft.write()), draft.pcrs()
    others = {10: b"i" * 32, 15: b"b" * 32, 16: b"d" * 32, 23: b"a" * 32}
    assert 10 not in check_replay(log, quoted | others)
    for pcr in (0, 1, 4, 7, 11):
        with pytest.raises(EvidenceError) as raised:
            check_replay(log, quoted | {pcr: ZEROS})
        assert raised.value.error == "EVENT_LOG_REPLAY" and raised.value.what.endswith(f"PCR {pcr}")
    with pytest.raises(EvidenceError) as raised:  # a PCR left out of the log altogether
        check_replay(log, quoted | {14: b"m" * 32})
    assert raised.value.what.endswith("PCR 14")


def test_an_edited_variable() -> None:
    """Its data alone: not matched any more. Its digest too: the log does not replay."""
    on, off = variable("SecureBoot", b"\x01"), variable("SecureBoot", b"\0")
    draft = boot_log(secure_boot=b"\0")
    quoted = dict.fromkeys(range(15), ZEROS) | draft.pcrs()
    edited = read_event_log(draft.write().replace(off, on))
    assert check_replay(edited, quoted)
    assert not edited.of(7)[0].matched
    digests = hashlib.sha256(off).digest(), hashlib.sha256(on).digest()
    forged = read_event_log(draft.write().replace(off, on).replace(*digests))
    assert all(one.matched for one in forged.of(7))
    with pytest.raises(EvidenceError) as raised:
        check_replay(forged, quoted)
    assert raised.value.error == "EVENT_LOG_REPLAY"


def test_the_largest_log() -> None:
    draft = LogDraft([SHA256])
    left = LARGEST_LOG - len(draft.header())
    body = b""
    while left:
        size = min(LARGEST_DATA, left - 50)
        if 0 < left - 50 - size < 50:
            size -= 50
        body += event((SHA256, ZEROS), size=size) + bytes(size)
        left -= 50 + size
    data = draft.header() + body
    assert len(data) == LARGEST_LOG
    assert len(read_event_log(data).replay()) == 1
    assert "is the most" in refused(data + b"\0")


def test_the_most_events_and_the_largest() -> None:
    one = event((SHA256, ZEROS))
    head = LogDraft([SHA256]).header()
    assert len(read_event_log(head + one * MOST_EVENTS).events) == MOST_EVENTS
    assert "events" in refused(head + one * (MOST_EVENTS + 1))
    large = event((SHA256, ZEROS), size=LARGEST_DATA)
    assert read_event_log(head + large + bytes(LARGEST_DATA))
    larger = event((SHA256, ZEROS), size=LARGEST_DATA + 1)
    assert "is the most" in refused(head + larger + bytes(LARGEST_DATA + 1))


@given(data=st.binary(max_size=200), at=st.integers(0, 3000), cut=st.integers(0, 8))
def test_anything(data: bytes, at: int, cut: int) -> None:
    good = FULL.write()
    for tried in (data, FULL.header() + data, good[:at] + data + good[at + cut :]):
        try:
            read_event_log(tried).replay()
        except EvidenceError as error:
            assert error.error == "EVENT_LOG_MALFORMED"
