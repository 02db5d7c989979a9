"""Text in and text out: completeness, pasted prompts, escapes, error views."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from types import SimpleNamespace
from typing import Any, cast
from unicodedata import combining

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoshell.lua import compiling
from aoshell.lua.lexer import tokens
from aoshell.shell.commands import registry
from aoshell.shell.lines.multiline import Assembler, is_command, split_chunks, without_prompt
from aoshell.shell.outcome import CommandOutput, Table
from aoshell.shell.session import Session
from aoshell.shell.view import text as shown
from aoshell.shell.view.errors_view import TYPED, failure_text, show_source, split_error
from aoshell.shell.view.render import Renderer
from aoshell.shell.view.tables import table_lines
from aoshell.shell.view.text import clean, clean_line, clean_prompt, format_size, width_of, wrapped

pytestmark = pytest.mark.versions

COMPLETE = [
    "1+1",
    "x = 1",
    "foo",
    'foo "a"',
    "function f() return 1 end",
    "for i = 1, 3 do print(i) end",
    "repeat x = 1 until x",
    "[[a\nb]]",
    "[==[ ]] ]==]",
    "--[[ a\nb ]]",
    "-- only a comment",
    "return",
    'x = "open',
    "x = = 1",
    "foo bar",
    "break",
    "goto x",
    ")",
    "end",
    "é = 1",
    '"\udcff"',
    "x = 'a\\\nb'",
    "#Inbox",
    "a\0b",
]
OPEN = [
    "x =",
    "foo(",
    "foo({ a = 1,",
    "function f()",
    "if x then",
    "if x then y() else",
    "while true do",
    "repeat",
    "repeat x = 1 until",
    "for i = 1, 3 do",
    "do",
    "local",
    "1 +",
    "x.",
    "x:",
    "[[a",
    "[==[a]]",
    "--[[a",
    '"a\\',
    "return function()",
    "Handlers.add(",
    "not",
]


@pytest.mark.parametrize("code", COMPLETE)
def test_complete(code: str) -> None:
    assert compiling.check_line(code).complete


@pytest.mark.parametrize("code", OPEN)
def test_open(code: str) -> None:
    assert not compiling.check_line(code).complete


@given(st.text())
def test_check_takes_any_text(code: str) -> None:
    compiling.check_line(code)
    list(tokens(code))


@given(st.text(alphabet="[]=-\"'\\\n x()"))
def test_tokens_cover_all_but_space_and_comments(code: str) -> None:
    at = 0
    for token in tokens(code):
        between = code[at : token.start]
        assert not between.strip() or "--" in between
        assert code[token.start : token.start + len(token.text)] == token.text
        at = token.start + len(token.text)


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("aos> 1+1", "1+1"),
        ("[aos]> .load x.lua", ".load x.lua"),
        ("me@aos-2.0.4[Inbox:12]> Inbox[1]", "Inbox[1]"),
        ("\x1b[32mme\x1b[0m@aos-2.0.4[Inbox:\x1b[31m1\x1b[0m]> x", "x"),
        ("aos>", ""),
        ("x > 1", "x > 1"),
        ("a\x1b[31m", "a\x1b[31m"),
    ],
)
def test_pasted_prompts(line: str, rest: str) -> None:
    assert without_prompt(line) == rest


def test_lines_become_chunks() -> None:
    text = "-- a script\n[aos]> x = {\n  1,\n}\n\n.load my file.lua\naos> f(\n[[\naos> kept]])\nx ="
    lines, is_open = split_chunks(text)
    assert is_open and lines == [
        "x = {\n  1,\n}",
        ".load my file.lua",
        "f(\n[[\naos> kept]])",
        "x =",
    ]
    assert split_chunks("1\r\n2\r3") == (["1", "2", "3"], False)
    assert split_chunks("x = 1\nInbox[1].Data") == (["x = 1", "Inbox[1].Data"], False)


def test_a_number_is_no_command() -> None:
    assert (
        is_command(".ps") and is_command("  .ps") and not is_command(".5") and not is_command("..")
    )


def test_assembler_is_empty_after_a_chunk() -> None:
    lines = Assembler()
    assert lines.add("f(") is None
    assert lines.add(")") == "f(\n)"
    assert lines.rest() is None


hostile = st.text(
    alphabet=st.one_of(
        st.characters(),
        st.sampled_from("\x1b[]m;0123\x07\x9b\x08\r\n\t\u202e\udc80\x7f"),
    )
)
SGR = re.compile(r"\x1b\[[0-9;]*m")


@given(hostile, st.booleans())
def test_a_terminal_sees_colours_only(said: str, colour: bool) -> None:
    shown = clean(said, colour=colour)
    rest = SGR.sub("", shown) if colour else shown
    bad = [c for c in rest if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    assert not bad and "\u202e" not in rest
    assert clean(shown, colour=colour) == shown
    shown.encode()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[31mred", "\x1b[31mred\x1b[0m"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
        ("\x1b[2J\x1b[H", "\\x1b[2J\\x1b[H"),
        ("a\rb", "a\\x0db"),
        ("\udcff\x9b", "\\xff\\x9b"),
        ("\u202e", "\\u202e"),
    ],
)
def test_escapes(said: str, shown: str) -> None:
    assert clean(said, colour=True) == shown


def test_marks_that_turn_text_are_shown() -> None:
    """All of Unicode's: explicit formatting characters (UAX #9, 2) and separators of lines."""
    explicit = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    marks = {
        chr(code) for code in range(0x3000) if unicodedata.bidirectional(chr(code)) in explicit
    }
    marks |= {
        unicodedata.lookup(name)
        for name in (
            *("LEFT-TO-RIGHT MARK", "RIGHT-TO-LEFT MARK", "ARABIC LETTER MARK"),
            *("LINE SEPARATOR", "PARAGRAPH SEPARATOR"),
        )
    }
    assert len(marks) == 14 and marks == shown.HIDDEN
    for mark in marks:
        for colour in (True, False):
            assert clean(f"a{mark}b", colour=colour) == f"a\\u{ord(mark):04x}b"
        assert clean_line(mark) == clean_prompt(mark, colour=True) == f"\\u{ord(mark):04x}"


