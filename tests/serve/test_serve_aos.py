"""aos itself against a node that is served (conformance checks 1, 2 and 4, legacy mode).

It comes from a checkout of its repository, which AOS_CHECKOUT names, with its packages installed;
without one this is skipped. test_serve_recorded.py asks what aos asked in a recorded session.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from served_node import served

from aoshell.protocol.wallet import Wallet

SECONDS = 240.0
SGR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def aos() -> Path:
    """The program."""
    named = os.environ.get("AOS_CHECKOUT")
    if not named:
        pytest.skip("AOS_CHECKOUT names no checkout of permaweb/aos")
    if shutil.which("node") is None:
        pytest.skip("no node: aos cannot be run")
    checkout = Path(named)
    if not (checkout / "node_modules").is_dir():
        pytest.skip(f"{checkout} has no node_modules: npm install --ignore-scripts there")
    return checkout / "src" / "index.js"


class Aos:
    """Runs aos with a home of its own."""

    def __init__(self, program: Path, home: Path, url: str, wallet: Wallet) -> None:
        home.mkdir()
        (home / ".aos.json").write_text(json.dumps(wallet.jwk()))
        self._program, self._home, self._url = program, home, url

    async def __call__(self, *arguments: str) -> tuple[int | None, str]:
        """The exit code, and what was printed, without colours."""
        nowhere = {"UPDATE_URL": "http://127.0.0.1:9", "GATEWAY_URL": self._url}
        units = [f"--{unit}-url={self._url}" for unit in ("gateway", "mu", "cu")]
        started = await asyncio.create_subprocess_exec(
            *("node", str(self._program), *arguments, *units, "--legacy"),
            cwd=self._home,
            env={**os.environ, **nowhere, "HOME": str(self._home)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await started.communicate()
        return started.returncode, SGR.sub("", out.decode())


def test_lines_of_aos(aos: Path, tmp_path: Path, wallet: Wallet) -> None:
    async def run() -> None:
        async with served(tmp_path / "node", wallet) as on:
            run_aos = Aos(aos, tmp_path / "user", on.serving.facts.url, wallet)
            code, said = await run_aos("c1", "--run", "1+1")
            made = re.search(r"Your AOS Process:\s+([\w-]{43})", said)
            assert code == 0 and made and said.split()[-1] == "2", said
            code, said = await run_aos("c1", "--run", "2+1")
            assert code == 0 and made[1] in said and said.split()[-1] == "3", said
            assert len(await on.node.processes()) == 1
            code, said = await run_aos("c1", "--run", 'error("boom")')
            assert code == 1 and "boom" in said and '1 |    error("boom")' in said, said
            await run_aos("c2", "--run", "1")
            code, said = await run_aos("--list")
            assert code == 0 and "c1 - " in said and "c2 - " in said, said

    asyncio.run(asyncio.wait_for(run(), SECONDS))
