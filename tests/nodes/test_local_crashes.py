"""Killed at any moment, a node loses nothing and does nothing twice.

A child process (crash_driver.py) feeds a script to a node: walks and fans of messages between
processes, spawns, errors, waits. It is killed and started again, ten times in each test, until the
script is done. Then all is compared with a run without kills.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from crash_driver import SCRIPT_MODULE
from local_home import opened, tags
from program import REPO, run

from aoshell.protocol.ans104 import DataItem

pytestmark = pytest.mark.long

PEERS = 4
DRIVER = Path(__file__).with_name("crash_driver.py")
ENDED = (-signal.SIGKILL, -signal.SIGALRM)


class Course:
    """The script, a home to start from, and the report of a run without kills."""

    def __init__(self, folder: Path, signer) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.script = folder / "script.json"
        asyncio.run(self._make(signer))
        self.undisturbed = self.run(folder / "undisturbed", ["nothing"])
        assert isinstance(self.undisturbed, dict)

    async def _make(self, signer) -> None:
        async with opened(self.home, signer) as local:
            module = (await local.node.upload(SCRIPT_MODULE.encode())).id
            definitions = [local.definition(module, Name=f"peer {n}") for n in range(PEERS)]
            peers = [item.id for item in definitions]
            inputs = [("", f"peer {n}", item) for n, item in enumerate(definitions)]
            everybody = json.dumps(peers).encode()
            inputs += [(pid, "", local.item(pid, everybody, Action="Setup")) for pid in peers]
            chance = random.Random(1)
            for n in range(60):
                action = chance.choice(["Walk", "Walk", "Fan", "Bad", "Child", "Wait"])
                left = {"Walk": 5, "Fan": 1}.get(action, 1)
                values = tags(Action=action, Path=str(n), N=str(n), Left=str(left))
                pid = chance.choice(peers)
                inputs.append((pid, "", DataItem.sign(signer, target=pid, tags=values)))
        rows = [[pid, name, b64encode(item.raw).decode()] for pid, name, item in inputs]
        self.script.write_text(json.dumps(rows))

    def run(self, place: Path, plan: list, *, live: int = 64, often: bool = False) -> dict | None:
        """Run the driver on a home (made if missing). Its report, or None where it was killed."""
        home = place / "home"
        if not home.exists():
            shutil.copytree(self.home, home)
        job = {
            "home": str(home),
            "script": str(self.script),
            "acks": str(place / "acks"),
            "heard": str(place / "heard"),
            "plan": plan,
            "live": live,
            "often": often,
        }
        (place / "job").write_text(json.dumps(job))
        command = [sys.executable, str(DRIVER), str(place / "job")]
        done = run(
            command,
            capture_output=True,
            text=True,
            timeout=100,
            env={"PYTHONPATH": str(REPO)},
        )
        if done.returncode in ENDED:
            return None
        assert done.returncode == 0, f"{plan}: exit code {done.returncode}\n{done.stderr}"
        assert not done.stderr, f"{plan}: {done.stderr}"
        return json.loads(done.stdout)

    def check(self, found: dict | None) -> None:
        assert found is not None
        expected = {key: value for key, value in self.undisturbed.items() if key != "killed"}
        assert found.pop("killed") >= 0
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert found[key] == value, key


# Workers that take turns more or less, or do not; checkpoints all the time, or hardly ever.
SETTINGS = pytest.mark.parametrize(("live", "often"), [(2, True), (3, False), (64, True)])


@pytest.fixture(scope="session")
def course(tmp_path_factory, signer):
    return Course(tmp_path_factory.mktemp("course"), signer)


def shell_plan(chance: random.Random) -> list:
    kind = chance.choice(["commit", "commit", "commit", "enqueue", "frame", "time"])
    if kind == "commit":
        return [kind, chance.randint(1, 12), chance.choice(["before", "within", "behind"])]
    if kind == "time":
        return [kind, chance.uniform(30, 130)]
    return [kind, chance.randint(1, 25)]


def test_the_script_does_all_that_it_should(course):
    found = course.undisturbed
    assert found["undelivered"] == 0 and found["out of order"] == 0
    everything = [
        line
        for name in found
        if name.startswith(("peer", "leaf"))
        for line in found[name]["entries"]
    ]
    assert len(everything) > 150
    for part in ("|Walk|", "|Fan|", "|error|", "|Spawned|", "|True", "leaf", "answered"):
        assert any(part in line for line in everything)
    assert all(
        found[name]["verify"] == [] and found[name]["gapless"]
        for name in found
        if name.startswith("peer")
    )


@SETTINGS
def test_a_shell_killed_ten_times_ends_as_if_never_killed(course, tmp_path, live, often):
    chance = random.Random(f"{live} {often}")
    settings = {"live": live, "often": often}
    killed, homes = 0, 1
    place = tmp_path / "1"
    place.mkdir()
    while killed < 10:
        found = course.run(place, shell_plan(chance), **settings)
        if found is None:
            killed += 1
            continue
        course.check(found)  # it came to its end before the moment did: another home
        homes += 1
        place = tmp_path / str(homes)
        place.mkdir()
    course.check(course.run(place, ["nothing"], **settings))


@SETTINGS
def test_workers_killed_under_way_change_nothing(course, tmp_path, live, often):
    chance = random.Random(f"workers {live} {often}")
    settings = {"live": live, "often": often}
    # Three zygotes that die before they have made a worker are a sandbox that does not stay up.
    parts = ["zygote", "zygote", *chance.choices(["fork", "parked", "group"], k=10)]
    kills = list(zip(chance.sample(range(3, 160), 12), parts, strict=True))
    found = course.run(tmp_path, ["workers", kills], **settings)
    assert found is not None and found["killed"] >= 6, "too few kills to say anything"
    course.check(found)
