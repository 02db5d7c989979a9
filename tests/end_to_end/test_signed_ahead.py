"""A line is signed where one pauses while it is typed: what Enter sends is what stands there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from program import AOSHELL
from terminal import Terminal

from aoshell.shell.prompt.signing import PAUSE

REPO = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_lines_that_were_typed_with_pauses(environment: dict[str, str], aoshell: Run) -> None:
    shell = Terminal([*AOSHELL, "desk"], environment, columns=100, rows=30, folder=str(REPO))
    shell.type("return 'begun'\r")
    shell.shows("^begun$")
    for typed, changed, answer in (
        ("return 7 * 6", "", "42"),
        ("return 7 * 6", "7", "469"),  # longer than what was signed
        ("return 8 * 67", "\x7f", "48"),  # shorter
        ("return 'ab'", "\x1b[D\x1b[D\x1b[DX", "Xab"),  # changed in its middle
    ):
        shell.type(typed)
        shell.read(3 * PAUSE)
        shell.type(changed)
        shell.read(3 * PAUSE if answer == "469" else 0)
        shell.type("\r")
        shell.shows(rf"^{answer}$")
    shell.type("\x04")
    shell.ended()
    read = aoshell("desk", "--json", "--run", ".log")
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout)["value"]["slot"] == 5  # one message for each line
