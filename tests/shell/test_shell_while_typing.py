"""While a line is typed: the menu that opens by itself, and marks where Lua is wrong."""

from __future__ import annotations

import pytest
from eventually import until
from hypothesis import given
from hypothesis import strategies as st
from prompt_keyboard import Keyboard, play
from shell_fake import FakeNode

from aoshell.home.folders import Settings
from aoshell.lua import compiling
from aoshell.shell.prompt.completion import opens_by_itself
from aoshell.shell.prompt.config import Preferences
from aoshell.shell.prompt.keys import ByItself
from aoshell.shell.prompt.marks import MARKED, find_mark


@pytest.mark.parametrize(
    ("typed", "marked", "kind"),
    [
        ("x = = 2", "=", "wrong"),
        ("f(1)) ", ")", "wrong"),
        ('x = "a = b" = 3', "=", "wrong"),  # not the one in the string
        ("foo bar ", "bar", "wrong"),
        ("x = 1\nInbox[1].Data\nfoo )", ")", "wrong"),  # lines that run one by one
        ("print(1", "(", "open"),
        ("Send({Target = 1", "{", "open"),
        ("if x then y()", "if", "open"),
        ("s = [[ a", "[", "open"),
    ],
)
def test_what_is_wrong_is_marked_where_it_is(typed: str, marked: str, kind: str) -> None:
    mark = find_mark(typed, len(typed))
    assert mark and (typed[mark.start : mark.end], mark.kind) == (marked, kind)
    if typed.startswith('x = "'):
        assert mark.start == 12


@pytest.mark.parametrize(
    "typed",
    [
        "x = 1",
        "1 + 1",
        "x = 1\nInbox[1].Data",
        "if x the",  # it may become "then"
        'x = "a string that goes on',
        ".send bob Action=",
        "=1+1",
        "aos> x\n1 2 3",
        "x = = " + " " * MARKED,
    ],
)
def test_what_may_be_right_is_not_marked(typed: str) -> None:
    mark = find_mark(typed, len(typed))
    assert mark is None or mark.kind == "open"


lua = st.lists(
    st.sampled_from(
        ["x", " ", "=", "(", ")", "{", "}", "end", "do", "\n", '"', "[[", "]]", "--", "1"]
    )
).map("".join)


@given(lua, st.integers(0, 40))
def test_marks_are_in_the_text_and_only_on_what_lua_refuses(text: str, cursor: int) -> None:
    mark = find_mark(text, min(cursor, len(text)))
    if mark:
        assert 0 <= mark.start < mark.end <= len(text)
        verdict = compiling.check_line(text)
        assert verdict.error or not verdict.complete


@pytest.mark.parametrize(
    ("before", "opens"),
    [
        ("Handlers.", True),
        ("Handlers.ad", True),
        ("Inbox[1].", True),
        ("msg:", True),
        ("Send{", True),
        ("Send({ Ta", True),
        ('Send({ Target = "', True),
        ('ao.send({ Action = "Tr', True),
        ("msg.reply({ ", True),
        ("x", False),
        ("x = 1.", False),
        ('"a" .. ', False),
        ("a..", False),
        ('print("a.', False),
        ("-- a.", False),
        ("f{ Ta", False),
        ("Send({ Data = x", False),
        ("Send({}", False),
        (".send bob.", False),
    ],
)
def test_where_the_menu_opens_by_itself(before: str, opens: bool) -> None:
    assert opens_by_itself(before) is opens


async def ready(keyboard: Keyboard) -> None:
    keyboard.type("1+1\r")
    await keyboard.see("2\n")
    await keyboard.learned()


def opened(keyboard: Keyboard) -> bool:
    return isinstance(keyboard.app._buffer.complete_state, ByItself)


def test_the_open_menu_never_takes_enter(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        await ready(keyboard)
        keyboard.type("Handlers.ad")
        await until(lambda: opened(keyboard))
        keyboard.type("\r")  # sends what is typed, and nothing of the menu
        await until(lambda: node.codes[-1] == "Handlers.ad")
        keyboard.type("\x04")

    play(node, home, script)


def test_tab_goes_into_the_open_menu_and_the_history_stays_at_hand(
    node: FakeNode, home: Settings
) -> None:
    async def script(keyboard: Keyboard) -> None:
        await ready(keyboard)
        keyboard.type("Handlers.")
        await keyboard.taken()
        await until(lambda: opened(keyboard))
        keyboard.type("\x1b[A")  # ↑ is the history's
        await keyboard.line("1+1")
        keyboard.type("\x03")
        keyboard.type("Handlers.")
        await until(lambda: opened(keyboard))
        keyboard.type("\t")
        await keyboard.line("Handlers.add")
        keyboard.type("\r")
        await keyboard.taken()
        keyboard.type("\r")
        await until(lambda: node.codes[-1] == "Handlers.add")
        keyboard.type("\x04")

    play(node, home, script)


def test_alt_enter_begins_a_line_beside_the_open_menu(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        await ready(keyboard)
        keyboard.type("x = Handlers.")
        await until(lambda: opened(keyboard))
        keyboard.type("\x1b\r")
        await keyboard.taken()
        keyboard.type("list")
        await keyboard.line("x = Handlers.\nlist")
        keyboard.type("\x03\x04")

    play(node, home, script)


def test_the_menu_stays_shut_where_the_user_wants_that(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        await ready(keyboard)
        keyboard.type("Handlers.")
        await keyboard.line("Handlers.")
        assert keyboard.app._buffer.complete_state is None
        keyboard.type("\x03\x04")

    play(node, home, script, preferences=Preferences(menu=False))
