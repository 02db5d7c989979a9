"""`aoshell fuzz` as a test runs it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aoshell.fuzz.command import main

FAULTS = Path(__file__).with_name("faults")
HOLDING = Path(__file__).with_name("invariants")


@dataclass
class Fuzzing:
    """A folder in which files are fuzzed."""

    folder: Path
    capsys: Any

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return name

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, and what was said on both streams."""
        code = main(list(arguments))
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def json(self, *arguments: str) -> dict[str, Any]:
        """The object of a run up to its first fault, or to its end."""
        return self.whole(*arguments, "-x")

    def whole(self, *arguments: str) -> dict[str, Any]:
        """The object of a run that came to its end."""
        code, said, told = self.run(*arguments, "--json")
        assert said, told
        found = json.loads(said)
        assert code == (1 if found["found"] else 0)
        return dict(found)


@pytest.fixture
def fuzzing(
    tmp_path: Path, aoshell_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> Fuzzing:
    del aoshell_home
    monkeypatch.chdir(tmp_path)
    return Fuzzing(tmp_path, capsys)
