"""Text in and text out: completeness, pasted prompts, escapes, error views."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from types import SimpleNamespace
from typing import cast
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoshell.errors import AoError
from aoshell.shell.attached.session import Session
from aoshell.shell.commands import registry
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.table import Table
from aoshell.shell.view import text as shown
from aoshell.shell.view.errors_view import show_source
from aoshell.shell.view.render import Renderer
from aoshell.shell.view.tables import table_lines
from aoshell.shell.view.text import (
    clean,
    clean_line,
    clean_prompt,
    format_size,
    width_of,
    wrapped,
    wrapped_rows,
)

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


def test_a_prompt_without_an_end_is_replaced() -> None:
    assert clean_prompt("x" * 200, colour=False) == "x" * 200
    assert clean_prompt("x" * 201, colour=False) == "aos> "


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
        shown, "unicodedata", SimpleNamespace(east_asian_width=counted, category=category)
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


ROWS = """FAIL: one sentence that is long (ERROR)

CHECK             STATUS        WHAT
envelope          PASS          of tpm@2.0a
outer-signature   INCONCLUSIVE  some words, and then  some more
Evidence: one line
Key custody: another line that is long"""


def test_rows_are_broken_each_for_itself() -> None:
    assert wrapped_rows(ROWS, 80) == ROWS
    assert wrapped_rows(ROWS, 62).split("\n")[3:-2] == [
        "envelope          PASS          of tpm@2.0a",
        "outer-signature   INCONCLUSIVE  some words, and then  some",
        "                                more",
    ]
    # Where its last cell has no room, it stands below the row.
    assert wrapped_rows(ROWS, 36).split("\n") == [
        "FAIL: one sentence that is long",
        "(ERROR)",
        "",
        "CHECK             STATUS        WHAT",
        "envelope          PASS",
        "    of tpm@2.0a",
        "outer-signature   INCONCLUSIVE",
        "    some words, and then  some more",
        "Evidence: one line",
        "Key custody: another line that is",
        "long",
    ]


@pytest.mark.parametrize("columns", [20, 50, 80, 100, 132])
@pytest.mark.parametrize("topic", ["", "attest", "ao", "Send"])
def test_help_fits_a_screen(columns: int, topic: str) -> None:
    shown: list[str] = []
    renderer = Renderer(shown.append, shown.append, colour=False, columns=lambda: columns)
    given = registry()["help"].grammar.read(topic)
    reply = asyncio.run(registry()["help"].run(cast("Session", None), given))
    renderer.outcome(".help", reply)
    lines = "".join(shown).split("\n")
    assert all(len(line) <= columns or " " not in line.strip() for line in lines)
    words = re.sub(r"\s+", " ", reply.text).strip()
    assert re.sub(r"\s+", " ", " ".join(lines)).strip() == words


def test_an_answer_is_broken_between_words_and_code_never() -> None:
    shown: list[str] = []
    renderer = Renderer(shown.append, shown.append, colour=False, columns=lambda: 20)
    answer = "a long answer " * 9
    renderer.outcome(".json x", CommandOutput(text=answer, verbatim=True))
    assert shown == [answer + "\n"]
    renderer.outcome(".as alice", CommandOutput(text=answer))
    lines = shown[1].splitlines()
    assert " ".join(lines).split() == answer.split() and max(map(len, lines)) <= 20


COLUMNS = (20, 21, 33, 40, 60, 80, 100, 132, 200, 300)
PEOPLE = Table(
    ("NAME", "ID", "SLOTS", "STATE", "MEMORY", "WHAT"),
    (
        ("default", "x" * 43, "123456", "idle", "2.1 MB", "a market of 世界 and e\u0301"),
        ("-", "y" * 43, "7", "live", "-", "-"),
    ),
    frozenset({"SLOTS", "MEMORY"}),
)


@pytest.mark.parametrize("columns", COLUMNS)
def test_a_table_fits_and_cuts_no_number(columns: int) -> None:
    """The widest column was cut, whatever it was: numbers, too."""
    lines = table_lines(PEOPLE, columns)
    assert all(width_of(line) <= columns for line in lines)
    text = "\n".join(lines)
    assert "123456" in text and "2.1 MB" in text
    assert "xxxxxxxx" in text  # enough of an id to find the process


def test_ids_are_cut_before_texts() -> None:
    wide = sum((7, 43, 6, 5, 6, 22)) + 5 * 2
    assert "x" * 43 in table_lines(PEOPLE, wide)[1]
    tight = table_lines(PEOPLE, wide - 34)[1]
    assert "xxxxxxxx… " in tight and "a market of 世界 and e\u0301" in tight
    assert table_lines(PEOPLE, wide - 35)[1].endswith("…")


def test_what_a_row_is_called_is_cut_last() -> None:
    """`.set` showed `colours.…` in each of sixteen rows on a narrow screen."""
    rows = (("colours.suggestion", "ansiblue bold", "a colour of any kind"),)
    table = Table(("SETTING", "VALUE", "MAY BE"), rows)
    assert table_lines(table, 40)[1] == "colours.suggestion  ansiblue…  a colour…"
    marked = table.marked([True])
    assert table_lines(marked, 43)[1] == ">  colours.suggestion  ansiblue…  a colour…"


def test_a_tree_goes_on_below_its_branches() -> None:
    """`.trace` was broken inside words, from the first column on."""
    tree = "desk #3 Eval\n└─ token #3 Transfer\n   ├─ market #2 Credit-Notice of five\n   └─ desk"
    assert wrapped_rows(tree, 24).split("\n") == [
        "desk #3 Eval",
        "└─ token #3 Transfer",
        "   ├─ market #2",
        "   │  Credit-Notice of",
        "   │  five",
        "   └─ desk",
    ]


def test_a_table_without_room_is_blocks_of_lines() -> None:
    assert table_lines(PEOPLE, 20)[:7] == [
        "NAME   default",
        "ID     xxxxxxxxxxxx…",
        "SLOTS  123456",
        "STATE  idle",
        "MEMORY 2.1 MB",
        "WHAT   a market of …",
        "",
    ]


def test_a_mark_stands_before_the_cell_behind_it() -> None:
    table = Table(("", "NAME", "ID", "N"), ((">", "desk", "x" * 43, "1" * 9),), frozenset({"N"}))
    assert table_lines(table, 20) == ["NAME > desk", "ID   xxxxxxxxxxxxxx…", "N    111111111"]


def test_sentences_in_a_table_go_on_below() -> None:
    """`.limits` cut what it said about a limit."""
    table = Table(
        ("LIMIT", "VALUE", "IS"),
        (("gas", "0", "fuel of a message in WASM; 0 counts none"), ("network", "on", "tags")),
        frozenset({"VALUE"}),
        wraps=True,
    )
    assert table_lines(table, 40) == [
        "LIMIT    VALUE  IS",
        "gas          0  fuel of a message in",
        "                WASM; 0 counts none",
        "network     on  tags",
    ]


def test_widths_are_those_of_terminals() -> None:
    from prompt_toolkit.utils import get_cwidth

    for text in (
        "世",
        "e",
        "é",
        "e\u0301",
        "\u200d",
        "\ufe0f",
        "한",
        "\u1100\u1161",
        "ｱ",
        "\u0e33",
    ):
        assert width_of(text) == sum(map(get_cwidth, text)), ascii(text)


@pytest.mark.parametrize("columns", COLUMNS)
def test_sentences_of_the_shell_are_broken_between_words(columns: int) -> None:
    """Notes and errors ran over the edge of the screen, in the middle of a word."""
    shown: list[str] = []
    renderer = Renderer(shown.append, shown.append, colour=False, columns=lambda: columns)
    error = AoError(
        "世界 belongs to NCvAbIXa…, so it does not evaluate what this wallet sends",
        stage="session",
        hint="start with --wallet of its owner, or choose another NAME; .ps lists what there is",
    )
    renderer.error(error)
    lines = "".join(shown).removesuffix("\n").split("\n")
    assert all(width_of(line) <= columns for line in lines)
    assert " ".join("".join(shown).split()) == " ".join(str(error).split())
    hint = next(at for at, line in enumerate(lines) if "→" in line)
    assert all(line.startswith("    ") for line in lines[hint + 1 :])


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("name", ["", "market", "slot 4", "世界"])
def test_what_arrives_is_broken_between_words_beside_its_name(columns: int, name: str) -> None:
    """An id that fits is whole, so that it can be copied."""
    shown: list[str] = []
    renderer = Renderer(shown.append, shown.append, colour=False, columns=lambda: columns)
    text = f"a message to {'i' * 43} was not delivered: it has no process, and nobody fetches one"
    gutter = f"{name} │ " if name else ""
    renderer.feed(gutter + text)
    lines = "".join(shown).removesuffix("\n").split("\n")
    room = columns - width_of(gutter)
    assert all(width_of(line) <= columns for line in lines if "iii" not in line or room >= 43)
    under = " " * (width_of(gutter) - 2) + "│ " if name else ""
    parts = [lines[0].removeprefix(gutter), *(line.removeprefix(under) for line in lines[1:])]
    assert not name or all("│" not in part for part in parts)
    assert " ".join(parts) == text


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("before", ["x", "世界", "e\u0301"])
def test_the_caret_is_on_the_screen_under_its_place(columns: int, before: str) -> None:
    """The excerpt was as wide as 160 columns on every screen, and wrapped above the caret."""
    code = f"y = '{before * 200}' " + "y() " * 5 + "= 1 -- " + before * 200
    seen = show_source("[string \"aos\"]:1: unexpected symbol near '='", {'[string "aos"]': code})
    shown: list[str] = []
    renderer = Renderer(shown.append, shown.append, colour=False, columns=lambda: columns)
    for text in (seen, "\n".join(f"market │ {line}" for line in seen.split("\n"))):
        shown.clear()
        renderer.feed(text)
        line, caret = "".join(shown).removesuffix("\n").split("\n")
        assert width_of(line) <= columns or columns < 40
        under = ""
        for character in line:
            if width_of(under) == width_of(caret) - 1 and width_of(character):
                break
            under += character
        assert character == "="


def test_sizes() -> None:
    assert [format_size(n) for n in (0, 12, 2048, 5 << 20)] == ["-", "12 B", "2.0 kB", "5.0 MB"]
