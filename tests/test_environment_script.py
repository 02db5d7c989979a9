"""scripts/environment.sh says what it does while it does it."""

from __future__ import annotations

import subprocess
from pathlib import Path

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


def run(folder: Path, script: str, given: str = "") -> str:
    """What bash says on stderr."""
    whole = f'repo="{folder}"; . "{SCRIPT}"; mkdir -p "$venv"; {script}'
    command = ["bash", "-c", whole]
    done = subprocess.run(command, input=given, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_each_step_of_pip_is_a_line(tmp_path: Path) -> None:
    assert run(tmp_path, "progress", PIP).splitlines() == [
        "  fetching what builds it",
        "  reading what it needs",
        "  prompt_toolkit",
        "  http-sf",
        "  building it",
        "  putting all in place",
    ]
    assert (tmp_path / ".venv" / "log").read_text() == PIP


def test_each_step_of_a_set_up_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 0\n")  # makes no environment, and says that it did
    python.chmod(0o700)
    stubs = f"find_python() {{ python={python}; }}; install() {{ :; }}"
    assert run(tmp_path, f"{stubs}; prepare run").splitlines() == [
        f"aoshell: setting up {tmp_path}/.venv with {python} (once; takes a minute or two)",
        "  making the environment",
        "aoshell: installing what pyproject.toml asks for",
        "aoshell: ready",
    ]
