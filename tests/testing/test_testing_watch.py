"""`aoshell test --watch`, as a process of its own: saves as editors make them, and its end."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import pytest

REPO = Path(__file__).resolve().parents[2]
WAITING = "waiting for a save; Ctrl-C ends"
LONG = 60.0  # seconds after which a line is given up

TEST = """
test("loads it", function(t) t:equal(t:spawn("coin.lua"):get("N"), 1) end)
test("does not", function(t) end)
"""
ENDLESS = 'test("endless", function(t) print("begun") while true do t:spawn() end end)'


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
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

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

    def line(self, start: str = "") -> str:
        """The next line that begins so."""
        while not (line := self._lines.get(timeout=LONG)).startswith(start):
            pass
        return line

    def rest(self) -> list[str]:
        self.process.wait(LONG)
        self._reader.join(LONG)
        return list(self._lines.queue)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """Begins to watch a folder, with these flags."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "coin.lua").write_text("N = 1")
    (folder / "a_test.lua").write_text(TEST)
    (folder / "b_test.lua").write_text('test("other", function(t) end)')
    begun: list[Watched] = []

    def begin(*flags: str) -> Watched:
        begun.append(Watched(folder, *flags))
        return begun[-1]

    try:
        yield begin
    finally:
        for command in begun:
            with suppress(ProcessLookupError):
                os.killpg(command.process.pid, signal.SIGKILL)
            command.process.wait()


@pytest.fixture
def watched(watch: Callable[..., Watched]) -> Watched:
    return watch()


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
    if "b_test.lua is gone" in seen:  # which of both is seen first is chance
        seen.remove("b_test.lua is gone")
    else:
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
        (watched.folder / "b_test.lua").write_text(ENDLESS)
        assert watched._lines.get(timeout=LONG) == "saved: b_test.lua"
    os.killpg(watched.process.pid, signal.SIGINT)  # as the terminal does
    said = watched.rest()
    assert watched.process.returncode == 130
    assert not any("Traceback" in line for line in said), "\n".join(said)
    with pytest.raises(ProcessLookupError):
        os.killpg(watched.process.pid, 0)


def test_each_round_writes_its_files_anew(watch: Callable[..., Watched], tmp_path: Path) -> None:
    """They tell of all tests, also of those that were not run again."""
    folder = tmp_path / "work"
    (folder / "coin.lua").write_text("N = 1\nif N > 1 then\n  M = 1\nend\n")
    (folder / "b_test.lua").write_text('test("other", function(t) t:spawn("b.lua") end)')
    (folder / "b.lua").write_text("B = 1\n")
    command = watch("--junit", "out.xml", "--coverage-report", "lcov:out.info")
    command.round()
    assert "DA:3,0" in (folder / "out.info").read_text()

    put_in_place(folder / "coin.lua", "N = 2\nif N > 1 then\n  M = 1\nend\n")
    said = command.round()
    assert "1 failed" in said and "✓ other" not in said
    told = (folder / "out.info").read_text()
    assert "DA:3,1" in told and "SF:b.lua" in told  # that of the test which did not run is kept
    assert told.count("DA:1,1") == 2
    suites = ElementTree.parse(folder / "out.xml").getroot()
    cases = [case.get("name") for case in suites.iter("testcase")]
    assert cases == ["loads it", "does not", "other"]
    assert suites.get("failures") == "1"


@pytest.mark.parametrize("flags", [("-j", "1"), ("-j", "2")])
def test_a_save_ends_the_round_that_runs(
    watch: Callable[..., Watched], flags: tuple[str, ...]
) -> None:
    command = watch(*flags)
    folder = command.folder
    command.round()
    put_in_place(folder / "b_test.lua", ENDLESS)
    assert command.line() == "saved: b_test.lua"
    put_in_place(folder / "coin.lua", "N = 1 -- again")
    assert command.line("saved: ") == "saved: coin.lua"
    # What was to be run still is, and what was saved since; whether it was loaded by then or not.
    put_in_place(folder / "b_test.lua", 'test("ends", function(t) end)')
    said = command.round()
    assert {"✓ ends", "✓ loads it"} <= set(said), said


def test_watching_is_for_people(tmp_path: Path) -> None:
    (tmp_path / "a_test.lua").write_text('test("a", function(t) end)')
    command = Watched(tmp_path, "--report", "github")
    assert "--watch is for people" in "\n".join(command.rest())
    assert command.process.returncode == 2
    command = Watched(tmp_path, "--junit", "missing/x.xml")
    assert "cannot be written" in "\n".join(command.rest())
