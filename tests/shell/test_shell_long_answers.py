"""Answers that are longer than the screen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from eventually import until
from hypothesis import given
from hypothesis import strategies as st
from prompt_keyboard import Keyboard, play
from shell_fake import FakeNode

from aoshell.home.folders import Settings
from aoshell.shell.view.paging import first_screen
from aoshell.shell.view.text import width_of


def rows_of(text: str, columns: int) -> int:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return sum(max(1, -(-width_of(line) // columns)) for line in plain.splitlines())


@pytest.mark.parametrize("columns", [20, 80, 300])
def test_a_table_of_20000_entries_stops_after_a_screen(columns: int) -> None:
    text = "{\n" + "".join(f"   key{n} = {n},\n" for n in range(20_000)) + "}\n"
    shown, left = first_screen(text, columns, 24)
    assert text.startswith(shown) and rows_of(shown, columns) == 21
    assert left == f"{20_002 - 21:,} lines"


@pytest.mark.parametrize("line", ["x" * 1_000_000, "世" * 500_000, "\x1b[31mx" * 100_000])
def test_a_line_of_a_megabyte_stops_after_a_screen(line: str) -> None:
    shown, left = first_screen(line + "\n", 80, 24)
    assert rows_of(shown, 80) <= 21 and left.endswith("characters")
    assert ("\x1b" in line) == shown.endswith("\x1b[0m\n")


@given(
    st.lists(st.text("xé世 ", max_size=90), max_size=60), st.integers(20, 300), st.integers(4, 60)
)
def test_two_screens_are_shown_whole_and_no_more(lines: list[str], columns: int, rows: int) -> None:
    text = "\n".join(lines) + "\n"
    shown, left = first_screen(text, columns, rows)
    assert (shown == text) == (not left)
    assert bool(left) == (rows_of(text, columns) > 2 * rows)
    if left:
        assert rows_of(shown, columns) <= max(rows - 3, 1)


def test_the_rest_is_shown_when_asked_for(
    node: FakeNode, home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    pager = tmp_path / "pager"
    pager.write_text(f'#!/bin/sh\ncat > "{seen}"\n')
    pager.chmod(0o755)
    monkeypatch.setenv("PAGER", str(pager))

    async def script(keyboard: Keyboard) -> None:
        keyboard.type("Balances\r")
        await keyboard.see("lines more: .more shows them, .inspect Balances folds them")
        keyboard.type(".more\r")
        await until(lambda: seen.exists() and seen.read_text().endswith("entry 19999\n"))
        keyboard.type("1+1\r")
        await keyboard.see("\n2\n")
        keyboard.type("\x04")

    said = play(node, home, script)
    assert "entry 19\n" in said and "entry 9999" not in said
    assert seen.read_text().splitlines()[-1] == "entry 19999"


def test_nothing_was_cut(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type(".more\r")
        await keyboard.see("no answer was cut")
        keyboard.type("\x04")

    play(node, home, script)


def test_why_a_long_answer_failed_stands_below_it(node: FakeNode, home: Settings) -> None:
    """Its end was cut with the rest, and the reason of an error is there."""

    async def script(keyboard: Keyboard) -> None:
        code = 'print("' + "a " * 6000 + '") error("the reason")'
        keyboard.type(f"\x1b[200~{code}\x1b[201~\r")
        await keyboard.see(": the reason\n")
        keyboard.type("1+1\r")
        await keyboard.see("\n2\n")
        keyboard.type("\x04")

    said = play(node, home, script)
    assert "more: .more shows them" in said
