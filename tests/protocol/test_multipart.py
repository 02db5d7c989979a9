"""Bodies of parts and the fields around them: what is written comes back, the rest is refused."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoshell.errors import AoError
from aoshell.protocol import multipart, wire
from aoshell.protocol.commitment import CURRENT, EDGE, Profile
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.message import text
from aoshell.protocol.multipart import boundary_of
from aoshell.protocol.tabm import Tabm

LINES = (st.text(max_size=12) | st.binary(max_size=12).map(text)).filter(
    lambda value: not re.search("\r\n", value)
)
ANY = st.binary(max_size=20).map(text) | st.sampled_from(
    ["", "\r\n", "a\r\n\r\nb", "--", "x" * 4096, "é" * 3000, "\r\n" * 3000]
)
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,6}", fullmatch=True).filter(
    lambda key: key not in ("body", "data", "content-type") and key not in wire.TRANSPORT
)
IDS = st.text("AbCd_-", min_size=43, max_size=43)


def maps(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    bodies = st.fixed_dictionaries({}, optional={"body": ANY | inner, "data": ANY | inner})
    return st.tuples(st.dictionaries(NAMES | IDS, inner | LINES, max_size=3), bodies).map(
        lambda pair: pair[0] | pair[1]
    )


MESSAGES = maps(st.recursive(LINES, maps, max_leaves=6))


def ambiguous(message: Any) -> bool:
    """Whether a map holds both `body` and `data`, of which `data` must then suit a header line."""
    return isinstance(message, dict) and (
        bool("\r\n" in str(message.get("data")) and "body" in message)
        or any(map(ambiguous, message.values()))
    )


@given(MESSAGES.filter(lambda message: not ambiguous(message)), st.sampled_from([EDGE, CURRENT]))
def test_messages_come_back(message: Tabm, profile: Profile) -> None:
    try:
        fields, body = wire.encode(message, profile)
    except AoError as error:  # ao-ids carries ASCII only
        assert profile is EDGE and "printable ASCII" in error.what
        return
    assert wire.decode(fields, body or b"")[0] == message
    assert (fields, body) == wire.encode(dict(reversed(message.items())), profile)


def test_the_form_of_a_part() -> None:
    content_type, body = multipart.encode({"m": {"a": "1", "data": "x\r\ny"}, "big": "z"}, "body")
    boundary = boundary_of(content_type)
    assert body.decode() == (
        f"--{boundary}\r\n"
        'content-disposition: form-data;name="big"\r\n'
        "\r\n"
        "z\r\n"
        f"--{boundary}\r\n"
        "a: 1\r\n"
        "ao-body-key: data\r\n"
        "content-digest: sha-256=:uB1U3j05whDJV5+Lf0wM9o1DlKBowVCubSVWNxZ1sy0=:\r\n"
        'content-disposition: form-data;name="m"\r\n'
        "\r\n"
        "x\r\ny\r\n"
        f"--{boundary}--"
    )


def test_the_inline_key_names_a_part() -> None:
    _, body = multipart.encode({"body": {"a": "1"}, "m": {"b": "2"}}, "body")
    assert b"a: 1\r\ncontent-disposition: inline\r\n" in body
    fields, body_of_data = wire.encode({"data": {"a": "1"}})
    assert fields["ao-body-key"] == "data"
    assert b"content-disposition: inline" in (body_of_data or b"")


def test_where_a_value_goes_depends_on_its_length() -> None:
    fields, body = wire.encode({"short": "x" * 4096, "long": "x" * 4097})
    assert "short" in fields and "long" not in fields
    assert body and b'name="long"' in body
    _, body = wire.encode({"m": {"long": "é" * 2049}})
    assert body and b'name="m/long"' in body


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ({"m": {"a": "x\r\ny"}}, "line break"),
        ({"m": {"a/b": "x"}}, "cannot be carried"),
        ({"m": {'a"': "x"}}, "cannot be carried"),
        ({"m": {"a: b": "x"}}, "cannot be carried"),
        ({"m": {"a\r": "x"}}, "cannot be carried"),
        ({"m": {"content-disposition": "x"}}, "cannot be carried"),
        ({"m": {"a": "b"}, "content-type": "text/plain"}, "no place for content-type"),
    ],
)
def test_what_parts_cannot_carry_is_refused(message: Tabm, what: str) -> None:
    with pytest.raises(AoError, match=what):
        wire.encode(message)


PART = b'--b\r\na: 1\r\ncontent-disposition: form-data;name="m"'


@pytest.mark.parametrize(
    ("body", "what", "position"),
    [
        (b"", "no first boundary", 0),
        (b"<html>", "no first boundary", 0),
        (PART, "no boundary after the last part", len(PART)),
        (PART + b"\r\n--b", "a boundary with bytes after it", len(PART) + 5),
        (PART + b"\r\n--b--x", "bytes after the last boundary", len(PART) + 7),
        (PART + b"\r\n" + PART + b"\r\n--b--", "occurs twice", 0),
        (b"--b\r\na: 1\r\n--b--", "without a name", 5),
        (PART + b"\r\nbad\r\n--b--", "no header: 'bad'", len(PART) + 2),
        (PART + b"\r\na: 2\r\n--b--", "a header twice: 'a: 2'", len(PART) + 2),
        (PART + b"\r\nao-body-key: a\r\n\r\nx\r\n--b--", "in a header and in the body", 5),
        (PART.replace(b'"m"', b'"m//n"') + b"\r\n--b--", "empty key", 0),
        (PART.replace(b'"m"', b'"' + b"m/" * 99 + b'm"') + b"\r\n--b--", "too deep", 0),
        (PART + b"\r\ncontent-digest: sha-256=:AA==:\r\n\r\nx\r\n--b--", "not the one", 0),
    ],
)
def test_other_bodies_are_refused(body: bytes, what: str, position: int) -> None:
    with pytest.raises(ProtocolError, match=what) as caught:
        multipart.decode(body, "b", "body")
    assert caught.value.position == position


def test_parts_may_come_in_any_order_and_number() -> None:
    inner: Tabm = {f"k{n}": {"a": str(n)} for n in range(5000)}
    message: Tabm = {"m": inner | {"z": "1"}}
    content_type, body = multipart.encode(message, "body")
    boundary = boundary_of(content_type) or ""
    assert multipart.decode(body, boundary, "body") == message
    many = b"\r\n".join(b"--b\r\ncontent-disposition: inline\r\n\r\n" for _ in range(20_001))
    with pytest.raises(ProtocolError, match="more than 20000 parts"):
        multipart.decode(many + b"\r\n--b--", "b", "body")


def test_fields_and_parts_may_not_say_the_same() -> None:
    fields, body = wire.encode({"m": {"a": "b"}})
    with pytest.raises(ProtocolError, match="'m' in a header and in the body"):
        wire.decode(fields | {"m": "x"}, body or b"")


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", 'multipart/x; boundary="a"; y=z'],
)
def test_parts_need_a_boundary(content_type: str) -> None:
    with pytest.raises(ProtocolError, match="without a boundary"):
        boundary_of(content_type)


def test_headers_of_one_name_are_joined() -> None:
    assert wire.join([(b"A", b"x"), (b"a", b"\xff")]) == {"a": "x, \udcff"}
    assert wire.join({"Content-Type": "x"}) == {"content-type": "x"}
    with pytest.raises(ProtocolError, match="no name of a header"):
        wire.join({"a b": "x"})


@given(st.binary(max_size=200), st.integers(0, 300), MESSAGES)
def test_no_body_raises_anything_else(junk: bytes, at: int, message: Tabm) -> None:
    try:
        content_type, body = multipart.encode({"m": message}, "body")
    except AoError:
        return
    boundary = boundary_of(content_type) or ""
    bodies = [body[:at] + junk + body[at:], body[:at], body[:at] + body[at + 1 :], junk]
    for candidate in bodies:
        try:
            multipart.decode(candidate, boundary, "body")
        except ProtocolError as error:
            assert 0 <= error.position <= len(candidate)


def test_the_boundary_follows_from_the_parts() -> None:
    bodies = [multipart.encode({"m": {"a": str(n)}}, "body") for n in range(3)]
    assert all(one[0] != other[0] for one, other in pairwise(bodies))
    assert bodies[0] == multipart.encode({"m": {"a": "0"}}, "body")


def test_the_header_lines_of_all_parts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MOST_LINES", 7)

    def body(lines: int, content: str = "") -> bytes:
        keys = "".join(f"k{number}: v\r\n" for number in range(lines - 1))
        part = f'{keys}content-disposition: form-data;name="%s"\r\n\r\n{content}\r\n'
        return f"--b\r\n{part % 'p'}--b\r\n{part % 'q'}--b--".encode()

    assert multipart.decode(body(3, "\r\n" * 100), "b", "body").keys() == {"p", "q"}
    with pytest.raises(ProtocolError, match="more than 7 lines of headers"):
        multipart.decode(body(4), "b", "body")
