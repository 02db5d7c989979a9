"""Where a user may not write: what reads still works, what writes says so, and nothing waits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import AOSHELL, run

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(environment: dict[str, str]) -> Iterator[Path]:
    """A home in which a shell has left a process, to be closed."""
    command = [*AOSHELL, "--run", "1"]
    run(command, env=environment, check=True, timeout=60, capture_output=True)
    home = Path(environment["AOSHELL_HOME"])
    yield home
    for folder in (home, home / "state"):
        folder.chmod(0o700)


def listed(powerless: list[str], environment: dict[str, str]) -> str:
    command = [*powerless, *AOSHELL, "--list"]
    done = subprocess.run(command, env=environment, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("left", ["as it should be", "by a kill"])
def test_list_works_where_nothing_can_be_written(
    powerless: list[str], environment: dict[str, str], home: Path, left: str
) -> None:
    state = home / "state"
    if left == "by a kill":  # what was written last is in the WAL alone
        code = "import os, sys; from aoshell.cli import main; main(); os.kill(os.getpid(), 9)"
        code = code.replace("main();", "from aoshell.nodes.local.log.store import Store; "
                            "Store.close = lambda self: None; main();")  # fmt: skip
        command = [sys.executable, "-c", code, "second", "--run", "1"]
        subprocess.run(command, env=environment, timeout=60, capture_output=True)
        assert (state / "node.db-wal").stat().st_size
        (state / "node.db-shm").unlink()
    before = {path.name for path in state.iterdir()}
    for folder in (state, home):
        folder.chmod(0o500)
    for file in state.glob("node.db*"):
        file.chmod(0o400)
    found = listed(powerless, environment)
    assert "default" in found and ("second" in found) == (left == "by a kill")
    assert {path.name for path in state.iterdir()} == before


def prepared(powerless: list[str], repo: Path) -> subprocess.CompletedProcess[str]:
    script = f'repo={repo}; . "{REPO}/scripts/environment.sh"; build() {{ :; }}; prepare run'
    command = [*powerless, "bash", "-c", script]
    return subprocess.run(command, timeout=60, capture_output=True, text=True)


def test_who_may_not_write_the_environment_is_told(powerless: list[str], tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    venv = tmp_path / ".venv"
    venv.mkdir()
    assert prepared(powerless, tmp_path).returncode == 0
    venv.chmod(0o500)
    done = prepared(powerless, tmp_path)
    assert done.returncode == 1
    assert f"{venv} cannot be written to: Permission denied" in done.stderr


def test_a_lock_that_cannot_be_taken_over_is_named(powerless: list[str], tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    lock = tmp_path / ".venv" / "lock"
    lock.mkdir(parents=True)
    ended = subprocess.Popen(["true"])
    ended.wait()
    (lock / "pid").write_text(f"{ended.pid}\n")
    lock.chmod(0o500)
    done = prepared(powerless, tmp_path)
    assert done.returncode == 1 and f"{lock} was left by a set-up that ended" in done.stderr
    lock.chmod(0o700)
    assert prepared(powerless, tmp_path).returncode == 0
    assert not lock.exists()
