"""README's session, pasted whole into a true terminal, gives its results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import AOSHELL
from terminal import Terminal

REPO = Path(__file__).resolve().parents[2]


def session() -> str:
    fenced = re.findall(
        r"^```\w*\n(.*?)^```", (REPO / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    return "".join(block for block in fenced if "@aos-" in block)


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[Terminal]:
    shown = Terminal(AOSHELL, environment, columns=100, rows=60, folder=str(REPO))
    yield shown
    shown.child.close(force=True)


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
def test_a_session_gives_its_results(terminal: Terminal, marked: bool) -> None:
    """The answers were run, too; and the Inbox was read before the reply was there."""
    terminal.shows(r"^local · ")
    text = session().replace("\n", "\r")
    terminal.type(f"\x1b[200~{text}\x1b[201~" if marked else text)
    if marked:
        terminal.shows("lines of answers were left out of the paste")
        terminal.type("\r")
    screen = terminal.shows(r"> tostring\(x\)\nnil$")
    assert re.search(r"^Result: 49$", screen, re.MULTILINE)
    assert "Calculated square of 7: 49" in screen
    assert screen.count("  3 │ return t.x") == 1 and screen.count('  1 │ x = 2 error("no")') == 1
    assert "unexpected symbol" not in screen and "syntax error" not in screen
