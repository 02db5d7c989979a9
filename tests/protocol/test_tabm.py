"""TABM itself: keys and their order, the flat form, the JSON form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoshell.errors import AoError
from aoshell.protocol import tabm as tabm_module
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.message import raw, text
from aoshell.protocol.tabm import (
    Tabm,
    flatten,
    from_json,
    in_order,
    normal_key,
    to_json,
    unflatten,
)

BINARIES = st.text(max_size=20) | st.binary(max_size=20).map(text)
KEYS = st.text(min_size=1, max_size=8).filter(lambda key: "/" not in key)


def maps(binaries: st.SearchStrategy[str]) -> st.SearchStrategy[Tabm]:
    """Maps of maps, none of which is empty but perhaps the outermost."""
    inner = st.recursive(
        binaries, lambda values: st.dictionaries(KEYS, values, min_size=1, max_size=3), max_leaves=8
    )
    return st.dictionaries(KEYS, inner, max_size=4)


@given(maps(BINARIES))
def test_the_flat_form_comes_back(tabm: Tabm) -> None:
    assert unflatten(flatten(tabm).items()) == tabm


def test_the_flat_form() -> None:
    assert flatten({"a": "1", "b": {"c": {"d": "2"}, "e": "3"}}) == {
        "a": "1",
        "b/c/d": "2",
        "b/e": "3",
    }
    with pytest.raises(AoError, match="separates keys"):
        flatten({"a": {"b/c": "x"}})


@given(maps(st.text(max_size=20)))
def test_the_json_form_comes_back(tabm: Tabm) -> None:
    assert from_json(to_json(tabm)) == tabm


def test_the_json_form() -> None:
    assert to_json({"b": {"10": "x", "9": "y"}, "a": 'é"'}) == (
        '{"a":"é\\"","b":{"10":"x","9":"y"}}'.encode()
    )
    with pytest.raises(AoError, match="UTF-8 only"):
        to_json({"a": "\udcff"})


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "no JSON"),
        (b"<html>", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[]", "not an object"),
        (b'{"a":1}', "not an object"),
        (b'{"a":"x","a":"y"}', "twice"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"\\ud800":"a"}', "surrogate"),
        (b'{"a":' * 100 + b"{}" + b"}" * 100, "too deep"),
        (b'{"a":' * 100_000, "nested deeper"),
        (b'{"a":' + b"1" * 10_000 + b"}", "more than 100 digits"),
    ],
)
def test_other_json_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(ProtocolError, match=what):
        from_json(data)


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        from_json(data)
    except ProtocolError as error:
        assert 0 <= error.position <= len(data)


@pytest.mark.parametrize(
    ("flat", "what"),
    [
        ([("a", "1"), ("a", "2")], "occurs twice"),
        ([("a", "1"), ("a/b", "2")], "leads through a value"),
        ([("a/b", "2"), ("a", "1")], "occurs twice"),
        ([("a/b", "2"), ("a", {"b": "1"})], "occurs twice"),
        ([("a//b", "1")], "empty key"),
        ([("", "1")], "empty key"),
        ([("/".join("a" * 65), "1")], "too deep"),
    ],
)
def test_paths_that_contradict_each_other(flat: list[tuple[str, str | Tabm]], what: str) -> None:
    with pytest.raises(ProtocolError, match=what):
        unflatten(flat)


def test_keys_are_lower_case_but_for_ids() -> None:
    id_ = "W4amBtAz6EhrLQkTQUL8vzGhf9GM-A8toRy4vZsRBhc"
    assert normal_key("X-Custom") == "x-custom"
    assert normal_key(id_) == id_
    assert normal_key("ÄK") == "Äk"  # ASCII only, as the bytes would have it


@given(st.lists(BINARIES))
def test_order_is_that_of_the_bytes(keys: list[str]) -> None:
    keys = [key for key in keys if not any("\ud800" <= c < "\udc80" for c in key)]
    assert [raw(key) for key in in_order(keys)] == sorted(map(raw, keys))


def test_paths_lead_through_a_bounded_number_of_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabm_module, "MOST_MAPS", 6)
    assert unflatten([("a/b/c/1", "x"), ("a/b/c/2", "x"), ("d/e/f/1", "x")])
    with pytest.raises(ProtocolError, match="through more than 6 maps"):
        unflatten([("a/b/c/1", "x"), ("d/e/f/1", "x"), ("g/1", "x")])
