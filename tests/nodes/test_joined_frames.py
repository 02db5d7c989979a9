"""`nodes.joined.frames` and `codec`: the frames between shells of a home, without a socket."""

from __future__ import annotations

import itertools
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aoshell.errors import STAGES, AoError, UnsupportedError, UsageError
from aoshell.nodes.joined import codec, frames
from aoshell.nodes.joined.codec import pack, unpack
from aoshell.nodes.joined.faults import ErrorForm, JoinError, error_form, to_error
from aoshell.nodes.joined.frames import (
    CHUNK,
    LONGEST_HELLO,
    Assembler,
    Code,
    Hello,
    Payload,
    frames_of,
    read_hello,
)
from aoshell.nodes.joined.server import Joining, NodeState, Welcome
from aoshell.nodes.joined.verbs import VERBS
from aoshell.nodes.values import (
    Event,
    Hop,
    Limits,
    LogEntry,
    Module,
    NodeInfo,
    NotFoundError,
    ProcessInfo,
    Receipt,
    Undelivered,
)
from aoshell.protocol.message import Message, Result, Tag, text

# AO's strings hold any bytes (`protocol.message.text`).
TEXT = st.binary(max_size=40).map(text)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bytes: st.binary(max_size=40),
    type(None): st.none(),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type."""
    if kind in PLAIN:
        return PLAIN[kind]
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*map(values_of, of))
    if origin is Mapping:
        return st.dictionaries(TEXT, values_of(of[1]), max_size=3)
    if origin is list or of[-1:] == (...,):
        items = st.lists(values_of(of[0]), max_size=3)
        return items if origin is list else items.map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, of))
    hints = typing.get_type_hints(kind)
    parts = {name: values_of(hint) for name, hint in hints.items()}
    return st.builds(kind, **parts)


VALUES = (
    *(Message, Result, LogEntry, ProcessInfo, Receipt, Module, NodeInfo, Limits, Undelivered, Hop),
    *(
        Joining,
        Welcome,
        NodeState,
        list[Tag],
        int | str,
        bytes | None,
        tuple[str, int | None, bool],
    ),
)


@pytest.mark.parametrize("kind", VALUES, ids=str)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_values_come_back_as_they_were(kind: Any, data: st.DataObject) -> None:
    value = data.draw(values_of(kind))
    written, blobs = pack(kind, value)
    assert unpack(kind, written, b"".join(blobs)) == value


def test_an_event_has_its_entry() -> None:
    message = Message("i", "o", "f", "t", (Tag("a", "\udcff"),), b"\0\xff")
    entry = LogEntry(message, None)
    for event in (
        Event("notice", "", "", "a sentence"),
        Event("notice", "p", "", "a deed", by="pts/1:2"),
        Event("result", "p", "r", quiet=True, load=lambda: entry),
    ):
        written, blobs = pack(Event, event)
        came = unpack(Event, written, b"".join(blobs))
        assert came.entry == event.entry
        assert (came.kind, came.detail, came.quiet) == (event.kind, event.detail, event.quiet)


@pytest.mark.parametrize(
    "value", [None, 1, 1.5, "x", True, [], {"a": [1, {"b": None}]}, json.loads("[" * 90 + "]" * 90)]
)
def test_a_state_is_any_json(value: object) -> None:
    written, blobs = pack(object, value)
    assert unpack(object, written, b"".join(blobs)) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


@pytest.mark.parametrize("kind", [verb.takes for verb in VERBS.values()], ids=list(VERBS))
@settings(max_examples=25, deadline=None)
@given(value=JSON, blobs=st.binary(max_size=20))
def test_what_a_verb_does_not_take_is_refused(kind: Any, value: object, blobs: bytes) -> None:
    """Each input gives a value of the type, or an error that callers catch."""
    try:
        found = unpack(kind, json.dumps(value).encode(), blobs)
    except (JoinError, AoError):
        return
    assert type(found) is tuple
    assert pack(kind, found)


@pytest.mark.parametrize(
    ("kind", "written", "blobs"),
    [
        (bytes, b"5", b"1234"),  # fewer than it says
        (bytes, b"-1", b""),
        (bytes, b"true", b"1"),
        (bytes, b"1", b"12"),  # more than it says
        (int, b"true", b""),
        (bool, b"1", b""),
        (str, b"null", b""),
        (tuple[str, int], b'["a"]', b""),
        (list[int], b'"12"', b""),
        (Receipt, b'{"id":"a"}', b""),
        (Limits, b"[" * 100 + b"]" * 100, b""),
        (int, b"{", b""),
    ],
)
def test_damage_is_refused(kind: Any, written: bytes, blobs: bytes) -> None:
    with pytest.raises(JoinError):
        unpack(kind, written, blobs)


def test_a_value_of_another_type_is_not_sent() -> None:
    for kind, value in ((int, "1"), (Receipt, 3), (bytes, "x"), (object, {1, 2}), (list[int], 5)):
        with pytest.raises(JoinError):
            pack(kind, value)


@pytest.mark.parametrize(
    "error",
    [
        AoError("what", stage="store", hint="hint"),
        UsageError("what", hint="hint"),
        UnsupportedError("what"),
        NotFoundError("what", stage="node", hint="see .ps"),
    ],
)
def test_errors_keep_class_stage_and_hint(error: AoError) -> None:
    written, blobs = pack(ErrorForm, error_form(error))
    came = to_error(unpack(ErrorForm, written, b"".join(blobs)))
    assert (type(came), str(came), came.stage) == (type(error), str(error), error.stage)
    assert came.stage in STAGES


def test_an_error_without_a_stage_is_refused() -> None:
    with pytest.raises(JoinError):
        to_error(("AoError", "what", "nowhere", ""))


# Frames ---------------------------------------------------------------------------------------


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Data in pieces of these sizes, over and over."""
    pieces, at = [], 0
    for size in itertools.cycle(sizes):
        if at >= len(data):
            return pieces
        pieces.append(data[at : at + size])
        at += size
    return pieces


