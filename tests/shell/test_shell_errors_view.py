"""The source line of an error, with a caret under the place."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from aoshell.shell.help import mistakes
from aoshell.shell.view.errors_view import (
    TYPED,
    failure_text,
    names_a_file,
    place_of,
    show_source,
    split_error,
)

TYPED_CODE = 'local a = 1\n\tfoo.bar(1) x = = 2\nreturn\nx = 2 error("no")'


@pytest.mark.parametrize(
    ("error", "line", "under"),
    [
        (f"{TYPED}:2: unexpected symbol near '='", 2, "= 2"),
        (f"{TYPED}:2: attempt to index a nil value (global 'foo')", 2, "foo"),
        (f"{TYPED}:2: attempt to call a nil value (field 'bar')", 2, "bar"),
        (f"{TYPED}:2: bad argument #1 to 'bar' (table expected)", 2, "bar"),
        ("\x1b[31merror:\n\x1b[0mlib/x.lua:1: boom", 1, "boom()"),
        (f"{TYPED}:4: no", 4, 'error("no")'),
        (f"{TYPED}:4: unexpected symbol near <eof>", 4, ""),
        ("lib/x.lua:1: boom\nstack traceback:\n\t...", 1, "boom()"),
        ("...b/x.lua:1: boom", 1, "boom()"),
    ],
)
def test_the_caret_is_under_the_place(error: str, line: int, under: str) -> None:
    sources = {TYPED: TYPED_CODE, "lib/x.lua": "  boom()"}
    source, caret = show_source(error, sources).split("\n")
    assert source.startswith(f"  {line} │ ") and caret.endswith("^")
    assert source[len(caret) - 1 :].startswith(under)


@pytest.mark.parametrize(
    "error",
    [
        "no place",
        f"{TYPED}:99: far",
        'other.lua:1: x and [string "x"]:1: y',
        f"{TYPED}:1: attempt to index a nil value (global 'absent')",
    ],
)
def test_no_view_where_the_source_is_not_known(error: str) -> None:
    assert show_source(error, {TYPED: TYPED_CODE}) == ""


def test_the_caret_stands_in_long_and_hostile_lines() -> None:
    code = "x = '\x1b[2J' " + "y() " * 100 + "= 1"
    source, caret = show_source(f"{TYPED}:1: unexpected symbol near '='", {TYPED: code}).split("\n")
    assert source[len(caret) - 1] == "=" and len(source) < 200 and "\x1b" not in source


def test_a_line_without_a_known_place_has_no_caret() -> None:
    assert (
        show_source(f"{TYPED}:2: went wrong", {TYPED: TYPED_CODE}) == "  2 │   foo.bar(1) x = = 2"
    )


def test_the_message_of_an_error_is_told_from_what_was_printed() -> None:
    assert split_error("a\nb\n\n\x1b[31merror:\n\x1b[0mx:1: no") == ("a\nb", "x:1: no")
    assert split_error("x:1: error: no") == ("", "x:1: error: no")


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("x:1: no", "x:1: no"),
        ("\x1b[31merror:\n\x1b[0mx:1: no", "\x1b[31merror:\n\x1b[0mx:1: no"),
        ("printed\n\x1b[31merror:\n\x1b[0mx:1: no", "printed\n\x1b[31merror:\n\x1b[0mx:1: no"),
        ("failed\nx:1: no\n\n\x1b[31merror:\n\x1b[0mx:1: no", "failed\nx:1: no"),
        ("error:\nx:1: no\nerror:\nx:1: no", "error:\nx:1: no"),
        ("\x1b[31merror:\n\x1b[0m", "\x1b[31merror:\n\x1b[0m"),
        ("X\ner\x1b[0mror:\nX", "X\ner\x1b[0mror:\nX"),  # a colour within the word: no heading
    ],
)
def test_a_reason_that_was_printed_is_not_shown_again(error: str, shown: str) -> None:
    result: Any = SimpleNamespace(outcome="error", error=error)
    assert failure_text(result, {}) == shown


def test_places_that_were_printed_are_not_the_error_s() -> None:
    printed = "a.lua:1: attempt to index a nil value (global 'io')"
    error = f"{printed}\n\n\x1b[31merror:\n\x1b[0ma.lua:3: boom"
    sources = {"a.lua": "pcall(function() return io.x end)\n\nerror('boom')"}
    assert show_source(error, sources).startswith("  3 │ error('boom')\n    │ ^")
    assert show_source(f"{printed}\nerror:\nboom", sources) == ""


def test_a_place_behind_another_is_found() -> None:
    """What is rethrown names the place that rethrew it first."""
    error = f'[string ".handlers"]:723: {TYPED}:1: went wrong'
    assert show_source(error, {TYPED: "foo() bar()"}) == "  1 │ foo() bar()"


_LONG = 1_000_000  # characters of an error


@pytest.mark.parametrize(
    "unit",
    [
        "y",
        "y ",
        "y:1: ",
        "near '",
        ":1: x near '",
        f"{TYPED}:99: ",
        f"{TYPED}:1: near '",
        '[string "',
        "\n",
        "(global '",
    ],
)
def test_no_error_that_a_process_makes_up_takes_the_shell_long(unit: str) -> None:
    error = f"{TYPED}:1: module '{unit * (_LONG // len(unit))}"
    before = time.process_time()
    show_source(error, {TYPED: "return 1"})
    names_a_file(error)
    place_of(error, "return 1")
    for end in ("", "'"):
        for length in (len(error), 9_000):
            mistakes._on_syntax("return 1", error[:length] + end)
    assert time.process_time() - before < 3
