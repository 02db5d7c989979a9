"""`aoshell dump`, `aoshell load` and `--state`, as a user meets them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import program
import pytest
from eventually import until
from program import AOSHELL, REPO

from aoshell.shell.view import waiting
from aoshell.states import throwaway, working


@pytest.fixture
def temporary(tmp_path: Path, environment: dict[str, str]) -> Path:
    """Where throw-away homes are made."""
    place = tmp_path / "temporary"
    place.mkdir()
    environment["TMPDIR"] = str(place)
    return place


@pytest.fixture
def bank(aoshell: Any, tmp_path: Path) -> Path:
    """The dump of a home with a process called bank."""
    assert aoshell("bank", "--run", "Balance = 7").returncode == 0
    file = tmp_path / "bank.dump"
    done = aoshell("dump", str(file))
    assert (done.returncode, without_progress(done.stderr)) == (0, "")
    assert done.stdout.startswith(f"{file}: 1 process, 2 messages, 1 module, ")
    return file


def without_progress(said: str) -> str:
    """Without what is shown once something takes a second."""
    return re.sub(r"^· .*\n", "", said, flags=re.MULTILINE)


def homes(temporary: Path) -> list[Path]:
    """The throw-away homes that there are; sockets of homes with long paths are beside them."""
    return list(temporary.glob("aoshell-state-*"))


def run(
    environment: dict[str, str], *arguments: str, given: bytes = b"", **more: Any
) -> subprocess.CompletedProcess[bytes]:
    command = [*AOSHELL, *arguments]
    return program.run(
        command, input=given, capture_output=True, timeout=120, env=environment | more, check=False
    )


def test_a_home_goes_into_another(aoshell, environment, bank, tmp_path):
    other = {"AOSHELL_HOME": str(tmp_path / "other")}
    done = run(environment, "load", str(bank), "--json", **other)
    assert json.loads(done.stdout) == {
        "file": str(bank), "processes": 1, "messages": 2, "modules": 1, "uploads": 0, "waiting": 0,
    }  # fmt: skip
    wallet = str(tmp_path / "home" / "state" / "wallet.json")
    done = run(environment, "bank", "--wallet", wallet, "--run", "return Balance", **other)
    assert done.stdout.strip() == b"7", done.stderr
    done = run(environment, "bank", "--wallet", wallet, "--run", ".verify-log", **other)
    assert done.returncode == 0
    again = run(environment, "load", str(bank), **other)
    assert again.returncode == 1 and b"state: this home has already process bank (" in again.stderr
    there = aoshell("dump", str(bank))
    assert there.returncode == 1 and f"dump: {bank} exists already" in there.stderr


@pytest.mark.usefixtures("bank")
def test_streams(environment, temporary):
    piped = run(environment, "dump", "-")
    assert piped.returncode == 0 and piped.stdout.startswith(b"aoshell state 1\n")
    done = run(environment, "bank", "--state", "-", "--run", "return Balance", given=piped.stdout)
    assert done.stdout.strip() == b"7", done.stderr
    other = {"AOSHELL_HOME": str(temporary / "other")}
    assert run(environment, "load", "-", given=piped.stdout[:-1], **other).returncode == 1
    assert run(environment, "--list", "--json", **other).stdout == b""
    assert run(environment, "load", "-", given=piped.stdout, **other).returncode == 0


def test_a_throw_away_node_leaves_nothing(environment, bank, temporary, tmp_path):
    """Neither in the home nor in the temporary one; its wallets sign."""
    before = sorted((tmp_path / "home").rglob("*"))
    lines = b"Balance = Balance + 1\nreturn Balance\n"
    done = run(environment, "bank", "--state", str(bank), given=lines)
    assert done.stdout.split()[-1] == b"8", done.stderr
    done = run(environment, "--list", "--json", "--state", str(bank))
    assert json.loads(done.stdout)["name"] == "bank"
    assert homes(temporary) == []
    assert sorted((tmp_path / "home").rglob("*")) == before
    done = run(environment, "bank", "--run", "return Balance")
    assert done.stdout.strip() == b"7"


def test_a_throw_away_node_that_is_killed_leaves_nothing(environment, bank, temporary):
    command = [*AOSHELL, "bank", "--state", str(bank), "--json"]
    shell = program.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=REPO
    )
    assert shell.stdin and shell.stdout
    shell.stdin.write(b"return Balance\n")
    shell.stdin.flush()
    assert json.loads(shell.stdout.readline())["output"] == "7"
    assert len(homes(temporary)) == 1
    shell.kill()
    shell.communicate()
    asyncio.run(until(lambda: not homes(temporary)))


def test_serve_begins_with_a_dump(environment, bank, temporary):
    command = [*AOSHELL, "serve", "--port", "0", "--json", "--state", str(bank)]
    server = program.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=REPO)
    try:
        assert server.stdout
        ready = json.loads(server.stdout.readline())
        done = run(environment, "--list", "--json")
        pid = json.loads(done.stdout)["id"]
        with urlopen(f"{ready['url']}/{pid}/latest?process-id={pid}", timeout=60) as answer:
            assert answer.status == 200
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    finally:
        server.kill()
        server.communicate()
    assert homes(temporary) == []


def test_dumping_goes_on_beside_an_open_shell_and_loading_does_not(environment, bank):
    command = [*AOSHELL, "bank", "--json"]
    shell = program.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=REPO
    )
    assert shell.stdin and shell.stdout
    shell.stdin.write(b"Balance = 9\n")
    shell.stdin.flush()
    assert json.loads(shell.stdout.readline())["ok"]
    done = run(environment, "dump", "-")
    assert done.returncode == 0
    refused = run(environment, "load", str(bank))
    assert refused.returncode == 1
    assert f"another aoshell (pid {shell.pid}) has".encode() in refused.stderr
    shell.communicate(timeout=60)
    ran = run(environment, "bank", "--state", "-", "--run", "return Balance", given=done.stdout)
    assert ran.stdout.strip() == b"9", ran.stderr


KILLED = """
import os, signal, sys
from aoshell.states import working
write = working._write_all
def writing(place, data):
    def some():
        for number, part in enumerate(data):
            yield part
            if number == 1:
                place.flush()
                os.kill(os.getpid(), signal.SIGKILL)
    return write(place, some())
