"""`aoshell completion SHELL`, asked by the shells themselves."""

from __future__ import annotations

import ast
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from program import Ended

from aoshell import cli
from aoshell.commandline.command import plain_names
from aoshell.commandline.completion_parser import SHELLS
from aoshell.commandline.scripts import SCRIPTS
from aoshell.commandline.table import forms
from aoshell.errors import AoError

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Complete = Callable[[str, str], set[str]]

# Stands for `aoshell`: gives names where completion asks for them, and else shows its arguments.
STAND_IN = """#!/bin/sh
if [ "$*" = "completion --names" ]; then printf 'default\\ndesk\\n'
else printf '<%s>' "$@"; echo END; fi
"""
ASKED = [
    ("aoshell de", {"default", "desk"}),
    ("aoshell du", {"dump"}),
    ("aoshell --ver", {"--version", "--verify"}),
    ("aoshell desk --lo", {"--load"}),
    ("aoshell --watch d", {"default", "desk"}),
    ("aoshell --verify o", {"on", "off"}),
    ("aoshell --verify=o", {"on", "off"}),
    ("aoshell --load to", {"token.lua", "tools"}),
    ("aoshell --cron ", set()),
    ("aoshell serve --po", {"--port", "--ports"}),
    ("aoshell serve --authority a", {"auto"}),
    ("aoshell test to", {"token.lua", "tools"}),
    ("aoshell attest me", {"measure"}),
    ("aoshell attest --ki", {"--kind"}),
    ("aoshell attest --kind t", {"tpm"}),
    ("aoshell attest measure --vcpu", {"--vcpus", "--vcpu-type"}),
    ("aoshell completion f", {"fish"}),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files to complete, a stand-in for aoshell, and the scripts."""
    (tmp_path / "token.lua").touch()
    (tmp_path / "tools").mkdir()
    program = tmp_path / "bin" / "aoshell"
    program.parent.mkdir()
    program.write_text(STAND_IN)
    program.chmod(0o755)
    for shell in SHELLS:
        (tmp_path / f"completion.{shell}").write_text(SCRIPTS[shell](forms()))
    return tmp_path


def needed(shell: str) -> str:
    found = shutil.which(shell)
    if not found:
        pytest.skip(f"there is no {shell} here")
    return found


def environment(folder: Path) -> dict[str, str]:
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(folder), "TERM": "xterm", "LC_ALL": "C.UTF-8"}


def plain(word: str) -> str:
    """Without what some shells put around what is completed."""
    return word.removeprefix("--verify=").rstrip("/")


@pytest.mark.parametrize("shell", SHELLS)
def test_it_is_a_script(shell: str, folder: Path) -> None:
    script = str(folder / f"completion.{shell}")
    done = subprocess.run([needed(shell), "-n", script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(("line", "expected"), ASKED)
def test_bash_at_a_terminal(line: str, expected: set[str], folder: Path) -> None:
    """Alt-* puts all completions into the line, Alt-Enter's place takes `printf`."""
    child = Ended(
        needed("bash"),
        ["--norc", "--noprofile", "-i"],
        env=environment(folder) | {"PS1": "> ", "INPUTRC": "/dev/null"},
        cwd=folder,
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 500),
    )
    try:
        child.sendline("bind 'set enable-bracketed-paste off'; PS1='READY> '")
        child.sendline(". ./completion.bash")
        child.sendline("echo SET")
        child.expect("\nSET\r?\n")
        child.send(f"{line}\x1b*\r")
        child.expect("END\r?\n")
        words = child.before.rpartition("\n")[2].strip("<>").split("><")
    finally:
        child.close(force=True)
    begun = shlex.split(line + "''")[1:]
    offered = {plain(word) for word in words[len(begun) - 1 :]}
    assert offered - {""} == (expected or {begun[-1]} - {""})


@pytest.mark.parametrize(("line", "expected"), ASKED)
def test_fish_tells(line: str, expected: set[str], folder: Path) -> None:
    done = subprocess.run(
        [needed("fish"), "--no-config", "-c", f"source completion.fish; complete -C '{line}'"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    found = {row.partition("\t")[0] for row in done.stdout.splitlines()}
    assert {plain(word) for word in found} == expected


@pytest.mark.parametrize(("line", "expected"), ASKED)
def test_zsh_at_a_terminal(
    line: str, expected: set[str], folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    functions = tmp_path_factory.getbasetemp() / "zcompdump"  # what zsh has: found by the first
    child = Ended(
        needed("zsh"),
        ["-f", "-i"],
        env=environment(folder) | {"PS1": "> "},
        cwd=folder,
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 500),
    )
    try:
        child.sendline(f"autoload -U compinit; compinit -u -d {shlex.quote(str(functions))}")
        child.sendline(". ./completion.zsh; PS1='READY> '")
        # Ctrl-X a: puts all that fits into the line.
        child.sendline("zle -C all complete-word _generic; bindkey '^Xa' all")
        child.sendline("zstyle ':completion:all:*' completer _all_matches _complete")
        child.sendline("zstyle ':completion:all:*' insert yes; zstyle ':completion:all:*' menu no")
        child.sendline("unset zle_bracketed_paste")
        child.sendline("echo SET")
        child.expect("\nSET\r?\n")
        child.send(f"{line}\x18a")
        child.send("\r")
        child.expect("END\r?\n")
        words = child.before.rpartition("\n")[2].split("<", 1)[1].strip("<>").split("><")
    finally:
        child.close(force=True)
    begun = shlex.split(line + "''")[1:]
    offered = {plain(word) for word in words[len(begun) - 1 :]}
    assert offered - {""} == (expected or {begun[-1]} - {""})


def test_names_of_this_home(aoshell: Run) -> None:
    aoshell("desk", "--run", "1")
    aoshell("$(touch x) y", "--run", "1")
    assert aoshell("completion", "--names").stdout == "desk\n"


def test_names_that_a_shell_would_read_something_into() -> None:
    given = ["a", "b-1", "", "$(x)", "a b", "-x", "`x`", "a;b", "a\nb", "a" * 200, "é"]
    assert plain_names(lambda: given) == ["a", "b-1"]


def test_a_home_that_cannot_be_read_has_no_names() -> None:
    def names() -> list[str]:
        raise AoError("no", stage="store")

    assert plain_names(names) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_program_prints_it(shell: str, aoshell: Run) -> None:
    assert aoshell("completion", shell).stdout == SCRIPTS[shell](forms())


def test_without_a_shell_it_says_which_there_are(aoshell: Run) -> None:
    done = aoshell("completion")
    assert done.returncode == 2 and "aoshell completion bash|zsh|fish" in done.stderr


def test_the_table_has_each_command_that_the_program_knows() -> None:
    tree = ast.parse(Path(cli.__file__).read_text(encoding="utf-8"))
    run = next(node for node in tree.body if getattr(node, "name", "") == "_run")
    lists = [
        ast.literal_eval(one)
        for one in ast.walk(run)
        if isinstance(one, ast.List) and all(isinstance(word, ast.Constant) for word in one.elts)
    ]
    known = {tuple(words) for words in lists if words and not words[0].startswith("-")}
    known -= {("help",), ("version",)}  # other words for flags
    assert known == {form.words for form in forms() if form.words}
