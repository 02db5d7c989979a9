"""The session of AO's own documentation, typed and through a pipe, and what surrounds it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest
from program import AOSHELL, Popen, Spawn
from terminal import Terminal

REPO = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
SESSION = """\
[aos]> .load examples/my_script.lua
[aos]> MyLuaProcess = spawn(MyModule)
[aos]> Send({ Target = MyLuaProcess, Action = "Calculate", Value = "7" })
[aos]> Inbox[#Inbox].Data
"""


def test_through_a_pipe(aoshell: Run) -> None:
    done = aoshell(stdin=SESSION)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Result: 49"
    assert "Calculated square of 7: 49" in done.stderr
    assert "MyModule = " in done.stderr


def test_run_of_a_value_prints_just_the_value(aoshell: Run) -> None:
    assert aoshell("--run", "1+1").stdout == "2\n"
    assert aoshell("--run", "1+1").stderr == ""


def test_state_outlives_the_shell(aoshell: Run) -> None:
    aoshell("--run", "Balance = 41")
    assert aoshell("--run", "Balance = Balance + 1", "--run", "Balance").stdout == "42\n"


def test_a_failed_line_is_undone_and_the_exit_code_says_so(aoshell: Run) -> None:
    done = aoshell("--run", "x = 1", "--run", "x = 2 error('no')", "--run", "x")
    assert (done.returncode, done.stdout) == (1, "1\n")
    assert '[string "aos"]:1: no' in done.stderr


def test_json_is_one_object_a_line(aoshell: Run) -> None:
    done = aoshell("--json", "--run", "print('a') return 7", "--run", ".ps")
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["ok"], first["output"], first["outcome"]) == (True, "a\n7", "ok")
    assert [process["name"] for process in second["value"]] == ["default"]


def test_time_limit_is_an_outcome(aoshell: Run) -> None:
    done = aoshell("--timeout", "0.3", "--run", "x = 1", "--run", "while true do end", "--run", "x")
    assert (done.returncode, done.stdout) == (1, "1\n")
    assert "stopped after 0.3 s" in done.stderr


def test_list_while_another_shell_works(environment: dict[str, str], aoshell: Run) -> None:
    aoshell("--run", "1")
    holder = Popen(
        AOSHELL,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=REPO,
    )
    assert holder.stdin and holder.stdout
    try:
        holder.stdin.write("6*7\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "42\n"
        listed = aoshell("--list")
        assert listed.returncode == 0
        assert "default" in listed.stdout
    finally:
        holder.communicate("", timeout=60)


def test_kill_minus_nine_loses_nothing(environment: dict[str, str], aoshell: Run) -> None:
    shell = Popen(
        AOSHELL,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        cwd=REPO,
    )
    assert shell.stdin and shell.stdout
    shell.stdin.write("kept = 'here' return kept\n")
    shell.stdin.flush()
    assert shell.stdout.readline() == "here\n"
    os.kill(shell.pid, signal.SIGKILL)
    shell.communicate()
    assert aoshell("--run", "kept").stdout == "here\n"


def opened(environment: dict[str, str]) -> Terminal:
    return Terminal(AOSHELL, environment, columns=100, rows=40, folder=str(REPO))


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[Terminal]:
    shown = opened(environment)
    yield shown
    shown.child.close(force=True)


@pytest.fixture
def first_terminal(newcomer: dict[str, str]) -> Iterator[Terminal]:
    shown = opened(newcomer)
    yield shown
    shown.child.close(force=True)


def test_typed_on_a_fresh_machine(first_terminal: Terminal, newcomer: dict[str, str]) -> None:
    """The first start of all: the wallet is made while the prompt is there already."""
    terminal = first_terminal
    *lines, last = [line.removeprefix("[aos]> ") for line in SESSION.splitlines()]
    for line in lines:
        terminal.type(line + "\r")
        terminal.shows(r"Inbox:\d+\]>$")
    terminal.shows(r"Data = Result: 49$")  # the reply comes when it comes; a person waits for it
    terminal.type(last + "\r")
    screen = terminal.shows(r"^Result: 49$")
    # Whether the note about it is shown depends on how soon the primes are found.
    assert (Path(newcomer["AOSHELL_HOME"]) / "state" / "wallet.json").is_file()
    assert re.search("Calculated square of 7: 49$", screen, re.MULTILINE)
    terminal.type("\x04")
    terminal.ended()


def test_ctrl_c_gives_up_the_wait_and_never_the_shell(terminal: Terminal) -> None:
    terminal.type("x = 1\r")
    terminal.shows(r"Inbox:1\]>$")
    terminal.type("while true do end\r")
    terminal.shows("is computed")
    terminal.type("\x03")
    terminal.shows("No longer waiting for slot")
    terminal.type("\x03")
    terminal.shows("Stopped|stopped by the user")
    terminal.type("return 'still ' .. 'here'\r")
    terminal.shows("^still here$")


def test_a_long_line_on_a_dumb_terminal(environment: dict[str, str]) -> None:
    dumb, typed = environment | {"TERM": "dumb"}, b"return 'up' .. 1\r"
    child = Spawn(AOSHELL[0], AOSHELL[1:], env=dumb, timeout=60, ahead=typed)
    try:
        child.expect("> up1\r\n")  # typed ahead, so its echo is above the prompt
        child.send(f"return #'{'x' * 6000}' .. 'x\x7f'\r")
        child.expect("\r\n6000\r\n")
        child.send("\x04")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
    assert child.exitstatus == 0


COLOURED = {"TERM": "xterm-256color"}
PLAIN = {"TERM=dumb": {"TERM": "dumb"}, "NO_COLOR": COLOURED | {"NO_COLOR": "1"}}


@pytest.mark.parametrize("arguments", [["--run", "error('no')"], ["test", "fails_test.lua"]])
@pytest.mark.parametrize("variables", [COLOURED, *PLAIN.values()], ids=["colours", *PLAIN])
def test_colours_are_for_terminals_that_show_them(
    arguments: list[str], variables: dict[str, str], environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "fails_test.lua").write_text('test("x", function(t) t:ok(false) end)')
    child = Spawn(
        AOSHELL[0],
        [*AOSHELL[1:], *arguments],
        env={k: v for k, v in environment.items() if k != "NO_COLOR"} | variables,
        cwd=tmp_path,
        encoding="utf-8",
        timeout=60,
    )
    try:
        shown = child.read()
    finally:
        child.close(force=True)
    assert child.exitstatus == 1, shown
    assert ("\x1b[" in shown) == (variables is COLOURED)


def test_lines_behind_the_way_out_are_told(aoshell: Run) -> None:
    done = aoshell(stdin="\ufeffreturn 1\n.exit\nreturn 2\n\nreturn 3\n")
    assert (done.stdout, done.returncode) == ("1\n", 0)
    assert done.stderr.endswith("2 lines were not run\n")
    assert "1 line was not run" in aoshell("--run", ".exit", "--run", "return 2").stderr
