"""Colours of a line that is typed."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout.processors import TransformationInput

from aoshell.lua.lexer import Token, pieces
from aoshell.shell.prompt import highlight
from aoshell.shell.prompt.highlight import LineLexer
from aoshell.shell.prompt.screen import ShowHidden
from aoshell.shell.prompt.themes import COLOURS


def coloured(text: str) -> list[tuple[str, str]]:
    """Class and text of what has a colour."""
    document = Document(text)
    line = LineLexer().lex_document(document)
    found = [line(number) for number in range(len(document.lines))]
    assert ["".join(part[1] for part in parts) for parts in found] == document.lines
    return [(style, said) for parts in found for style, said, *_ in parts if style and said]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("local x = nil", "keyword:local constant:nil"),
        ("not true and 0x1F", "keyword:not constant:true keyword:and number:0x1F"),
        ("f('a') -- b", "string:'a' comment:-- b"),
        ("print(string.format)", "builtin:print builtin:string builtin:. builtin:format"),
        ("table.x = io.write", "builtin:io builtin:. builtin:write"),
        ("t.print(t:type())", ""),
        ("string = 1", "number:1"),
        ("x = [[a\nb]] y", "string:[[a string:b]]"),
        ("--[[ a\nb", "comment:--[[ a comment:b"),
        ('x = "open', 'string:"open'),
        (".load my.lua", "command:.load"),
        (".5", "number:.5"),
        ('Send({Target = @my-token}) "@x"', 'reference:@my-token string:"@x"'),
        ("@1..x -- @y", "reference:@1 comment:-- @y"),
        (".send @token To=@me a@b", "command:.send reference:@token reference:@me"),
    ],
)
def test_colours(text: str, found: str) -> None:
    said = [
        (style.removeprefix("class:").removeprefix("lua."), part) for style, part in coloured(text)
    ]
    assert " ".join(f"{style}:{part}" for style, part in said) == found


def test_each_class_has_a_colour_that_users_can_change() -> None:
    classes = {f"class:{name}" for names in COLOURS.values() for name in names}
    every = "if nil then print('a', 1) end -- b"
    assert {style for style, _ in coloured(every)} <= classes


@given(st.text(alphabet="ab.:[]=-\"'\\\n\r (){}1x@é\u2028"))
def test_nothing_typed_is_lost(text: str) -> None:
    coloured(text)


def test_only_what_is_shown_is_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long text costs what its first lines cost, while only they are on the screen."""
    taken = 0

    def counted(text: str) -> Iterator[Token]:
        nonlocal taken
        for piece in pieces(text):
            taken += 1
            yield piece

    monkeypatch.setattr(highlight, "typed_pieces", counted)
    line = LineLexer().lex_document(Document("x = 1\n" * 1000))
    assert line(2) == line(0) and line(1) is line(1)
    assert taken < 20 and line(1000) == line(2000) == []


def test_hidden_marks_in_the_line_are_shown_in_reverse() -> None:
    fragments: StyleAndTextTuples = [("class:lua.string", "'a\u202eb\u2066é'"), ("", " x")]
    given = cast("TransformationInput", SimpleNamespace(fragments=fragments))
    found = ShowHidden().apply_transformation(given).fragments
    assert "".join(part[1] for part in found) == "'a?b?é' x"
    assert [part[0] for part in found if part[1] == "?"] == ["class:hidden"] * 2
    assert found[1][0] == "class:lua.string"
