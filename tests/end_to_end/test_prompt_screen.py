"""The prompt in a true terminal: what stands on the screen, whatever is done to it."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from program import AOSHELL
from terminal import Terminal

REPO = Path(__file__).resolve().parents[2]
EDITOR = '#!/bin/sh\nprintf "Pad = 6 * 7\\nreturn Pad" > "$1"\n'


Open = Callable[..., Terminal]


@pytest.fixture
def terminal(environment: dict[str, str], tmp_path: Path) -> Iterator[Open]:
    editor = tmp_path / "editor"
    editor.write_text(EDITOR)
    editor.chmod(0o755)
    opened: list[Terminal] = []

    def open_(columns: int = 90, rows: int = 24, config: str = "", **changes: str) -> Terminal:
        if config:
            folder = tmp_path / "home" / "config"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "config.toml").write_text(config)
        variables = environment | {"EDITOR": str(editor)} | changes
        shown = Terminal(AOSHELL, variables, columns=columns, rows=rows, folder=str(REPO))
        opened.append(shown)
        shown.type("return 40 + 2\r")
        shown.shows("^42$")
        shown.shows("Inbox:1]>$" if columns > 40 else "]>$")
        return shown

    yield open_
    for shown in opened:
        shown.child.close(force=True)


def test_tab_shows_what_the_process_has(terminal: Open) -> None:
    shell = terminal()
    shell.type("Ledger = {mint = 1, move = 2, burn = 3}\r")
    shell.shows(r"slot 2")
    shell.read(1.0)
    shell.type("Led\t.m\t")
    assert "Ledger.m" in shell.shows(r"^ +move +number")
    shell.type("ove\r")  # what is typed on narrows the menu
    shell.shows(r"^2$")
    assert "number" not in "\n".join(shell.lines)


def test_the_line_below_follows_what_is_typed(terminal: Open) -> None:
    shell = terminal()
    shell.shows(r"^local · default \(\S+…\) · wallet \S+ · slot 1 · inbox 1 · \d+\.\d ms$")
    shell.type("ao.send(")
    shell.shows(r"^ao\.send\(\{Target")
    shell.type("\x03")
    shell.shows(r"^local · default")
    screen = shell.shows(r"> ao\.send\($")
    assert "message  Put" not in screen and screen.count("local · default") == 1


def test_lines_are_suggested_and_found_again(terminal: Open) -> None:
    shell = terminal()
    shell.type("return 'needle ' .. 1\r")
    shell.shows("^needle 1$")
    shell.type("return 'n")
    shell.shows(r"> return 'needle' .. 1$".replace("needle'", "needle '"))
    shell.type("\x03\x12needle")
    shell.shows("^history: needle$")
    shell.type("\r")
    shell.shows(r"> return 'needle ' \.\. 1$")
    shell.type("\r")
    assert shell.shows(r"(?s)needle 1$.*^needle 1$").count("history:") == 0


def test_the_smallest_screen(terminal: Open) -> None:
    shell = terminal(20, 5)
    for keys in (
        "x = '日本語 e\u0301 שלום",
        " and much more'\r",
        "Handlers.\t\t",
        "\x03",
        "\x12x\x1b",
    ):
        shell.type(keys)
        shell.read(0.4)
    shell.type("#x\r")
    shell.shows(r"^\d\d$")
    shell.resize(90, 24)
    shell.read(0.3)
    shell.type("return 'wide ' .. 'again'\r")
    shell.shows("^wide again$")


def test_resizing_while_typing_loses_nothing(terminal: Open) -> None:
    shell = terminal()
    shell.type("return '" + "wrapped " * 25)
    for columns, rows in ((20, 5), (60, 30), (25, 12), (100, 24)):
        shell.resize(columns, rows)
        shell.read(0.3)
    shell.type("end'\r")
    shell.shows(r"^end$")
    assert "".join(shell.lines).count("wrapped") == 50  # typed, and answered


def test_a_megabyte_is_pasted_at_once(terminal: Open) -> None:
    shell = terminal()
    lines = "\n".join(f"T[{i}] = 'a value that takes some room {i}'" for i in range(20_000))
    program = f"local n = 3\nT = {{}}\n{lines}\nreturn 'pasted ' .. #T .. n"
    shell.child.send(f"\x1b[200~{program}\x1b[201~")
    shell.shows(r"⟦paste 1: 20003 lines, \d+ characters⟧")
    shell.type("\r")
    shell.shows("^pasted 199993$")


def test_output_does_not_touch_what_is_typed(terminal: Open) -> None:
    shell = terminal()
    shell.type('Handlers.add("N", "N", function(m) print("note " .. m.Data) end)\r')
    shell.shows("slot 2")
    shell.type("for i = 1, 2000 do Send({Target = ao.id, Action = 'N', Data = '' .. i}) end\r")
    for key in "return 'typed in the storm'":
        shell.type(key)
        shell.read(0.02)
    shell.shows(r"^note 2000$")
    shell.shows(r"> return 'typed in the storm'$")
    shell.type("\r")
    shell.shows("^typed in the storm$")


def test_editor_and_pad(terminal: Open) -> None:
    shell = terminal()
    shell.type(".editor\r")
    shell.shows("^…$")
    for line in ("function sq(n)", "return n * n", "end", "oops", ".delete", "return sq(9)"):
        shell.type(f"{line}\r")
        shell.read(0.2)
    # `.delete` takes back the line above it.
    shell.type(".print\r")
    assert "oops" not in shell.shows(r"^ +4 +return sq\(9\)$")
    shell.type(".done\r")
    shell.shows("^81$")
    shell.type(".pad\r")
    shell.shows("^42\n(?s:.*)^42$")


def test_keys_of_vi(terminal: Open) -> None:
    shell = terminal(config='[shell]\nediting = "vi"\n')
    shell.shows("^INSERT · local")
    shell.type("return 7x")
    shell.read(0.2)
    shell.type("\x1b")
    shell.shows("^NORMAL · local")
    shell.type("x")
    shell.read(0.2)
    shell.type("\r")
    shell.shows("^7$")


def test_a_config_file_with_errors(terminal: Open) -> None:
    shell = terminal(config='[shell]\nediting = "ed"\n')
    shell.shows(r'line 2: \[shell\] editing: it cannot be "ed"')


def test_no_colour(terminal: Open) -> None:
    shell = terminal(NO_COLOR="1")
    shell.type("return function() -- 1")
    shell.shows(r"-- 1$")
    used = {
        cell.fg for row in shell.screen.buffer.values() for cell in row.values() if cell.data != " "
    }
    assert used == {"default"}


def test_control_c_everywhere(terminal: Open) -> None:
    shell = terminal()
    states = ("", "typed", "x = {\r", "\x12find", "Handlers.\t", ".editor\rcode", ".delete x\r")
    for keys in states:
        shell.type(keys)
        shell.read(0.3)
        shell.type("\x03")
        shell.read(0.3)
    shell.type("\x03return 'still ' .. 'here'\r")
    shell.shows("^still here$")
    assert not re.search(r"Traceback|defect", "\n".join(shell.lines))


def test_suspended_and_resumed(terminal: Open) -> None:
    shell = terminal()
    shell.type("return 'before ' ..")
    shell.read(0.3)
    os.kill(shell.child.pid, signal.SIGSTOP)
    shell.type(" 'and after'")
    time.sleep(0.3)
    os.kill(shell.child.pid, signal.SIGCONT)
    shell.type("\r")
    shell.shows("^before and after$")


def test_a_lost_terminal_ends_it(terminal: Open) -> None:
    shell = terminal()
    shell.type("while true do end\r")
    shell.read(0.3)
    os.close(shell.child.child_fd)
    shell.child.ptyproc.closed = True
    end = time.monotonic() + 60
    while shell.child.isalive() and time.monotonic() < end:
        time.sleep(0.1)
    if shell.child.isalive():
        os.kill(shell.child.pid, signal.SIGKILL)
        raise AssertionError("it goes on without a terminal")
    assert shell.child.signalstatus is None  # it ended by itself, and in order
