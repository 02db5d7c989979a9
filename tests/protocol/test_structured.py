"""AO's structured types: rich values to TABM and back, and what has no place there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoshell.errors import AoError
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.message import text
from aoshell.protocol.structured import (
    LARGEST_INTEGER,
    LARGEST_READ,
    Atom,
    LinkedItem,
    from_tabm,
    read_types,
    to_tabm,
    value_of,
    write_types,
)
from aoshell.protocol.tabm import DEEPEST, TYPES, Tabm

TEXT = st.text(max_size=20) | st.binary(max_size=20).map(text)
LOWER = st.characters(max_codepoint=0x7F, exclude_categories=["Lu"])
KEYS = st.text(LOWER, min_size=1, max_size=12).filter(
    lambda key: key not in ("ao-types", "commitments")
) | st.sampled_from(["1", "2", "é", "a b", "a/b", "100%", ".a", "\udcff", "x" * 43, "A" * 43])
LEAVES = (
    TEXT
    | st.booleans()
    | st.none()
    | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.from_regex(r"[a-z][a-z_]{0,9}", fullmatch=True)
    .filter(lambda name: name not in ("true", "false", "null"))
    .map(Atom)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.dictionaries(KEYS, VALUES, max_size=6)


def same(one: Any, other: Any) -> bool:
    """Equality that tells 1 from 1.0 and True, and text from atoms."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@given(MESSAGES)
def test_values_come_back(message: dict[str, Any]) -> None:
    assert same(from_tabm(to_tabm(message)), message)


@pytest.mark.parametrize(
    ("value", "binary", "kind"),
    [
        (42, "42", "integer"),
        (-7, "-7", "integer"),
        (1.5, "1.50000000000000000000e+00", "float"),
        (-0.1, "-1.00000000000000005551e-01", "float"),
        (True, "true", "atom"),
        (None, "null", "atom"),
        (Atom("some_atom"), "some_atom", "atom"),
    ],
)
def test_types_are_noted(value: Any, binary: str, kind: str) -> None:
    assert to_tabm({"K": value}) == {"k": binary, "ao-types": f'k="{kind}"'}


def test_lists_and_empty_values() -> None:
    assert to_tabm({"l": ("a", 2), "e": [], "m": {}, "s": "", "b": b"\xff"}) == {
        "l": {"1": "a", "2": "2", "ao-types": '.="list", 2="integer"'},
        "e": {"ao-types": '.="list"'},
        "m": {},
        "s": "",
        "b": "\udcff",
    }


def test_what_other_versions_wrote_is_read() -> None:
    tabm: Tabm = {
        "ao-types": 'a="atom", b="empty-binary", l="list", el="empty-list", em="empty-message", '
        'n=integer, m="list"',
        "a": '"ok"',
        "n": "5",
        "l": r'"x, y", "(ao-type-integer) 1", "(ao-type-atom) \"yes\""',
        "m": {"1": "x"},
    }
    assert from_tabm(tabm) == {
        "a": Atom("ok"),
        "b": "",
        "el": [],
        "em": {},
        "n": 5,
        "l": ["x, y", 1, Atom("yes")],
        "m": ["x"],
    }


def test_a_message_that_is_a_list_has_its_places_as_keys() -> None:
    listed: Tabm = {"1": "a", "2": "2", "ao-types": '.="list", 2="integer"'}
    assert from_tabm(listed) == {"1": "a", "2": 2}


def test_links_stay_and_may_be_items() -> None:
    assert from_tabm({"a+link": "id"}) == {"a+link": "id"}
    assert from_tabm({"l": {"1+link": "id", "2": "x", "ao-types": '.="list"'}}) == {
        "l": ["id", "x"]
    }


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ({"n": 10**15}, "more than 15 digits"),
        ({"f": float("inf")}, "no number"),
        ({"f": float("nan")}, "no number"),
        ({"A": 1, "a": 2}, "occurs twice"),
        ({"x": {1, 2}}, "a set"),
        ({"x": object()}, "a object"),
        ({"ao-types": "x"}, "written by the codec"),
        ({"": "x"}, "no key"),
        ({1: "x"}, "no key"),
        ({"x": "\ud800"}, "surrogate"),
        ({"x\ud800": "y"}, "surrogate"),
        ({"x": Atom("a b")}, "cannot be an atom"),
        ({"x": Atom("true")}, "cannot be an atom"),
    ],
)
def test_values_without_a_form_are_refused(message: Any, what: str) -> None:
    with pytest.raises(AoError, match=what) as caught:
        to_tabm(message)
    assert caught.value.stage == "message"


@pytest.mark.parametrize(
    ("tabm", "what"),
    [
        ({"n": "x", "ao-types": 'n="integer"'}, "no integer"),
        ({"n": str(2**64), "ao-types": 'n="integer"'}, "more than 64 bits"),
        ({"n": f"-{2**64}", "ao-types": 'n="integer"'}, "more than 64 bits"),
        ({"n": "1" * 21, "ao-types": 'n="integer"'}, "no structured item"),
        ({"n": "1" * 1_000_000, "ao-types": 'n="integer"'}, "no structured item"),
        ({"n": "1.5", "ao-types": 'n="integer"'}, "no integer"),
        ({"n": "1e5", "ao-types": 'n="float"'}, "no float"),
        ({"n": "nan", "ao-types": 'n="float"'}, "no float"),
        ({"n": "1.0e999", "ao-types": 'n="float"'}, "out of range"),
        ({"n": "a b", "ao-types": 'n="atom"'}, "no atom"),
        ({"n": "x", "ao-types": 'n="map"'}, "not known"),
        ({"n": "((", "ao-types": 'n="list"'}, "no structured list"),
        ({"n": '"(ao-type-list) x"', "ao-types": 'n="list"'}, "list in a list"),
        ({"n": "(1 2)", "ao-types": 'n="list"'}, "other things"),
        ({"l": {"1": "a", "3": "b", "ao-types": '.="list"'}}, "without its item 2"),
        ({"ao-types": "x"}, "no dictionary"),
        ({"ao-types": 'x="integer" y'}, "no dictionary"),
        ({"ao-types": 'x="integer", x="atom"'}, "twice"),
        ({"ao-types": {"x": "integer"}}, "a map instead of types"),
    ],
)
def test_binaries_that_are_not_of_their_type(tabm: Tabm, what: str) -> None:
    with pytest.raises(ProtocolError, match=what):
        from_tabm(tabm)


