"""aos itself against a node that is served, in its HyperBEAM mode (conformance checks 1, 2 and 3).

It comes from a checkout, as test_serve_aos.py has it; without one this is skipped.
test_hyper_recorded.py replays a recorded session of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path

import pexpect
from program import Ended
from test_hyper_clients import served
from test_serve_aos import SECONDS, SGR, aos

from aoshell.protocol.wallet import Wallet

__all__ = ["aos"]  # a fixture


def environment(home: Path, url: str, wallet: Wallet) -> dict[str, str]:
    """That of aos with a home of its own."""
    home.mkdir(exist_ok=True)
    (home / ".aos.json").write_text(json.dumps(wallet.jwk()))
    nowhere = "http://127.0.0.1:9"
    return {**os.environ, "HOME": str(home), "GATEWAY_URL": url, "UPDATE_URL": nowhere}


def test_lines_of_aos(aos: Path, tmp_path: Path, wallet: Wallet, other_wallet: Wallet) -> None:
    async def run() -> None:
        async with served(tmp_path / "node", other_wallet) as (node, url):
            env = environment(tmp_path / "user", url, wallet)

            async def run_aos(*arguments: str) -> tuple[int | None, str]:
                started = await asyncio.create_subprocess_exec(
                    *("node", str(aos), *arguments, "--url", url),
                    cwd=tmp_path / "user",
                    env=env,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                )
                out, _ = await started.communicate()
                return started.returncode, SGR.sub("", out.decode())

            code, said = await run_aos("h1", "--run", "1+1")
            made = re.search(r"Your AOS Process:\s+([\w-]{43})", said)
            assert code == 0 and made and said.split()[-1] == "2", said
            code, said = await run_aos("h1", "--run", 'error("boom")')
            assert code == 1 and "boom" in said and '1 |    error("boom")' in said, said
            (info,) = await node.processes()
            assert (info.id, info.authority) == (made[1], other_wallet.address)

    asyncio.run(asyncio.wait_for(run(), SECONDS))


def test_a_session_at_its_prompt(
    aos: Path, tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async def run() -> None:
        async with served(tmp_path / "node", other_wallet) as (_node, url):
            env = environment(tmp_path / "user", url, wallet)
            (tmp_path / "user" / "f.lua").write_text("print('loaded ' .. 7 * 7)\n")
            await asyncio.to_thread(_type, [str(aos), "h3", "--url", url], env, tmp_path / "user")

    asyncio.run(asyncio.wait_for(run(), SECONDS))


def _type(command: list[str], env: dict[str, str], folder: Path) -> None:
    """Type into aos; each line gets its expected answer before the next one."""
    there = Ended(
        *("node", command),
        env=env | {"TERM": "xterm"},
        cwd=folder,
        timeout=60,
        encoding="utf-8",
        dimensions=(40, 140),
    )
    seen: list[str] = []

    class Kept:
        def write(self, text: str) -> None:
            seen.append(text)

        def flush(self) -> None: ...

    there.logfile_read = Kept()
    try:
        there.expect(r"aos-2\.0\.4.*> ")
        for line, due in (
            ("20+2", r"22\r"),
            ("{a=1,b={2,3}}", r"b.* = "),
            ("print('h' .. 'i')", r"hi\r"),
            ("x.y.z", "nil value"),
            ("Handlers.add('p', 'Ping', function(m) print('PONG ' .. m.From) end)", r"\d"),
            ("Send({Target = ao.id, Action = 'Ping'})", r"PONG [\w-]{43}"),
            (".load f.lua", "loaded 49"),
        ):
            there.sendline(line)
            there.expect(due)
            there.expect("> ")
        there.sendline(".exit")
        there.expect(pexpect.EOF)
    finally:
        there.close(force=True)
    assert "not trusted" not in "".join(seen)
