"""scripts/environment.sh says what it does while it does it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "environment.sh"

# As pip writes it to a pipe.
PIP = """\
Looking in indexes: https://pypi.example/simple
Obtaining file:///somewhere/aoshell
  Installing build dependencies: started
  Installing build dependencies: finished with status 'done'
  Checking if build backend supports build_editable: started
  Getting requirements to build editable: started
  Preparing editable metadata (pyproject.toml): started
  Preparing editable metadata (pyproject.toml): finished with status 'done'
Processing /wheels/prompt_toolkit-3.0.53-py3-none-any.whl (from aoshell==0.1.0)
Collecting http-sf>=1.1 (from aoshell==0.1.0)
  Downloading http_sf-1.5.0-py3-none-any.whl (27 kB)
Building wheels for collected packages: aoshell
  Building editable for aoshell (pyproject.toml): started
  Building editable for aoshell (pyproject.toml): finished with status 'done'
Installing collected packages: http-sf, prompt_toolkit, aoshell
Successfully installed aoshell-0.1.0
"""


# A set-up that finds a Python which makes nothing, and that installs nothing.
STUBS = "find_python() {{ python={python}; }}; install() {{ :; }}; prepare run"


def run(folder: Path, script: str, given: str = "", code: int = 0) -> str:
    """What bash says on stderr."""
    command = ["bash", "-c", f'repo="{folder}"; . "{SCRIPT}"; {script}']
    done = subprocess.run(command, input=given, timeout=60, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stderr


def prepare(folder: Path, code: int = 0) -> str:
    """What a set-up says that makes no environment."""
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text("")
    python = folder / "python"
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o700)
    return run(folder, STUBS.format(python=python), code=code)


def test_each_step_of_pip_is_a_line(tmp_path: Path) -> None:
    assert run(tmp_path, 'mkdir "$venv"; progress', PIP).splitlines() == [
        "  fetching what builds it",
        "  reading what it needs",
        "  prompt_toolkit",
        "  http-sf",
        "  building it",
        "  putting all in place",
    ]
    assert (tmp_path / ".venv" / "log").read_text() == PIP


def test_each_step_of_a_set_up_is_a_line(tmp_path: Path) -> None:
    assert prepare(tmp_path).splitlines() == [
        f"aoshell: setting up {tmp_path}/.venv with {tmp_path}/python "
        "(once; takes a minute or two)",
        "  making the environment",
        "aoshell: installing what pyproject.toml asks for",
        "aoshell: ready",
    ]


# Environments that are there already --------------------------------------------------------------


def fill(folder: Path, place: str = "") -> dict[str, str]:
    """What an environment has, for short; with the place that it was made for, if it was here."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    if place:
        (folder / "place").write_text(place)
    return files(folder)


def files(folder: Path) -> dict[str, str]:
    """Each file's text."""
    return {str(path): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("place", ["", "/another/clone"])
def test_an_environment_behind_a_link_is_left_alone(tmp_path: Path, place: str) -> None:
    shared, repo = tmp_path / "shared", tmp_path / "repo"
    before = fill(shared, place)
    repo.mkdir()
    (repo / ".venv").symlink_to(shared)
    assert prepare(repo, code=1) == (
        f"aoshell: {repo}/.venv is a link to {shared}, which was not made for {repo} and is left "
        "as it is; remove the link, and an environment is made here\n"
    )
    assert files(shared) == before


def test_an_environment_of_another_program_is_left_alone(tmp_path: Path) -> None:
    before = fill(tmp_path / ".venv")
    assert "was made by something else and is left as it is" in prepare(tmp_path, code=1)
    assert files(tmp_path / ".venv") == before


@pytest.mark.parametrize("exists", [True, False])
def test_nothing_is_made_behind_a_link(tmp_path: Path, exists: bool) -> None:
    """Python would refuse it, too."""
    disk, repo = tmp_path / "disk", tmp_path / "repo"
    repo.mkdir()
    (repo / ".venv").symlink_to(disk)
    if exists:
        disk.mkdir()
    assert f"is a link to {disk}, which was not made for" in prepare(repo, code=1)
    assert files(disk) == {}


def test_an_environment_for_this_place_may_be_behind_a_link(tmp_path: Path) -> None:
    """One that a user moved to another disk."""
    disk, repo = tmp_path / "disk", tmp_path / "repo"
    fill(disk, str(repo))
    repo.mkdir()
    (repo / ".venv").symlink_to(disk)
    assert prepare(repo).endswith("ready\n")


def test_what_was_moved_together_is_made_anew(tmp_path: Path) -> None:
    fill(tmp_path / ".venv", "/where/it/was")
    assert prepare(tmp_path).endswith("ready\n")
    assert (tmp_path / ".venv" / "place").read_text() == str(tmp_path)
    assert not (tmp_path / ".venv" / "pyvenv.cfg").exists()


def test_a_set_up_that_was_stopped_is_begun_anew(tmp_path: Path) -> None:
    fill(tmp_path / ".venv")
    (tmp_path / ".venv" / "place.new").write_text(str(tmp_path))
    assert prepare(tmp_path).endswith("ready\n")
    assert not (tmp_path / ".venv" / "place.new").exists()