working._write_all = writing
from aoshell.cli import main
main()
"""


@pytest.mark.usefixtures("bank")
def test_kill_9_leaves_no_half_dump(environment, tmp_path):
    file = tmp_path / "half.dump"
    command = [sys.executable, "-c", KILLED, "dump", str(file)]
    done = subprocess.run(command, env=environment, cwd=REPO, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["dump"], 2, "(a process of that name: aoshell -- dump)"),
        (["load"], 2, "(a process of that name: aoshell -- load)"),
        (["load", "nothing.dump"], 1, "nothing.dump cannot be read: No such file"),
        (["load", "."], 1, ". cannot be read: it is a folder"),
        (["dump", "/nowhere/x"], 1, "/nowhere/x cannot be written"),
        (["--state", "", "--run", "1"], 2, "it is empty"),
        (["--state", "-"], 2, "cannot both come from standard input"),
        (["--state", "x", "--node", "http://127.0.0.1:9"], 2, "--node names another"),
        (["--state", "nothing.dump", "--run", "1"], 1, "nothing.dump cannot be read"),
        (["serve", "--state", "nothing.dump"], 1, "nothing.dump cannot be read"),
    ],
)
def test_misuse_and_missing_files(environment, temporary, arguments, code, said):
    state = Path(environment["AOSHELL_HOME"]) / "state"
    done = run(environment, *arguments)
    if arguments == ["dump", "/nowhere/x"]:
        assert b"there is no node" in done.stderr
        assert run(environment, "--run", "1").returncode == 0
        done = run(environment, *arguments)
    assert done.returncode == code
    assert said in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert homes(temporary) == [] and (state / "wallet.json").exists()


def test_processes_with_the_names_of_commands(aoshell, tmp_path):
    assert aoshell("--run", "X = 1", "--", "dump").returncode == 0
    done = aoshell("dump", str(tmp_path / "x.dump"))
    assert done.returncode == 0
    assert done.stderr == "a process has the name dump: aoshell -- dump attaches it\n"
    assert aoshell("--run", "return X", "--", "dump").stdout.strip() == "1"


def test_the_temporary_home_goes_where_nothing_can_guard_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(throwaway, "_begin_guard", lambda _folder: None)
    from aoshell.errors import AoError
    from aoshell.home.folders import Settings

    settings = Settings(tmp_path, tmp_path / "state", tmp_path / "config", tmp_path / "cache")
    with suppress(AoError), throwaway.throw_away(settings, os.devnull):
        raise AssertionError("that is no dump")
    assert list(tmp_path.iterdir()) == []


def test_what_takes_long_is_told(monkeypatch, capsys):
    """At a terminal it counts; elsewhere a line says so once."""
    monkeypatch.setattr(waiting, "REPORTED_AFTER", 0.0)
    monkeypatch.setattr(waiting, "SHOWN_AFTER", 0.0)
    monkeypatch.setattr(waiting, "EVERY", 0.001)

    def work(progress):
        for done in (1, 2, 3):
            progress(done)
            time.sleep(0.02)
        return "done"

    for terminal in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        assert asyncio.run(working._shown("dump", "x.dump", 3, work)) == "done"
        said = capsys.readouterr().err
        assert "· dump x.dump" in said and ("of 3 messages" in said) == terminal
        assert said.endswith("\x1b[K" if terminal else "\n")
        assert terminal or said.count("\n") == 1


@pytest.mark.parametrize("arguments", [["load", "-"], ["--list", "--state", "-"]])
@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("<&-", "it is not open for reading"),
        ("0>>nothing", "it is not open for reading"),
        ("</dev/null", "it is empty"),
    ],
)
def test_a_standard_input_without_a_dump(environment, tmp_path, arguments, given, why):
    done = program.run(
        ["sh", "-c", f'exec "$0" "$@" {given}', *AOSHELL, *arguments],
        capture_output=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    said = done.stderr.decode()
    assert done.returncode == 1
    assert said.startswith(f"state: standard input cannot be read: {why}\n"), said


@pytest.mark.parametrize("arguments", [["load", "-"], ["--list", "--state", "-"]])
def test_ctrl_c_ends_a_load_that_waits_for_more(environment, bank, temporary, arguments):
    environment["AOSHELL_HOME"] = str(temporary / "other")
    command = [*AOSHELL, *arguments]
    loading = program.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=REPO
    )
    assert loading.stdin
    loading.stdin.write(bank.read_bytes()[:-1])
    loading.stdin.flush()
    asyncio.run(until(lambda: list(temporary.rglob("node.db-wal"))))
    loading.send_signal(signal.SIGINT)
    assert loading.wait(60) == 130
    assert without_progress(loading.communicate()[1].decode()) == ""
    assert homes(temporary) == []
    assert run(environment, "load", str(bank)).returncode == 0
