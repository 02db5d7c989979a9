"""Runs a scene in its own terminal and a temporary home."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import program
from program import AOSHELL
from terminal import Terminal

from aoshell.shell.help.hints import HINTS
from pictures.scenes import Scene
from pictures.svg import GROUND, PLAIN, Cell, Look, colour

AGAIN = ("\t", ".names\r")  # keys that need what is loaded after the prompt is shown
TRIES, PATIENCE = 20, 2.0  # of these, and seconds until they are typed again
REPO = Path(__file__).resolve().parents[2]


def run(scene: Scene, home: Path, wallet: dict[str, str]) -> list[list[Cell]]:
    """The rows of the screen at the end of a scene.

    Args:
        home: an empty folder.
        wallet: a JWK; to make one takes seconds.

    Raises:
        AssertionError: the screen does not show what the scene waits for.
    """
    state = home / "state"
    state.mkdir(parents=True, mode=0o700)
    (state / "wallet.json").write_text(json.dumps(wallet))
    (state / "hints").write_text("\n".join(HINTS))  # all were shown
    environment = {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        **{"HOME": str(home), "AOSHELL_HOME": str(home), "PYTHONPATH": str(REPO)},
        **{"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
    }
    command = [*AOSHELL, *scene.arguments]
    if scene.arguments[:1] != ("test",):
        lines = [argument for line in scene.before or ("1",) for argument in ("--run", line)]
        program.run([*command, *lines], cwd=REPO, env=environment, check=True, capture_output=True)
    terminal = Terminal(
        command, environment, columns=scene.columns, rows=scene.rows, folder=str(REPO)
    )
    try:
        if scene.arguments[:1] != ("test",):
            terminal.shows(r"aos-[\d.]+(\[Inbox:\d+\])?> ?$")
        for keys, shown in scene.steps:
            terminal.type(keys)
            again = next((key for key in AGAIN if keys.endswith(key)), "")
            if again:
                _insist(terminal, again, shown)
            terminal.shows(shown)
        terminal.read(0.3)  # what is drawn last, such as the line below
        return cells(terminal)
    finally:
        terminal.child.close(force=True)


def _insist(terminal: Terminal, keys: str, shown: str) -> None:
    """Type again until the screen shows it: what these keys need is loaded after the prompt."""
    for _ in range(TRIES):
        terminal.read(PATIENCE)
        if re.search(shown, "\n".join(terminal.lines), re.MULTILINE):
            return
        terminal.type(keys)


def cells(terminal: Terminal) -> list[list[Cell]]:
    """What the screen shows, without the empty rows at its end."""
    screen = terminal.screen
    rows = [
        [_cell(screen.buffer[number][column]) for column in range(screen.columns)]
        for number in range(screen.lines)
    ]
    while rows and not "".join(cell.text for cell in rows[-1]).strip():
        rows.pop()
    return rows


def lines(rows: Sequence[Sequence[Cell]]) -> list[str]:
    """The same as text."""
    return ["".join(cell.text for cell in row).rstrip() for row in rows]


def _cell(drawn: Any) -> Cell:
    """A cell of pyte's."""
    front, ground = colour(drawn.fg), "" if drawn.bg == "default" else colour(drawn.bg)
    if drawn.reverse:
        front, ground = ground or GROUND, front
    look = Look(front, ground, drawn.bold, drawn.italics, drawn.underscore)
    if drawn.data == " " and not ground and not drawn.underscore:
        look = PLAIN
    return Cell(drawn.data, look)
