"""Each example runs as its header says."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
# What lies in examples/testing is run by its own tests.
EXAMPLES = sorted((REPO / "examples").glob("*.lua")) + sorted((REPO / "examples").rglob("*.wat"))


def header(path: Path) -> tuple[str, str, str]:
    """The command of an example's header, where its outcome stands, and what that is."""
    lines = [line.lstrip("-;") for line in path.read_text().splitlines()]
    command = next(line.strip() for line in lines if "scripts/aoshell" in line)
    for where, said in itertools.pairwise(lines):
        if where.strip() in ("Ends with:", "Says on its way:"):
            return command, where.strip(), said.strip()
    raise AssertionError(f"{path.name} does not say what comes out")


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5


def test_the_wasm_example_is_what_its_source_builds() -> None:
    import wasmtime

    folder = REPO / "examples" / "wasm"
    built = wasmtime.wat2wasm((folder / "counter.wat").read_text())
    assert bytes(built) == (folder / "counter.wasm").read_bytes()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_runs_as_its_header_says(path: Path, command: dict[str, str]) -> None:
    line, where, expected = header(path)
    done = subprocess.run(
        line.replace("scripts/aoshell", "aoshell-under-test"),
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        env=command,
        cwd=REPO,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if where == "Ends with:":
        assert done.stdout.splitlines()[-1] == expected
    else:
        assert expected in done.stdout.splitlines() + done.stderr.splitlines()
