"""What was acknowledged is there after a power cut, whatever command it was.

A session (power_driver.py) does all that a home remembers while a library records what it writes,
fsyncs and renames. Then, behind each acknowledgement, the disk that a power cut would have left is
opened by a fresh node.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import power_driver
import pytest
from power_disk import Disk

from aoshell.nodes.local.node import LocalNode
from aoshell.protocol.wallet import Wallet

pytestmark = pytest.mark.long

HERE = Path(__file__).parent
TORN = 2  # disks by chance, besides the worst one


class NoWorkers:
    """A supervisor, and a worker, for nodes of which only the log is looked at."""

    backlog = 0

    def start(self) -> None:
        pass

    def worker(self, *_: object) -> NoWorkers:
        return self

    def send(self, *_: object) -> None:
        pass

    def kill(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording library."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("writes are recorded by a library that is built here: Linux, and a C compiler")
    library = tmp_path_factory.mktemp("recorder") / "recorder.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "recorder.c", "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return library


async def found(home: Path) -> dict[str, Any]:
    """What a fresh node finds in a home."""
    node = await LocalNode.open(home / "state", supervisor=NoWorkers())  # type: ignore[arg-type]
    try:
        return json.loads(json.dumps(power_driver.facts(node, home)))  # type: ignore[no-any-return]
    finally:
        node._closed = True
        node._engine.abandon()


def test_a_power_cut_takes_nothing_that_was_acknowledged(
    recorder: Path, tmp_path: Path, wallet: Wallet
) -> None:
    home, record, key = tmp_path / "home", tmp_path / "record", tmp_path / "wallet.json"
    home.mkdir()
    key.write_text(json.dumps(wallet.jwk()))
    disk = Disk(home)
    driver = [sys.executable, str(HERE / "power_driver.py"), str(home), str(key)]
    seen = {"LD_PRELOAD": str(recorder), "RECORD_ROOT": str(home), "RECORD_FILE": str(record)}
    subprocess.run(driver, env=os.environ | seen, check=True, timeout=60)
    lost: list[str] = []
    acknowledged = 0
    for text in disk.replay(record):
        told = json.loads(text)
        acknowledged += 1
        for torn in range(TORN + 1):
            left = tmp_path / "left"
            disk.leave(left, Random(f"{acknowledged} {torn}") if torn else None)
            there = asyncio.run(found(left))
            shutil.rmtree(left)
            lost += [
                f"behind {told['what']} ({'torn' if torn else 'worst'}): {name}"
                for name, was in told["facts"].items()
                if not _holds(was, there[name], name)
            ]
    assert acknowledged == len(power_driver.lines(home)) + 4
    assert not lost, "\n".join(lost)


def _holds(was: Any, now: Any, name: str) -> bool:
    # Files may be there that nobody was told of yet.
    return was.items() <= now.items() if name == "files" else was == now
