"""From lines to chunks: what is complete, and prompts that were pasted along."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoshell.lua import compiling
from aoshell.lua.lexer import tokens
from aoshell.shell.lines.multiline import Assembler, is_command, without_prompt
from aoshell.shell.lines.pasted import split_chunks

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
    text = "-- a script\nx = {\n  1,\n}\n\n.load my file.lua\nf(\n[[\nkept]])\nx ="
    lines, is_open = split_chunks(text)
    assert is_open and lines == [
        "x = {\n  1,\n}",
        ".load my file.lua",
        "f(\n[[\nkept]])",
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
