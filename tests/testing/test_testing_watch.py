"""`aoshell test --watch`, as a process of its own: saves as editors make them, and its end."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
WAITING = "waiting for a save; Ctrl-C ends"
LONG = 60.0  # seconds after which a line is given up

TEST = """
test("loads it", function(t) t:equal(t:spawn("coin.lua"):get("N"), 1) end)
test("does not", function(t) end)
"""


class Watched:
    """The command, and the lines that it says on both of its streams."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "aoshell", "test", "--watch", *flags],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO), *sys.path])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip())

    def round(self) -> list[str]:
        """The lines up to the next wait, without times."""
        found: list[str] = []
        while (line := self._lines.get(timeout=LONG)) != WAITING:
            found.append(re.sub(r"  \d+ ms$| in \d+\.\d+ s$", "", line).strip())
        return found

    def rest(self) -> list[str]:
        self.process.wait(LONG)
        return list(self._lines.queue)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "coin.lua").write_text("N = 1")
    (folder / "a_test.lua").write_text(TEST)
    (folder / "b_test.lua").write_text('test("other", function(t) end)')
    command = Watched(folder)
    try:
        yield command
    finally:
        with suppress(ProcessLookupError):
            os.killpg(command.process.pid, signal.SIGKILL)
        command.process.wait()


def put_in_place(path: Path, text: str) -> None:
    """As editors save: another file takes the name."""
    beside = path.with_name(".swap")
    beside.write_text(text)
    beside.replace(path)


def test_saves_run_what_they_touch(watched: Watched) -> None:
    folder = watched.folder
    assert watched.round() == [
        *("a_test.lua", "✓ loads it", "✓ does not", "b_test.lua", "✓ other", "3 passed"),
    ]

    put_in_place(folder / "coin.lua", "N = 2")
    assert watched.round() == [
        *("saved: coin.lua", "a_test.lua", "✗ loads it"),
        "a_test.lua:2: not equal",
        '2 │ test("loads it", function(t) t:equal(t:spawn("coin.lua"):get("N"), 1) end)',
        *("expected 1", "got      2", "1 failed"),
    ]
    (folder / "coin.lua").unlink()
    assert watched.round()[:4] == [
        *("saved: coin.lua", "a_test.lua", "✗ loads it"),
        f"a_test.lua:2: there is no file {folder / 'coin.lua'} (paths start from {folder})",
    ]
    (folder / "coin.lua").write_text("N = 1")
    assert watched.round() == ["saved: coin.lua", "a_test.lua", "✓ loads it", "1 passed"]

    # A module that no file had so far.
    (folder / "coin.lua").write_text('N = require("one")')
    assert watched.round()[-1] == "1 failed"
    (folder / "one.lua").write_text("return 1")
    assert watched.round()[-1] == "1 passed"


def test_files_of_tests_come_and_go(watched: Watched) -> None:
    folder = watched.folder
    watched.round()
    (folder / "b_test.lua").unlink()
    (folder / "c_test.lua").write_text('test("new", function(t) end)')
    seen = watched.round()
    if seen[0] != "b_test.lua is gone":  # which of both is seen first is chance
        assert watched._lines.get(timeout=LONG) == "b_test.lua is gone"
    assert seen[-3:] == ["c_test.lua", "✓ new", "1 passed"]
    put_in_place(folder / "b_test.lua", "test(")
    assert watched.round()[:3] == ["saved: b_test.lua", "b_test.lua", "✗ the file"]
    put_in_place(folder / "b_test.lua", 'test("again", function(t) end)')
    assert watched.round() == ["saved: b_test.lua", "b_test.lua", "✓ again", "1 passed"]


@pytest.mark.parametrize("busy", [False, True])
def test_ctrl_c_ends_it_whole(watched: Watched, busy: bool) -> None:
    watched.round()
    if busy:
        source = 'test("endless", function(t) print("begun") while true do t:spawn() end end)'
        (watched.folder / "b_test.lua").write_text(source)
        assert watched._lines.get(timeout=LONG) == "saved: b_test.lua"
    os.killpg(watched.process.pid, signal.SIGINT)  # as the terminal does
    said = watched.rest()
    assert watched.process.returncode == 130
    assert not any("Traceback" in line for line in said), "\n".join(said)
    with pytest.raises(ProcessLookupError):
        os.killpg(watched.process.pid, 0)


def test_watching_is_for_people(tmp_path: Path) -> None:
    (tmp_path / "a_test.lua").write_text('test("a", function(t) end)')
    command = Watched(tmp_path, "--junit", "x.xml")
    assert "--watch is for people" in "\n".join(command.rest())
    assert command.process.returncode == 2