def test_what_is_beside_the_values_stays_out() -> None:
    assert from_tabm({"a": "b", "commitments": {"x": {"y": "z"}}}) == {"a": "b"}
    assert from_tabm({TYPES: '.="empty-message"'}) == {}
    for name in ("AO-Types", "ao-types"):
        with pytest.raises(AoError, match="written by the codec"):
            to_tabm({name: "x"})


def test_an_atom_in_quotes_is_the_same_atom() -> None:
    quoted: Tabm = {TYPES: 'a="atom", b="atom"', "a": '"true"', "b": '"null"'}
    assert from_tabm(quoted) == {"a": True, "b": None}


def test_a_boolean_is_no_integer() -> None:
    with pytest.raises(ProtocolError, match="no integer"):
        from_tabm({TYPES: 'a="integer"', "a": "?1"})


def test_a_link_in_a_list_is_told_from_a_text_and_from_a_map() -> None:
    found = value_of({TYPES: '.="list"', "1+link": "x" * 43, "2": "x" * 43, "3+link": {"a": "b"}})
    assert found == ["x" * 43, "x" * 43, {"a": "b"}]
    assert isinstance(found, list)
    assert [isinstance(one, LinkedItem) for one in found] == [True, False, False]


def test_nesting_is_bounded() -> None:
    deep: Any = {}
    for _ in range(1000):
        deep = {"d": deep}
    with pytest.raises(AoError, match="nested deeper than 64"):
        to_tabm(deep)
    with pytest.raises(ProtocolError, match="nested deeper than 64"):
        from_tabm(deep)


def nested(levels: int, kind: str) -> Any:
    value: Any = "x"
    for _ in range(levels - 1):
        value = [value] if kind == "list" else {"d": value}
    return {"d": value}


@pytest.mark.parametrize("kind", ["map", "list"])
def test_the_bound_on_nesting_is_exact(kind: str) -> None:
    assert from_tabm(to_tabm(nested(DEEPEST, kind))) == nested(DEEPEST, kind)
    with pytest.raises(AoError, match="nested deeper than 64"):
        to_tabm(nested(DEEPEST + 1, kind))
    # Reading allows one level more than writing.
    assert from_tabm(nested(DEEPEST + 1, "map"))
    with pytest.raises(ProtocolError, match="nested deeper than 64"):
        from_tabm(nested(DEEPEST + 2, "map"))


def test_types_may_be_written_in_capitals() -> None:
    assert from_tabm({"n": "5", "ao-types": 'n="Integer"'}) == {"n": 5}


def test_errors_say_where() -> None:
    with pytest.raises(ProtocolError) as caught:
        from_tabm({"a": {"b": {"n": "x", "ao-types": 'n="integer"'}}})
    assert caught.value.place == "key 'a/b/n'"
    with pytest.raises(ProtocolError) as caught:
        read_types({"ao-types": 'a="b", ?'})
    assert (caught.value.place, caught.value.position) == ("header ao-types", 6)


def test_many_types_take_linear_time() -> None:
    types = {f"key-{number}": "integer" for number in range(50_000)}
    assert read_types({"ao-types": write_types(types)}) == types


@given(st.dictionaries(KEYS, st.sampled_from(["integer", "atom", "list"])))
def test_any_key_may_have_a_type(types: dict[str, str]) -> None:
    written = write_types(types)
    assert written.isascii()
    assert read_types({"ao-types": written} if types else {}) == types


PARTS = KEYS | st.just("ao-types")
TABMS = st.dictionaries(
    PARTS,
    st.recursive(TEXT, lambda inner: st.dictionaries(PARTS, inner, max_size=4)),
    max_size=4,
)
TYPED = st.lists(
    st.tuples(
        st.sampled_from("abc."),
        st.sampled_from(["integer", "float", "atom", "list", "empty-list", "map"]),
    )
).map(lambda pairs: ", ".join(f'{key}="{kind}"' for key, kind in pairs))


@given(TABMS, TYPED)
def test_no_tabm_raises_anything_else(tabm: Tabm, types: str) -> None:
    for candidate in (tabm, tabm | {"ao-types": types}):
        try:
            from_tabm(candidate)
        except ProtocolError as error:
            assert error.position >= 0


@pytest.mark.parametrize("number", [10**15, -(10**15), 2**64 - 1, 1 - 2**64])
def test_longer_integers_than_are_sent_are_read(number: int) -> None:
    read = from_tabm({"n": str(number), "ao-types": 'n="integer"'})
    assert read == {"n": number}
    assert to_tabm(read, LARGEST_READ)["n"] == str(number)
    with pytest.raises(AoError, match="more than 15 digits"):
        to_tabm(read)
