"""JSON of others: what it says is had; what goes beyond a bound is refused before it is made."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from aoshell.bounded import jsontext
from aoshell.bounded.jsontext import Exceeded, parse

GOOD = [
    "null",
    "[]",
    '{"a":[1,-2,3.5,1e3,true,false,null,"x"],"b":{"c":{}}}',
    '"[[[[{{{{,,,,::::"',
    json.dumps('a quote " and \\ and \\" and [' * 9),
    json.dumps(["\\", "\\\\", '"', '\\"', "[", "]"]),
    json.dumps({"ä": "\ud800"}),
    "[" * 128 + "]" * 128,
    "9" * 100,
]


@pytest.mark.parametrize("text", GOOD)
@pytest.mark.parametrize("most", [jsontext.MOST, 150])
def test_json_within_the_bounds_is_read(
    text: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound so low that all of it is counted changes nothing."""
    monkeypatch.setattr(jsontext, "MOST", most)
    for data in (text, text.encode("utf-8", "surrogatepass")):
        assert parse(data) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" + "[]," * 3_000_000 + "1]", "4,000,000 brackets, commas and colons"),
        ("[" + "{}," * 3_000_000 + "1]", "4,000,000 brackets, commas and colons"),
        ("[" + "0," * 5_000_000 + "1]", "4,000,000 brackets, commas and colons"),
        ('{"a":' * 1_500_000, "4,000,000 brackets, commas and colons|deeper"),
        ('["",' + '""' * 9_000_000, "8,000,000 strings"),
        ("[" * 129 + "]" * 129, "deeper than 128 levels"),
        ("[" * 100_000, "deeper than 128 levels"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "deeper than 128 levels"),
        ("9" * 101, "a number of more than 100 digits"),
        ("[0." + "1" * 200 + "]", "a number of more than 100 digits"),
        ("1e999", "too large to be kept"),
        (" " * ((64 << 20) + 1), "more than 64 MB"),
    ],
    ids=lambda value: value[:12],
)
def test_what_goes_beyond_a_bound_is_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(Exceeded, match=why):
        parse(text)
    with pytest.raises(Exceeded, match=why):
        parse(text.encode())


def test_little_memory_is_taken_for_what_is_refused() -> None:
    bomb = b"[" + b"[]," * 5_000_000 + b"1]"  # 15 MB, which made 400 MB
    tracemalloc.start()
    with pytest.raises(Exceeded):
        parse(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(bomb)


@pytest.mark.parametrize("text", ["", "NaN", "-Infinity", "[1,]", "{'a':1}", "[}", '"', "1 2"])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        parse(text)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        parse(b'"\xff"')


def test_a_caller_has_closer_bounds() -> None:
    with pytest.raises(Exceeded, match="more than 10 bytes"):
        parse("[" + " " * 20 + "]", largest=10)
    with pytest.raises(Exceeded, match="deeper than 2 levels"):
        parse("[[[]]]", deepest=2)
    assert parse('["a\nb"]', strict=False) == ["a\nb"]
    assert parse('{"a":1,"a":2}', pairs=list) == [("a", 1), ("a", 2)]
