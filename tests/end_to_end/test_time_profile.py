"""`--time-profile FILE`: judged by the schema that speedscope publishes, and by what has run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from npm_packages import installed

from aoshell.profiling.speedscope import CodePlaces
from aoshell.profiling.workers import WorkerTimes

Run = Callable[..., "subprocess.CompletedProcess[str]"]
CODE = (
    'Handlers.add("Work", "Work", function(msg) for i = 1, 3e6 do Sum = (Sum or 0) + i end end)'
    ' for i = 1, 3 do Send({Target = ao.id, Action = "Work"}) end'
)
REFEREE = """
const read = name => JSON.parse(require("fs").readFileSync(name))
const [schema, ...files] = process.argv.slice(1).map(read)
const validate = new (require("ajv"))({strict: false}).compile(schema)
for (const file of files) if (!validate(file)) throw new Error(JSON.stringify(validate.errors))
"""


@pytest.fixture
def profile(aoshell: Run, tmp_path: Path) -> Path:
    """Of a session that computes."""
    path = tmp_path / "shell.speedscope.json"
    done = aoshell("--time-profile", str(path), "--run", CODE, "--run", "return Sum > 0")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "true"), done.stderr
    return path


def test_speedscope_takes_it(profile: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = installed(tmp_path_factory)
    schema = folder / "node_modules/speedscope/dist/release/file-format-schema.json"
    bad = profile.with_name("bad.json")
    bad.write_text(profile.read_text().replace('"weights"', '"wights"', 1))
    for file, code in ((profile, 0), (bad, 1)):
        command = ["node", "-e", REFEREE, str(schema), str(file)]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, done.stderr


def test_it_says_what_has_run(profile: Path) -> None:
    found = json.loads(profile.read_text())
    frames = found["shared"]["frames"]
    shell, *workers = found["profiles"]
    check_sampled(shell, len(frames))
    functions = {frame["name"] for frame in frames}
    assert {"run_batch", "run_lines"} <= functions
    assert not [frame for frame in frames if "/" in frame.get("file", "")]
    assert len(workers) == 1
    names = [frames[event["frame"]]["name"] for event in workers[0]["events"][::2]]
    assert names == ["Process", "Eval", "Work", "Work", "Work", "Eval"]
    spans = check_evented(workers[0])
    worked = [over - begin for (begin, over), name in zip(spans, names, strict=True)]
    assert min(worked[2:5]) > max(worked[0], worked[5])
    assert workers[0]["endValue"] >= spans[-1][1]


def check_sampled(profile: dict[str, Any], frames: int) -> None:
    """What the schema cannot say."""
    assert profile["type"] == "sampled"
    assert len(profile["samples"]) == len(profile["weights"]) > 0
    assert all(0 <= place < frames for stack in profile["samples"] for place in stack)
    assert min(profile["weights"]) > 0
    assert sum(profile["weights"]) == pytest.approx(profile["endValue"])


def check_evented(profile: dict[str, Any]) -> list[tuple[float, float]]:
    """The spans of events that open and close in turn."""
    assert profile["type"] == "evented"
    opened, closed = profile["events"][::2], profile["events"][1::2]
    assert {event["type"] for event in opened} == {"O"}
    assert {event["type"] for event in closed} == {"C"}
    assert [event["frame"] for event in opened] == [event["frame"] for event in closed]
    times = [event["at"] for event in profile["events"]]
    assert times == sorted(times)
    return list(zip(times[::2], times[1::2], strict=True))


def test_an_error_of_a_line_leaves_it_whole(aoshell: Run, tmp_path: Path) -> None:
    path = tmp_path / "failed.json"
    done = aoshell("--time-profile", str(path), "--run", "error('wanted')")
    assert done.returncode == 1
    assert json.loads(path.read_text())["profiles"]


def test_a_file_that_cannot_be_written_is_told_first(aoshell: Run, tmp_path: Path) -> None:
    done = aoshell("--time-profile", str(tmp_path / "none" / "p.json"), "--run", "print('ran')")
    assert done.returncode == 1
    assert "cannot be written: No such file or directory" in done.stderr
    assert "(stage: profile)" in done.stderr or "profile" in done.stderr
    assert "ran" not in done.stdout


class Worker:
    """Stands for one; times are kept for it as long as it is there."""


def test_messages_of_a_worker_stand_behind_each_other() -> None:
    places = CodePlaces()
    times, worker, other = WorkerTimes(places), Worker(), Worker()
    message = [*["text"] * 12, "Action", "A" * 100]
    for one, process in ((worker, "first"), (other, "second")):
        times.follow(one, ["boot", 0, 1, 1.0, process, "owner"])
    for seq in (1, 2):
        times.follow(worker, ["run", 0, seq, 1.0, *message])
    times.follow(other, ["dry", 0, 1, 1.0, *message[:12]])
    for seq in (1, 2):
        times.follow(worker, ["done", 0, seq, "ok", 2000.0, 1, 0, None])
    times.follow(other, ["dried", 1, "ok", 500, 1, 0, None])
    times.follow(other, ["done", 0, 7, "ok", 1.0, 1, 0, None])  # of what was not seen sent
    first, second = times.stop()
    assert (first["name"], second["name"]) == ("process first", "process second")
    (begin, middle), (follows, over) = check_evented(first)
    assert middle == follows
    assert over - begin == pytest.approx(4)
    assert len(check_evented(second)) == 1
    assert [frame["name"] for frame in places.frames()] == ["A" * 60, "dry run of message"]
