"""Tests that run at once: what becomes of them where a process dies, or Ctrl-C ends them all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from aoshell.testing.command import main
from aoshell.testing.runs import outcomes, running

REPO = Path(__file__).resolve().parents[2]
LONG = 60.0  # seconds after which what does not come is given up


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """Runs tests of these names, of which some kill the process that runs them."""
    monkeypatch.chdir(tmp_path)
    own = running.Runner.run

    async def deadly(
        runner: running.Runner, file: running.TestFile, index: int
    ) -> outcomes.TestOutcome:
        name = file.tests[index].name
        if name.startswith("dies"):
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("leaves"):
            os._exit(0)
        if name.startswith("raises"):
            raise ZeroDivisionError(name)
        return await own(runner, file, index)

    monkeypatch.setattr(running.Runner, "run", deadly)

    def run(*names: str) -> list[tuple[str, str]]:
        Path("a_test.lua").write_text("".join(f'test("{n}", function() end)\n' for n in names))
        main(["--json", "-j", "2"])
        *outcomes, _end = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return [(one["name"], (one["failure"] or {"text": "passed"})["text"]) for one in outcomes]

    return run


def test_the_others_run_where_a_process_dies(run: Any) -> None:
    assert run("a", "dies", "b", "c") == [
        *(("a", "passed"), ("dies", "the process that ran it was killed from outside")),
        *(("b", "passed"), ("c", "passed")),
    ]


def test_what_nobody_is_left_to_run_is_told(run: Any) -> None:
    assert run("dies 1", "leaves 2", "c") == [
        ("dies 1", "the process that ran it was killed from outside"),
        ("leaves 2", "the process that ran it ended by itself"),
        ("c", "no process is left to run it"),
    ]


def test_a_defect_of_ours_is_one(run: Any) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: raises"):
        run("a", "raises", "b")


@pytest.mark.parametrize(
    ("at_once", "times", "number"),
    [
        (3, 1, signal.SIGINT),
        (3, 2, signal.SIGINT),
        (1, 2, signal.SIGINT),
        (3, 1, signal.SIGTERM),
        (1, 1, signal.SIGHUP),
    ],
)
def test_who_ends_it_leaves_nothing(
    tmp_path: Path, at_once: int, times: int, number: signal.Signals
) -> None:
    """Neither processes nor folders of nodes, whoever is in the middle of what."""
    tests = 'test("t%d", function(t) local p = t:spawn() while true do p:get("1") end end)\n'
    (tmp_path / "a_test.lua").write_text("".join(tests % n for n in range(8)))
    folder = tmp_path / "tmp"
    folder.mkdir()
    python_path = os.pathsep.join([str(REPO), *sys.path])
    command = subprocess.Popen(
        [sys.executable, "-m", "aoshell", "test", "-j", f"{at_once}", "--timeout", "60"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": python_path, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + LONG
        while len(list(folder.iterdir())) < at_once:
            assert time.monotonic() < end and command.poll() is None
            time.sleep(0.01)
        for _ in range(times):
            os.killpg(command.pid, number)
        said, _none = command.communicate(timeout=LONG)
        code = 130 if number is signal.SIGINT else -number
        assert command.returncode == code and b"Traceback" not in said, said
        assert list(folder.iterdir()) == []
        with pytest.raises(ProcessLookupError):
            os.killpg(command.pid, 0)
    finally:
        if command.poll() is None:
            os.killpg(command.pid, signal.SIGKILL)
            command.wait()
