"""`scripts/attack`: what it judges, and its exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
sys.path.append(str(SCRIPTS))

from attack import ATTACKS, SHORT  # noqa: E402
from attacks.attack import Bound  # noqa: E402
from attacks.place import Ran  # noqa: E402


def test_names_are_one_attack_each() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(names) == len(set(names))
    assert set(SHORT) <= set(names)


@pytest.mark.parametrize(
    ("ran", "why"),
    [
        (Ran("42\n", "too large"), ""),
        (Ran("42\n", "too large", seconds=6), "took 6.0 s"),
        (Ran("42\n", "too large", megabytes=101), "took 101 MB"),
        (Ran("", "too large", seconds=6, code=-9, killed=True), "no end within 6 s"),
        (Ran("42\n", "too large", code=-6), "ended by signal 6"),
        (Ran("", "too large"), "the next line was not answered"),
        (Ran("42\n", ""), "does not say 'too large'"),
        (Ran("42\n", "too large: a defect of the shell itself"), "says 'a defect of the shell'"),
        (Ran("42\n", "too large\nTraceback (most recent call last):"), "says 'Traceback"),
        (Ran("42\n", "too large", problems=["2 of 3 kept"]), "2 of 3 kept"),
    ],
)
def test_what_goes_beyond_a_bound_is_seen(ran: Ran, why: str) -> None:
    found = Bound(seconds=5, megabytes=100, says="too large").passed(ran)
    assert why in "; ".join(found)
    assert bool(found) == bool(why)


def test_the_table_and_the_exit_code() -> None:
    def attack(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPTS / "attack.py"), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    held = attack("ulimit -v 60000", "load: a pipe")
    assert held.returncode == 0, held.stdout + held.stderr
    assert "2 attacks, 0 got beyond a bound" in held.stdout
    assert attack("there is no such attack").returncode == 1
