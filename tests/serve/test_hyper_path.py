"""Paths of AO-Core, valid and invalid ones."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoshell.serve.asgi.http import RequestError
from aoshell.serve.hyper.path import (
    LONGEST,
    LONGEST_KEY,
    MOST_PARAMETERS,
    MOST_SEGMENTS,
    Segment,
    parse_path,
)

ID = "sXN22WkSKEVAyYZoeYABBgyKTsK54B5zYtVWXsQ-m4I"


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/", ()),
        ("//", ()),
        ("/~meta@1.0/info/address", (Segment("", "meta@1.0"), Segment("info"), Segment("address"))),
        (f"/{ID}/slot/current", (Segment(ID), Segment("slot"), Segment("current"))),
        (
            f"/{ID}~process@1.0/compute&slot=7/results",
            (
                Segment(ID, "process@1.0"),
                Segment("compute", "", None, (("slot", "7"),)),
                Segment("results"),
            ),
        ),
        (
            f"/{ID}/compute/results=3",
            (Segment(ID), Segment("compute"), Segment("results", "", "3")),
        ),
        ("/as=execution/compute", (Segment("as", "", "execution"), Segment("compute"))),
        (
            "/compute&Action=Info&Foo=a%20b%2Fc%26d",
            (Segment("compute", "", None, (("Action", "Info"), ("Foo", "a b/c&d"))),),
        ),
        (
            "/push&slot=2&result-depth+integer=1000",
            (Segment("push", "", None, (("slot", "2"), ("result-depth", "1000"))),),
        ),
        ("/now/serialize~json@1.0", (Segment("now"), Segment("serialize", "json@1.0"))),
        (f"/{ID}%7Eprocess%401.0/now", (Segment(ID, "process@1.0"), Segment("now"))),
        ("/%7eprocess@1.0", (Segment("", "process@1.0"),)),
        ("/x=a~b", (Segment("x", "", "a~b"),)),
        ("/../%2e%2e/..%2fetc", (Segment(".."), Segment(".."), Segment("../etc"))),
        ("/%ff", (Segment("\udcff"),)),
        ("/a&", (Segment("a"),)),
        ("/a&b", (Segment("a", "", None, (("b", ""),)),)),
    ],
)
def test_what_clients_send(path: str, segments: tuple[Segment, ...]) -> None:
    assert parse_path(path) == segments


def test_a_parameter_is_found_in_any_case() -> None:
    (segment,) = parse_path("/compute&SLOT=1&slot=2")
    assert (segment.parameter("slot"), segment.parameter("none")) == ("1", None)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/" + "a" * LONGEST, 414),
        ("/a" * (MOST_SEGMENTS + 1), 400),
        ("/" + "a" * (LONGEST_KEY + 1), 400),
        ("/a~" + "b" * (LONGEST_KEY + 1), 400),
        ("/a&" + "&".join("b" * (MOST_PARAMETERS + 1)), 400),
        ("/(a/b)", 400),
    ],
)
def test_what_exceeds_a_bound_is_refused(path: str, status: int) -> None:
    with pytest.raises(RequestError) as caught:
        parse_path(path)
    assert caught.value.status == status


def test_what_reaches_a_bound_is_read() -> None:
    whole = "/a" * MOST_SEGMENTS
    assert len(parse_path("/" * (LONGEST - len(whole)) + whole)) == MOST_SEGMENTS
    assert parse_path("/" + "a" * LONGEST_KEY)[0].key == "a" * LONGEST_KEY
    most = parse_path("/a&" + "&".join("b" * MOST_PARAMETERS))
    assert len(most[0].parameters) == MOST_PARAMETERS


PRINTABLE = st.characters(
    exclude_categories=("C", "Z"), include_characters=" ", exclude_characters="+~"
)
NAMES = st.text(PRINTABLE, min_size=1, max_size=8)


@given(st.lists(st.tuples(NAMES, st.lists(st.tuples(NAMES, NAMES), max_size=3)), max_size=6))
def test_what_is_encoded_comes_back(steps: list[tuple[str, list[tuple[str, str]]]]) -> None:
    path = "".join(
        f"/{quote(key, safe='')}"
        + "".join(f"&{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters)
        for key, parameters in steps
    )
    assert parse_path(path) == tuple(
        Segment(key, "", None, tuple(parameters)) for key, parameters in steps
    )


@given(st.text(max_size=200))
def test_whatever_comes_is_read_or_refused(path: str) -> None:
    try:
        assert len(parse_path(path)) <= path.count("/") + 1
    except RequestError as error:
        assert 400 <= error.status < 500
