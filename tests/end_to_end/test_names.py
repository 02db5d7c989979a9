"""Names in place of ids, as a person types them: at a prompt, in a pipe, and with --run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from program import AOSHELL
from terminal import Terminal

REPO = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def shell(environment: dict[str, str]) -> Iterator[Terminal]:
    """A prompt at the process desk, beside which token and market are there."""
    shown = Terminal([*AOSHELL, "desk"], environment, columns=100, rows=30, folder=str(REPO))
    shown.type(".spawn aos as token\r")
    shown.shows(r"\.attach token")
    shown.type(".spawn aos as market\r")
    shown.shows(r"\.attach market[^$]*\n\S{43}\n")
    yield shown
    shown.child.close(force=True)


def test_tab_completes_the_names_of_processes(shell: Terminal) -> None:
    """`Target = "tok` and Tab put the id of another process there."""
    shell.type('Send({Target = "tok\t')
    shell.shows(r"Send\(\{Target = @token$")
    shell.type("\x03")
    shell.type('Send({Target = "\t')
    shell.shows(r"^ +market +\S{8}… +\S{8}…\s*$")
    shell.type("\x03\x03")
    shell.type(".send tok\t")
    shell.shows(r"\.send token$")
    shell.type(" Recipient=@mar\t")
    shell.shows("@market$")
    shell.type("\r")
    shell.shows(r"^token \(\S{8}…\) slot 1$")


def test_a_name_made_by_the_last_line_is_completed_at_once(shell: Terminal) -> None:
    shell.type("return @mar\t")
    shell.shows("@market$")
    shell.type("\r")
    shell.shows(r"return @market\n\S{43}\n")
    shell.type(".rename market as bazaar\r")
    shell.shows("market is bazaar now")
    shell.type("return @baz\t")
    shell.shows("@bazaar$")
    shell.type("\r")
    shell.shows(r"return @bazaar\n\S{43}\n")


def test_a_line_with_a_name_may_have_several_lines(shell: Terminal) -> None:
    shell.type("do local x = @token\rprint(#x + #@")
    shell.shows("#@$")
    shell.type("\t")
    shell.shows(r"^ +desk +\S{8}… ")
    shell.type("tok\t")
    shell.shows("@token$")
    shell.type(")\rend\r")
    shell.shows("^86$")
    shell.type("\x1b[A")
    shell.shows(r"> do local x = @token\n +print\(#x \+ #@token\)\n +end$")  # as it was typed


def test_the_screen_says_whom_a_message_reached(shell: Terminal) -> None:
    shell.type('Send({Target = @token, Data = "hello"})\r')
    shell.shows(r"^token \(\S{8}…\) │ New Message From \S+: Data = hello$")
    shell.type(".why\r")
    shell.shows(r"^token \(\S{8}…\) slot 1: a message without Action from desk \(\S{8}…\)$")
    shell.type(".ps\r")
    shell.shows(r"^> +desk ")
    shell.shows(r"^local · desk \(\S{8}…\) · ")


def test_names_in_pipes_and_flags(aoshell: Run) -> None:
    lines = [
        ".spawn aos as token",
        ".spawn aos as my-desk",
        "T = @token",
        '@my-desk ~= T and "@token" or "no"  -- @nobody',
        "return T ==",
        "  @token",
        "@tokn",
        ".json @desk { @'token' == T, [[@token]] }",
    ]
    done = aoshell("desk", stdin="".join(f"{line}\n" for line in lines))
    assert done.stdout.splitlines()[2:4] == ["@token", "true"]
    assert '"@token"' in done.stdout
    assert "find: @tokn is no process and no identity here\n  → did you mean @token?" in done.stderr
    assert done.returncode == 1
    same = aoshell("desk", "--run", "return @token == T")
    assert (same.stdout, same.returncode) == ("true\n", 0)
    told = aoshell("desk", "--json", "--run", "return @token")
    assert '"input": "return @token"' in told.stdout and '"output": "@' not in told.stdout