def test_what_only_looks_like_a_mark_is_left_alone() -> None:
    for text in ("\u200b\u200c\u200d\u2027\u202f\u2065\u206a\u061b\u061d", "אב العربية", "e\u0301"):
        assert clean(text, colour=False) == text


@given(hostile)
def test_prompts_and_cells_stay_on_one_line(said: str) -> None:
    assert "\n" not in clean_prompt(said, colour=True)
    assert "\n" not in clean_line(said) and "\x1b" not in clean_line(said)


def test_tables_are_aligned() -> None:
    table = Table(("A", "N"), (("wide 世界", "1"), ("x\n\x1b[1m", "20")), frozenset({"N"}))
    assert table_lines(table) == ["A           N", "wide 世界   1", "x\\n        20"]


@pytest.mark.parametrize("columns", [0, 1, 7, 40])
@pytest.mark.parametrize("letter", ["x", "é", "世", "\u202e"])
def test_a_cell_of_any_length_is_cut_by_one_look_at_it(
    monkeypatch: pytest.MonkeyPatch, letter: str, columns: int
) -> None:
    long = letter * 20_000
    looked = 0

    def counted(character: str) -> str:
        nonlocal looked
        looked += 1
        assert looked < 12 * len(long)
        return unicodedata.east_asian_width(character)

    monkeypatch.setattr(
        shown, "unicodedata", SimpleNamespace(east_asian_width=counted, combining=combining)
    )
    lines = table_lines(Table(("A", "B", "C"), ((long, long, "1"), ("2", "", "3"))), columns)
    assert all(sum(map(len, line.split("…"))) < 3 * 16_384 for line in lines)
    assert "…" in lines[1]
    assert columns < 40 or all(width_of(line) <= columns for line in lines)


@given(st.text(), st.integers(1, 40))
def test_what_is_cut_fits_and_is_the_beginning(said: str, columns: int) -> None:
    _, line = table_lines(Table(("",), ((said,),)), columns)
    assert width_of(line) <= max(columns, 1)
    assert clean_line(said).startswith(line.removesuffix("…").rstrip())


PROSE = """.send TARGET

The first of two lines which are
one paragraph.

.a [B]  Says what a does, in words.
ao.b()
    Says what b does, in more words."""


def test_prose_is_broken_between_words() -> None:
    assert wrapped(PROSE, 80) == PROSE
    assert wrapped(PROSE, 26).split("\n") == [
        ".send TARGET",
        "",
        "The first of two lines",
        "which are one paragraph.",
        "",
        ".a [B]",
        "    Says what a does, in",
        "    words.",
        "ao.b()",
        "    Says what b does, in",
        "    more words.",
    ]
    assert wrapped(".a  One two three four five six seven", 35).split("\n") == [
        ".a  One two three four five six",
        "    seven",
    ]


@pytest.mark.parametrize("columns", [20, 50, 80, 100, 132])
@pytest.mark.parametrize("topic", ["", "attest", "ao", "Send"])
def test_help_fits_a_screen(columns: int, topic: str) -> None:
    shown: list[str] = []
    renderer = Renderer(shown.append, shown.append, colour=False, columns=lambda: columns)
    reply = asyncio.run(registry()["help"].run(cast("Session", None), topic))
    renderer.outcome(".help", reply)
    lines = "".join(shown).split("\n")
    assert all(len(line) <= columns or " " not in line.strip() for line in lines)
    words = re.sub(r"\s+", " ", reply.text).strip()
    assert re.sub(r"\s+", " ", " ".join(lines)).strip() == words


def test_what_is_no_prose_is_never_broken() -> None:
    shown: list[str] = []
    renderer = Renderer(shown.append, shown.append, colour=False, columns=lambda: 20)
    renderer.outcome(".json x", CommandOutput(text="a long answer " * 9))
    assert shown == ["a long answer " * 9 + "\n"]


def test_sizes() -> None:
    assert [format_size(n) for n in (0, 12, 2048, 5 << 20)] == ["-", "12 B", "2.0 kB", "5.0 MB"]


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
