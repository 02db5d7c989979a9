"""The whole program as its user meets it: a process of its own, a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import program
import pytest
from program import AOSHELL, ENTRY

from aoshell.protocol.wallet import Wallet

REPO = Path(__file__).resolve().parents[2]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def newcomer(tmp_path: Path) -> dict[str, str]:
    """The environment of a new user: there is no home yet."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return kept | {
        "HOME": str(tmp_path),
        "AOSHELL_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(REPO),
        "TERM": "xterm-256color",
    }


@pytest.fixture
def environment(newcomer: dict[str, str], tmp_path: Path, wallet: Wallet) -> dict[str, str]:
    """The environment of a user whose home has a wallet: making one takes seconds."""
    state = tmp_path / "home" / "state"
    state.mkdir(parents=True, mode=0o700, exist_ok=True)
    (state / "wallet.json").write_text(json.dumps(wallet.jwk()))
    return newcomer


@pytest.fixture
def aoshell(environment: dict[str, str]) -> Run:
    """Runs the program: aoshell("--run", "1+1", stdin="…")."""

    def run(*args: str, stdin: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return program.run(
            [*AOSHELL, *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            cwd=REPO,
            check=False,
        )

    return run


@pytest.fixture
def command(tmp_path: Path, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """An environment whose PATH has `scripts/aoshell` as `aoshell-under-test`."""
    entry = tmp_path / "aoshell-under-test"
    entry.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c \'{ENTRY}\' "$@"\n')
    entry.chmod(0o755)
    yield environment | {"PATH": f"{tmp_path}:{environment['PATH']}"}