PAYLOADS = st.lists(
    st.tuples(
        st.sampled_from(list(Code)),
        st.binary(max_size=50),
        st.integers(0, 3 * CHUNK).map(lambda length: b"b" * length),
    ),
    max_size=5,
)


@settings(max_examples=50, deadline=None)
@given(PAYLOADS, st.lists(st.integers(1, 2 * CHUNK), min_size=1, max_size=4), st.randoms())
def test_payloads_come_whole_however_they_are_cut_and_mixed(
    sent: list[tuple[Code, bytes, bytes]], sizes: list[int], random: Any
) -> None:
    expected = [Payload(code, number, *rest) for number, (code, *rest) in enumerate(sent)]
    queues = [list(frames_of(one.code, one.number, one.text, [one.blobs])) for one in expected]
    mixed = []
    while queues := [queue for queue in queues if queue]:
        mixed.append(random.choice(queues).pop(0))
    came = Assembler()
    found = [one for piece in cut(b"".join(mixed), sizes) for one in came.feed(piece)]
    assert sorted(found, key=lambda one: one.number) == expected


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 50))
def test_garbage_is_refused_or_waited_for(garbage: bytes, size: int) -> None:
    came = Assembler()
    try:
        for piece in cut(garbage, [size]):
            for payload in came.feed(piece):
                assert isinstance(payload.code, Code)
    except JoinError:
        pass


def test_a_peer_cannot_make_us_hold_more_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LARGEST", 3 * CHUNK)
    monkeypatch.setattr(frames, "PARTIAL", 5 * CHUNK)
    more = frames._HEAD.pack(Code.CALL | 0x80, 1, CHUNK) + b"x" * CHUNK
    with pytest.raises(JoinError, match="more was begun"):  # one that is too large
        for _ in range(5):
            list(Assembler().feed(more * 5))
    came = Assembler()
    with pytest.raises(JoinError, match="more was begun"):  # many that are not
        for number in range(9):
            list(came.feed(frames._HEAD.pack(Code.CALL | 0x80, number, CHUNK) + b"x" * CHUNK))
    came = Assembler()
    with pytest.raises(JoinError, match="more was begun"):  # many small ones
        for number in range(frames.UNFINISHED + 1):
            list(came.feed(frames._HEAD.pack(Code.CALL | 0x80, number, 1) + b"x"))
    with pytest.raises(JoinError, match="may be sent"):
        list(frames_of(Code.CALL, 1, b"x" * (3 * CHUNK), []))
    with pytest.raises(JoinError, match="are allowed"):
        list(Assembler().feed(frames._HEAD.pack(Code.CALL, 1, CHUNK + 1)))


@pytest.mark.parametrize(
    "payload", [b"", b"\0\0", b"\0\0\0\5abc", b"\xff\xff\xff\xffabc"], ids=["0", "2", "5", "max"]
)
def test_a_payload_that_lies_about_its_length_is_refused(payload: bytes) -> None:
    with pytest.raises(JoinError):
        list(Assembler().feed(frames._HEAD.pack(Code.CALL, 1, len(payload)) + payload))


def test_a_hello_is_a_line_of_one_form() -> None:
    hello = Hello(7, "1.2.3rc1", 4711)
    line = hello.line()
    for end in range(len(line)):
        assert read_hello(line[:end]) is None
    assert read_hello(line + b"rest") == (hello, b"rest")


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"GET / HTTP/1.1\r\n",
        b"aoshell-node 1 1.0\n",
        b"aoshell-node x 1.0 1\n",
        b"aoshell-node 1 1.0 1 \n",
        b"aoshell-node 1 \x1b[31m 1\n",
        b"x" * LONGEST_HELLO,
        b"aoshell-node 1 1.0 " + b"1" * 200,
    ],
)
def test_other_greetings_are_refused(line: bytes) -> None:
    with pytest.raises(JoinError):
        read_hello(line)


@given(st.binary(max_size=300))
def test_no_greeting_breaks_the_reader(line: bytes) -> None:
    try:
        read_hello(line)
    except JoinError:
        return


def test_every_verb_has_a_form() -> None:
    for verb in VERBS.values():
        assert codec.form_of(verb.takes) and codec.form_of(verb.answer)
