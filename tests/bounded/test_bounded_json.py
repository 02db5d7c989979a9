"""JSON of others: what it says is had; what goes beyond a bound is refused before it is made."""

from __future__ import annotations

import json
import re
import tracemalloc
from random import Random

import pytest

from aoshell.bounded import jsontext
from aoshell.bounded.jsontext import JsonLimitError, parse

GOOD = [
    "null",
    "[]",
    '{"a":[1,-2,3.5,1e3,true,false,null,"x"],"b":{"c":{}}}',
    '"[[[[{{{{,,,,::::"',
    json.dumps('a quote " and \\ and \\" and [' * 9),
    json.dumps(["\\", "\\\\", '"', '\\"', "[", "]"]),
    json.dumps({"ä": "\ud800"}),
    "[" * 128 + "]" * 128,
    '{"a":[' * 64 + "]}" * 64,
    "9" * 100,
]


@pytest.mark.parametrize("text", GOOD)
@pytest.mark.parametrize("most", [jsontext.MOST, 200])
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
        ('{"a":[' * 65 + "]}" * 65, "deeper than 128 levels"),
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
    with pytest.raises(JsonLimitError, match=why):
        parse(text)
    with pytest.raises(JsonLimitError, match=why):
        parse(text.encode())


STRINGS = ["", "a", "[", ']"{', "\\", '\\"', "x,:", '"[["', "\\\\"]


def drawn(random: Random, depth: int = 0) -> object:
    kind = random.random()
    if depth > 8 or kind < 0.4:
        return random.choice([1, None, *STRINGS])
    members = [drawn(random, depth + 1) for _ in range(random.randint(0, 4))]
    return members if kind < 0.7 else dict(zip(STRINGS, members, strict=False))


def plainly(text: str) -> tuple[int, int]:
    """Levels, and marks outside strings, counted one character after the other."""
    level = deepest = marks = 0
    for character in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        level += {"[": 1, "{": 1, "]": -1, "}": -1}.get(character, 0)
        deepest = max(deepest, level)
        marks += character in "[{,:"
    return deepest, marks


def test_what_is_counted_is_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(1)
    for _ in range(2000):
        text = json.dumps(drawn(random))
        deepest, marks = plainly(text)
        monkeypatch.setattr(jsontext, "MOST", marks)
        jsontext.check_bounds(text, deepest=deepest)
        if deepest:
            with pytest.raises(JsonLimitError, match="deeper"):
                jsontext.check_bounds(text, deepest=deepest - 1)
        if marks:
            monkeypatch.setattr(jsontext, "MOST", marks - 1)
            with pytest.raises(JsonLimitError, match=r"brackets|strings"):
                jsontext.check_bounds(text, deepest=deepest)


def test_little_memory_is_taken_for_what_is_refused() -> None:
    bomb = b"[" + b"[]," * 5_000_000 + b"1]"  # 15 MB, which made 400 MB
    tracemalloc.start()
    with pytest.raises(JsonLimitError):
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
    with pytest.raises(JsonLimitError, match="more than 10 bytes"):
        parse("[" + " " * 20 + "]", largest=10)
    with pytest.raises(JsonLimitError, match="deeper than 2 levels"):
        parse("[[[]]]", deepest=2)
    assert parse('["a\nb"]', strict=False) == ["a\nb"]
    assert parse('{"a":1,"a":2}', pairs=list) == [("a", 1), ("a", 2)]
