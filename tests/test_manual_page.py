"""docs/aoshell.1 is what the flags give, and the tools that show such pages find nothing wrong."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from aoshell import __version__
from aoshell.commandline.manual import manual
from aoshell.commandline.table import forms

PAGE = Path(__file__).resolve().parents[1] / "docs" / "aoshell.1"
CHECKS = {
    "mandoc": ["mandoc", "-T", "lint", "-W", "error"],
    "groff": ["groff", "-man", "-Tutf8", "-ww", "-z"],
}


def test_the_page_is_up_to_date() -> None:
    """scripts/manual_page.py writes it."""
    assert PAGE.read_text(encoding="utf-8") == manual(forms(), __version__)


@pytest.mark.parametrize("tool", CHECKS)
def test_the_tools_find_nothing_wrong(tool: str) -> None:
    if not shutil.which(tool):
        pytest.skip(f"there is no {tool} here")
    done = subprocess.run([*CHECKS[tool], str(PAGE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_man_shows_it() -> None:
    if not shutil.which("man"):
        pytest.skip("there is no man here")
    done = subprocess.run(
        ["man", "--local-file", str(PAGE)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "MANPAGER": "cat", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
    )
    if "unrecognized option" in done.stderr or "illegal option" in done.stderr:
        pytest.skip("man reads no files here")
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "aoshell [NAME|ID] [flags]" in shown
    for form in forms():
        assert form.name in shown
        assert not [name for flag in form.flags for name in flag.names if name not in shown]
