"""Pipes that a command line names instead of files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from program import ENTRY

from aoshell.protocol.wallet import Wallet


def bash(environment: dict[str, str], script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in which `aoshell` is the program."""
    defined = 'aoshell() { "$PYTHON" -c "$ENTRY" "$@"; }\n'
    python = {"PYTHON": sys.executable, "ENTRY": ENTRY}
    return subprocess.run(
        ["bash", "-c", defined + script],
        env=environment | python,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_code_data_and_a_wallet_come_through_pipes(
    environment: dict[str, str], tmp_path: Path, wallet: Wallet
) -> None:
    (tmp_path / "key").write_text(json.dumps(wallet.jwk()))
    given = f"--wallet <(cat {tmp_path}/key) --load <(echo 'return 6 * 7') --data <(echo x)"
    done = bash(environment, f"aoshell piped {given} --run 'return Owner'")
    assert done.stdout.split() == ["42", wallet.address], done.stderr


@pytest.mark.parametrize(
    "pipe", ["echo junk | aoshell attest /dev/stdin", "aoshell attest <(echo junk)"]
)
def test_evidence_comes_through_a_pipe(environment: dict[str, str], pipe: str) -> None:
    done = bash(environment, pipe)
    assert done.returncode == 1 and "text: 'junk'" in done.stdout, done.stderr


def test_a_line_reads_no_pipe(environment: dict[str, str]) -> None:
    done = bash(environment, "echo '.load /dev/stdin' | aoshell")
    assert done.returncode == 1 and "/dev/stdin is no regular file" in done.stderr


def test_a_pipe_without_end_is_refused(environment: dict[str, str]) -> None:
    done = bash(environment, "aoshell --load <(yes)")
    assert done.returncode == 2 and "it is larger than 64 MB" in done.stderr
