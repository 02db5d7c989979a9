"""Where the cursor stands in Lua that is being typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoshell.shell.lines.pasted import split_chunks
from aoshell.shell.prompt.names import ProcessNames, find_definitions
from aoshell.shell.prompt.structure import dedented, next_indent, read_context


@pytest.mark.parametrize(
    ("before", "path", "word"),
    [
        ("Handlers.", ("Handlers",), ""),
        ("x = Handlers.utils.has", ("Handlers", "utils"), "has"),
        ("Inbox[#Inbox].Da", ("Inbox", "[]"), "Da"),
        ("Inbox[Inbox[1].N].Da", ("Inbox", "[]"), "Da"),
        ("msg:rep", ("msg",), "rep"),
        ("f().x", ("",), "x"),
        ("('x'):up", ("",), "up"),
        ("Bal", (), "Bal"),
        ("1 + Bal", (), "Bal"),
    ],
)
def test_the_path_before_a_word(before: str, path: tuple[str, ...], word: str) -> None:
    where = read_context(before)
    assert (where.path, where.word, where.comment) == (path, word, False)


@pytest.mark.parametrize(
    ("before", "call", "argument", "key"),
    [
        ("ao.send(", "ao.send", 0, ""),
        ("Send({ Target = ao.id, Action = ", "Send", 1, "Action"),
        ("Send{ Target = x, Da", "Send", 1, ""),
        ("f(a, g(1, 2), ", "f", 2, ""),
        ("Handlers.add('x', ", "Handlers.add", 1, ""),
    ],
)
def test_the_call_around(before: str, call: str, argument: int, key: str) -> None:
    found = read_context(before).call
    assert found is not None
    assert (found.name, found.argument, found.key) == (call, argument, key)


@pytest.mark.parametrize(
    "before", ["f(1)", "function f(a", "x = (", "f(function(m) ", "local t = {"]
)
def test_no_call_around(before: str) -> None:
    assert read_context(before).call is None


@pytest.mark.parametrize("before", ["-- Hand", "x = 1 -- y.", "--[[ a\nHand", "x = 3.", "0x1f"])
def test_nothing_is_completed_in_comments_and_numbers(before: str) -> None:
    assert read_context(before).comment


@pytest.mark.parametrize(
    "before", ["--[[ a ]] Hand", "--[=[ ]] ]=] Hand", "-- a\nHand", "--\rHand"]
)
def test_behind_a_comment_it_is(before: str) -> None:
    where = read_context(before)
    assert (where.comment, where.word) == (False, "Hand")


def test_a_comparison_is_no_key() -> None:
    found = read_context("f({ a == ").call
    assert found is not None and found.key == ""


@pytest.mark.parametrize(
    ("before", "quote", "word"),
    [
        ('x = "Tra', '"', "Tra"),
        (r"x = 'it\'s", "'", r"it\'s"),
        ("x = [[a\nb", "[[", "[a\nb"),
        ("x = 'a\\\nb", "'", "a\\\nb"),
        ("x = 'a\n", "", ""),
        ('x = "a"', "", ""),
        (r'x = "a\\"', "", ""),
    ],
)
def test_quotes(before: str, quote: str, word: str) -> None:
    where = read_context(before)
    assert where.quote == quote
    assert not quote or where.word == word


@pytest.mark.parametrize(
    ("before", "indent"),
    [
        ("x = 1", ""),
        ("x = {", "  "),
        ("if a then", "  "),
        ("if a then\n  for i = 1, 2 do", "    "),
        ('Handlers.add("x", "x", function(msg)', "  "),
        ("f(function()\n  return 1\nend)", ""),
        ("if a then\n  b()\nelse", "  "),
        ("x = [[", ""),
        ("x = 1 -- {", ""),
        ("repeat\n  x()\nuntil y", ""),
    ],
)
def test_indentation(before: str, indent: str) -> None:
    assert next_indent(before) == indent


@pytest.mark.parametrize(
    ("before", "indent"),
    [
        ("if a then\n  x()\n  end", ""),
        ("x = {\n  {\n    1\n    }", "  "),
        ("if a then\n  x()\n  else", ""),
        ("if a then\nend", None),
        ("x = [[\n  end", None),
        ("  end", None),
        ("if a then\n  endpoint", None),
    ],
)
def test_what_closes_moves_back(before: str, indent: str | None) -> None:
    assert dedented(before) == indent


@given(st.text("abf.:()[]{}=,'\"\\- \nfunctioned", max_size=60))
def test_whatever_is_typed(before: str) -> None:
    where = read_context(before)
    assert where.quote or before.endswith(where.word)
    assert next_indent(before).strip() == ""
    dedented(before)
    split_chunks(before)
    ProcessNames().learn(before)


def test_definitions() -> None:
    code = """
    function Token.mint(to, amount) local inner = 1 end
    local function hidden() end
    Balances = {Alice = 1, Bob = 2}
    ao.authorities = x == 1
    Fee = function(n, ...) end
    for i = 1, 2 do end"""
    assert list(find_definitions(code)) == [
        ("Token.mint", "to, amount"),
        ("Balances", None),
        ("ao.authorities", None),
        ("Fee", "n, ..."),
    ]


def test_a_program_is_one_chunk_and_a_transcript_is_not() -> None:
    program = "local x = 1\nfunction f()\n  return x\nend\nreturn f()"
    assert split_chunks(program) == ([program], False)
    assert split_chunks("1+1\n.ps\n2+2") == (["1+1", ".ps", "2+2"], False)
    assert split_chunks("aos> x = 1\naos> y = 2") == (["x = 1", "y = 2"], False)
    chained = "x = builder\n  .first\n  .second"
    assert split_chunks(chained) == ([chained], False)
    assert split_chunks("x = 1\nf(") == (["x = 1", "f("], True)


@pytest.mark.parametrize(
    "text",
    [
        "f = function()\n" + "x = {1}\n" * 40_000,
        "x = [[\n" + "end\n" * 100_000,
        "1 +\n" * 100_000,
        "t = {\n" + "'a',\n" * 40_000 + "} )",
        "x = '" + "a" * 1_000_000 + "'",
    ],
    ids=["open", "long string", "operators", "error", "one line"],
)
def test_a_megabyte_is_looked_at_in_time(text: str) -> None:
    """Were each line looked at anew with all above it, this would take hours."""
    split_chunks(text)
    ProcessNames().learn(text)
