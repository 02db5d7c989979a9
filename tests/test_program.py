"""A forked program is what a started one is (program.py), so that tests may take it for one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import program
import pytest
from program import AOSHELL, REPO, TESTS, Popen, Spawn
from program_server import LOADED

# What a program can see of itself.
PROBE = """
import json, os, signal, stat, sys, threading, time, locale
def kind(fd):
    return stat.S_IFMT(os.fstat(fd).st_mode), os.get_inheritable(fd)
print(json.dumps({
    "argv": sys.argv, "path": sys.path, "name": __name__, "flags": repr(sys.flags),
    "folder": os.getcwd(), "environment": dict(os.environ), "zone": time.tzname,
    "umask": os.umask(0), "nice": os.nice(0), "locale": locale.setlocale(locale.LC_ALL),
    "group is own": os.getpgid(0) == os.getpid(), "session is own": os.getsid(0) == os.getpid(),
    "in front": os.isatty(0) and os.tcgetpgrp(0) == os.getpid(),
    "size": os.isatty(0) and list(os.get_terminal_size(0)),
    "signals": {int(n): str(signal.getsignal(n)) for n in signal.valid_signals()},
    "mask": [int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "open": {fd: kind(fd) for fd in range(64) if os.path.exists(f"/proc/self/fd/{fd}")},
    "threads": [thread.name for thread in threading.enumerate()],
    "tasks": len(os.listdir("/proc/self/task")),
    "streams": [[repr(s), s.errors, s.line_buffering, s.write_through, s.isatty(), s.fileno(),
                 repr(s.buffer), s is t]
                for s, t in ((sys.stdin, sys.__stdin__), (sys.stdout, sys.__stdout__),
                             (sys.stderr, sys.__stderr__))],
}))
sys.stdout.flush()
"""
ENDS = {
    "sys.exit()": 0,
    "sys.exit(7)": 7,
    "sys.exit('why')": 1,
    "raise KeyError('key')": 1,
    "import atexit; atexit.register(print, 'last'); print('first')": 0,
    "import os; os._exit(9)": 9,
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)": -signal.SIGTERM,
    "raise KeyboardInterrupt": -signal.SIGINT,
    "import os; os.close(1); print('lost')": 120,
    "input(); print(sys.stdin.read())": 0,
    "import threading, time; threading.Thread(target=lambda: print('too')).start()": 0,
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(REPO)}


@pytest.fixture
def codes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """What is forked besides the program: a test adds its own code."""
    more = [*program.CODES]
    monkeypatch.setattr(program, "CODES", more)
    yield more


def both(codes: list[list[str]], code: str, *words: str, **how: Any) -> list[Any]:
    """What a program does that is started, and one that is forked."""
    command = [sys.executable, "-c", code, *words]
    how = {"capture_output": True, "text": True, "timeout": 60} | how
    started = program.run(command, **how)
    codes.append(["-c", code])
    forked = program.run(command, **how)
    assert program._servers, "nothing was forked"
    return [started, forked]


@pytest.mark.parametrize("more", [{}, {"TZ": "Asia/Tokyo"}, {"LC_ALL": "C.UTF-8"}, {"LANG": "C"}])
def test_what_it_sees_of_itself(
    codes: list[list[str]], environment: dict[str, str], more: dict[str, str], tmp_path: Path
) -> None:
    started, forked = (
        json.loads(done.stdout)
        for done in both(codes, PROBE, "a", "--b", env=environment | more, cwd=tmp_path)
    )
    assert forked == started
    assert forked["argv"] == ["-c", "a", "--b"] and forked["folder"] == str(tmp_path)


def test_its_umask_and_streams_that_are_inherited(
    codes: list[list[str]], environment: dict[str, str], tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        out = tmp_path / "out"
        with out.open("w") as file:
            how: dict[str, Any] = {"env": environment, "stdout": file, "capture_output": False}
            both(codes, PROBE, **how)
    finally:
        os.umask(before)
    started, forked = (json.loads(line) for line in out.read_text().splitlines())
    assert forked == started and forked["umask"] == 0o027


def test_in_a_terminal(codes: list[list[str]], environment: dict[str, str]) -> None:
    seen = []
    for _ in range(2):
        child = Spawn(sys.executable, ["-c", PROBE], env=environment, dimensions=(30, 90))
        child.expect(pexpect.EOF)
        seen.append(json.loads(child.before))
        child.close()
        assert (child.exitstatus, child.signalstatus) == (0, None)
        codes.append(["-c", PROBE])
    assert seen[0] == seen[1]
    assert seen[1]["in front"] and seen[1]["session is own"] and seen[1]["size"] == [90, 30]


@pytest.mark.parametrize("code", ENDS)
def test_how_it_ends(codes: list[list[str]], environment: dict[str, str], code: str) -> None:
    started, forked = both(codes, f"import sys\n{code}", env=environment, input="one\ntwo")
    # A traceback begins with the line of the server that runs the code.
    forked.stderr = forked.stderr.replace('  File "<string>", line 5, in <module>\n', "")
    assert vars(forked) == vars(started) and forked.returncode == ENDS[code]


def test_a_file_that_is_run(environment: dict[str, str]) -> None:
    file = TESTS / "shell" / "shell_entry.py"
    done = program.run(
        [sys.executable, str(file), "--run", "1+1"],
        env=environment | {"AOSHELL_HOME": environment["HOME"]},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


def test_signals_reach_it_and_its_end_is_seen(environment: dict[str, str]) -> None:
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9), (signal.SIGTERM, -15)):
        shell = Popen(AOSHELL, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert isinstance(shell._child, program.Child)
        assert shell.stdin and shell.stdout
        shell.stdin.write(b"1+1\n")
        shell.stdin.flush()
        assert shell.stdout.readline() == b"2\n" and shell.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            shell.wait(0.01)
        os.kill(shell.pid, number)
        assert shell.wait(60) == shell.poll() == code
        shell.communicate()
        with pytest.raises(ProcessLookupError):
            os.kill(shell.pid, 0)


def test_another_interpreter_or_another_start_is_not_forked(environment: dict[str, str]) -> None:
    def forks(command: list[str], variables: dict[str, str], folder: Path | None = None) -> bool:
        return program._server(command, variables, folder) is not None

    bare = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    assert forks(AOSHELL, environment) and forks([*AOSHELL, "--run", "1"], environment, Path("/"))
    assert forks(AOSHELL, bare, REPO) and not forks(AOSHELL, bare, Path("/"))
    assert not forks(AOSHELL, environment | {"PYTHONIOENCODING": "ascii"})
    assert not forks(AOSHELL, environment | {"PYTHONPATH": "/"}, REPO)
    assert not forks(["/usr/bin/python3", *AOSHELL[1:]], environment)
    assert not forks([sys.executable, "-c", "import aoshell.cli"], environment)
    assert not forks([sys.executable, "-I", *AOSHELL[1:]], environment)


def test_nothing_that_is_loaded_ahead_reads_the_environment() -> None:
    """What a module reads while it is imported, a fork would have from the server.

    The interpreter's own variables choose the server; WCWIDTH_PYTHON chooses between two forms of
    the same functions.
    """
    code = f"""
import os, sys
class Seen(type(os.environ)):
    def __getitem__(self, name):
        print("read", name)
        return super().__getitem__(name)
    def __iter__(self):
        print("read *")
        return super().__iter__()
os.environ.__class__ = Seen
import importlib
for name in {LOADED!r}:
    importlib.import_module(name)
import threading
print("threads", len(os.listdir("/proc/self/task")), threading.active_count())
print("open", sorted(os.listdir("/proc/self/fd"), key=int)[:-1])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True
    )
    *read, threads, opened = done.stdout.splitlines()
    assert threads == "threads 1 1" and opened == "open ['0', '1', '2']"
    names = {re.sub("^read ", "", line) for line in read}
    own = {name for name in names if name.startswith(("PYTHON", "LANG", "LC_"))}
    assert names - own <= {"WCWIDTH_PYTHON"}


def test_the_server_ends_with_the_tests(environment: dict[str, str]) -> None:
    server = program.Server(environment)
    child = server.fork([sys.executable, "-c", "pass"], environment, None, [0, 1, 2])
    assert child.status(wait=True) == 0
    server._control.close()
    assert server._process.wait(60) == 0
