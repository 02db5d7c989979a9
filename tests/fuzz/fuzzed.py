"""`aoshell fuzz` as a test runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from aoshell.fuzz.command import main
from aoshell.nodes.values import Limits

REPO = Path(__file__).resolve().parents[2]
FAULTS = Path(__file__).with_name("faults")
HOLDING = Path(__file__).with_name("invariants")
LITTLE = 0.1  # seconds of processor time; messages of these programs that end take a hundredth
# Of one run. Faults that were put into our blueprints one by one came up within 18, or not in 250.
SEQUENCES = 30


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
) -> Iterator[Fuzzing]:
    del aoshell_home
    monkeypatch.chdir(tmp_path)
    yield Fuzzing(tmp_path, capsys)
    # A search has set it to nowhere, and other tests keep their examples.
    set_hypothesis_home_dir(None)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message without end is stopped soon, in the search and in the test of what is found."""

    def limits(**given: Any) -> Limits:
        return Limits(**given | {"seconds": LITTLE})

    for name in ("fuzz.base.SECONDS", "fuzz.opening.SECONDS", "testing.requests.explaining.LOOKED"):
        monkeypatch.setattr(f"aoshell.{name}", LITTLE)
    monkeypatch.setattr("aoshell.fuzz.holding.SECONDS", LITTLE)
    monkeypatch.setattr("aoshell.testing.runs.running.Limits", limits)


@pytest.fixture
def lean_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pytest that runs what was written has the plugin that it needs, and no other."""
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "aoshell.testing.plugin")


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of what is found is written, and not run."""
    monkeypatch.setattr("aoshell.fuzz.command._doubt", lambda *_: "")


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search ends with a number of sequences, the same ones on each machine."""
    monkeypatch.setattr("aoshell.fuzz.search._EXAMPLES", SEQUENCES)
