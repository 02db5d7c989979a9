"""Ctrl-C at any moment of a start, a run and an end: exit code 130, and no traceback."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from aoshell.interrupts import INTERRUPTED

REPO = Path(__file__).resolve().parents[2]
ENDS = (INTERRUPTED, -signal.SIGINT)  # a shell shows both as 130
NOISE = (b"Traceback", b"KeyboardInterrupt", b"Exception ignored", b"never awaited")
# Between the moment in which Python takes SIGINT over and its first line of ours there is about a
# millisecond that nothing can guard. This is what Python says then.
UNGUARDED = (b"Python runtime state", b'File "<string>", line 0, in <module>')
SECONDS = 60  # for what comes sooner, unless the machine is busy
FAKE = """#!/bin/sh
case $* in
  *venv*) touch "$0.begun"; exec sleep 20 ;;
esac
"""


class Screen:
    """A program on a terminal of its own.

    Args:
        ignored: whether it is started with SIGINT ignored, as a script starts background jobs.
    """

    def __init__(
        self,
        arguments: list[str],
        environment: dict[str, str],
        folder: Path,
        *,
        ignored: bool = False,
    ) -> None:
        self.pid, self.fd = pty.fork()
        if not self.pid:
            signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL)
            os.chdir(folder)
            os.execvpe(arguments[0], arguments, environment)
        self.said = b""
        self.code: int | None = None

    def read(self, seconds: float) -> None:
        """Take in what it shows, for a while or until it has ended."""
        end = time.monotonic() + seconds
        while self.code is None and (left := end - time.monotonic()) > 0:
            if select.select([self.fd], [], [], min(left, 0.02))[0]:
                try:
                    self.said += os.read(self.fd, 65536)
                except OSError:  # nobody has the other end
                    time.sleep(0.01)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)

    def see(self, text: bytes) -> None:
        """Read until it has shown this."""
        end = time.monotonic() + SECONDS
        while text not in self.said and self.code is None and time.monotonic() < end:
            self.read(0.02)
        assert text in self.said, (text, self.code, self.said)

    def close(self) -> None:
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def started(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment in which `scripts/aoshell` starts: there is nothing to set up."""
    shown = '. "$0/scripts/environment.sh"; repo=$0; venv=$0/.venv; ready run'
    if subprocess.run(["bash", "-c", shown, str(REPO)], check=False).returncode:
        pytest.skip("scripts/aoshell would set up first")
    (tmp_path / "a_test.lua").write_text('test("a", function(t) t:spawn():eval("return 1") end)')
    return {name: value for name, value in environment.items() if name != "PYTHONPATH"}


DONE = {b"1 passed": 0, b"INCONCLUSIVE": 3}  # what is said when all is done, and the exit code then
CASES = {
    "the prompt": ("xterm-256color", []),
    "a dumb terminal": ("dumb", []),
    "--run": ("dumb", ["--run", "while true do end"]),
    "aoshell test": ("dumb", ["test"]),
    "aoshell attest": ("dumb", ["attest", "http://127.0.0.1:9"]),
}
# Seconds after the start; what comes before the first module of a case is the same for all.
MOMENTS = (0.02, 0.05, 0.08, 0.11, 0.15, 0.2, 0.27, 0.35, 0.45, 0.6)
LATER_MOMENTS = (0.11, 0.2, 0.35, 0.6)


@pytest.mark.parametrize("case", CASES)
def test_at_many_moments(started: dict[str, str], tmp_path: Path, case: str) -> None:
    terminal, arguments = CASES[case]
    for delay in MOMENTS if case == "the prompt" else LATER_MOMENTS:
        for _ in range(3):
            screen = Screen(
                [str(REPO / "scripts/aoshell"), *arguments], started | {"TERM": terminal}, tmp_path
            )
            try:
                screen.read(delay)
                if screen.code is not None:
                    return  # it is through already
                os.kill(screen.pid, signal.SIGINT)
                screen.read(SECONDS)
            finally:
                screen.close()
            if not any(text in screen.said for text in UNGUARDED):
                break
        else:
            continue  # three times in a row: this moment is Python's own
        # What it had to do may have been done when Ctrl-C came.
        ends = {*ENDS, *(code for said, code in DONE.items() if said in screen.said)}
        assert screen.code in ends, (delay, screen.code, screen.said)
        assert not any(noise in screen.said for noise in NOISE), (delay, screen.said)


def test_a_background_job_goes_on(started: dict[str, str], tmp_path: Path) -> None:
    arguments = [str(REPO / "scripts/aoshell"), "--run", "print('on')", "--run", "return 6 * 7"]
    screen = Screen(arguments, started | {"TERM": "dumb"}, tmp_path, ignored=True)
    try:
        while b"on" not in screen.said and screen.code is None:
            os.kill(screen.pid, signal.SIGINT)
            screen.read(0.1)
        screen.read(SECONDS)
    finally:
        screen.close()
    assert screen.code == 0 and b"42" in screen.said


@pytest.mark.parametrize("terminal", ["dumb", "xterm-256color"])
def test_where_somebody_sits_ctrl_c_counts(
    started: dict[str, str], tmp_path: Path, terminal: str
) -> None:
    arguments = [str(REPO / "scripts/aoshell")]
    screen = Screen(arguments, started | {"TERM": terminal}, tmp_path, ignored=True)
    try:
        screen.see(b"New process")
        os.kill(screen.pid, signal.SIGINT)
        screen.read(SECONDS)
    finally:
        screen.close()
    assert screen.code in ENDS, screen.said


def test_while_it_leaves(started: dict[str, str], tmp_path: Path) -> None:
    for delay in (0.0, 0.01, 0.03, 0.06):
        arguments = [str(REPO / "scripts/aoshell"), "--run", "return 'do' .. 'ne'"]
        screen = Screen(arguments, started | {"TERM": "dumb"}, tmp_path)
        try:
            screen.see(b"done")
            screen.read(delay)
            if screen.code is None:
                os.kill(screen.pid, signal.SIGINT)
            screen.read(SECONDS)
        finally:
            screen.close()
        assert screen.code in (0, *ENDS)
        assert not any(noise in screen.said for noise in NOISE), screen.said


def test_while_it_is_set_up(environment: dict[str, str], tmp_path: Path) -> None:
    copy, tools = tmp_path / "copy", tmp_path / "tools"
    shutil.copytree(REPO / "scripts", copy / "scripts")
    shutil.copy(REPO / "pyproject.toml", copy)
    tools.mkdir()
    python = tools / "python3"
    python.write_text(FAKE)
    python.chmod(0o755)
    path = {"PATH": f"{tools}:{environment['PATH']}"}
    screen = Screen([str(copy / "scripts/aoshell")], environment | path, tmp_path)
    try:
        end = time.monotonic() + SECONDS
        while not python.with_name("python3.begun").exists() and time.monotonic() < end:
            screen.read(0.05)
        os.write(screen.fd, b"\x03")
        screen.read(SECONDS)
    finally:
        screen.close()
    assert screen.code in ENDS, screen.said
    assert not (copy / ".venv/lock").exists()
    assert b"could not" not in screen.said
