"""wao's local network, an independent one, as a user of the legacy network meets it.

It comes from npm, and runs on loopback for these tests alone. Without npm or node they are skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from npm_packages import installed

from aoshell.errors import AoError
from aoshell.nodes.remote.arweave.gateway import Gateway
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.legacy.node import LegacyNode, LegacyUrls
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.values import NotFoundError, Receipt
from aoshell.protocol.message import Message, Result, Tag, tags_of
from aoshell.protocol.wallet import Wallet

pytestmark = pytest.mark.long

DRIVER = Path(__file__).with_name("wao_network.mjs")
# Its own module (aos 2.0.4 as WASM), scheduler and authority, which are the same in each start.
MODULE = "ISShJH1ij-hPPt9St5UFFr_8Ys3Kj5cyg7zrMGt7H9s"
SCHEDULER = "_GQ33BkPtZrqxA84vM8Zk-N2aO0toNNu_C-l-rawrBA"
AUTHORITY = "eNaLJLsMiWCSWvQKNbk_YT-9ydeWl9lrWwXxLVp9kcg"
SGR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The ports of its units."""
    folder = installed(tmp_path_factory)
    command = ["node", "--experimental-wasm-memory64", str(DRIVER), str(folder)]
    pipe = subprocess.PIPE
    with (
        (folder / "errors").open("w+") as errors,
        subprocess.Popen(
            command, cwd=folder, stdin=pipe, stdout=pipe, stderr=errors, text=True
        ) as running,
    ):
        assert running.stdout is not None
        lines = iter(running.stdout.readline, "")
        said = next((line for line in lines if line.startswith("{")), "")
        assert said, (folder / "errors").read_text()[-2000:]
        yield json.loads(said)
        assert running.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            running.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(5)
        running.kill()


class Session:
    """A node, and who sits at it."""

    def __init__(self, ports: dict[str, int], folder: Path, wallet: Wallet) -> None:
        waiting = Waiting()
        url = {unit: f"http://127.0.0.1:{port}" for unit, port in ports.items()}
        gateway = Gateway(Client(url["ar"], waiting), folder / "code", Client(url["bd"], waiting))
        urls = LegacyUrls(url["mu"], url["cu"], url["su"], SCHEDULER, AUTHORITY, MODULE)
        self.wallet = wallet
        self.node = LegacyNode(urls, Book(folder / "book.db"), gateway, self._wallet, waiting)

    async def _wallet(self) -> Wallet:
        return self.wallet

    async def spawn(self, name: str) -> str:
        item = await self.node.sign(self.wallet, "", (Tag("Name", name),), b"")
        return (await self.node.spawn(item, name)).process

    async def send(self, process: str, line: str) -> Receipt:
        tags = tags_of([("Action", "Eval")])
        item = await self.node.sign(self.wallet, process, tags, line.encode())
        return await self.node.send(process, item)

    async def eval(self, process: str, line: str) -> Result:
        return await self.node.result(process, (await self.send(process, line)).place)


def test_a_session(ports: dict[str, int], tmp_path: Path, wallet: Wallet) -> None:
    async def whole() -> None:
        session = Session(ports, tmp_path, wallet)
        node = session.node
        assert all(finding.ok for finding in await node.doctor())
        process = await session.spawn("first")
        assert (await session.eval(process, "1+1")).output == "2"
        failed = await session.eval(process, "error('boom')")
        assert (failed.outcome, "boom" in failed.error) == ("error", True)
        sent = await session.eval(process, "Send({Target = ao.id, Action = 'Ping', Data = 'hi'})")
        assert [message.target for message in sent.messages] == [process]
        assert (await session.eval(process, "X = 'ü'; return X")).output == "ü"
        owner = wallet.address
        line = Message("", owner, owner, process, tags_of([("Action", "Eval")]), b"X .. X")
        assert (await node.dryrun(process, line)).output == "üü"
        entries = await node.results(process)
        assert [e.message.assignment.slot for e in entries if e.message.assignment] == [
            *range(await node.slots(process))
        ]
        outcomes = [entry.result.outcome for entry in entries if entry.result]
        assert outcomes == ["ok", "ok", "error", "ok", "ok", "ok"]  # the fourth: Ping, pushed
        assert (await node.result(process, 1)).output == "2"
        await node.close()

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_the_feed(ports: dict[str, int], tmp_path: Path, wallet: Wallet) -> None:
    async def whole() -> None:
        session = Session(ports, tmp_path, wallet)
        process = await session.spawn("feed")
        await session.eval(process, "'before'")
        subscription = session.node.subscribe()
        await session.node.watch(process)
        for n in range(3):
            await session.eval(process, f"print({n})")
        for n in range(3):
            event = await anext(subscription)
            assert event.entry is not None and event.entry.result is not None
            assert (SGR.sub("", event.entry.result.output), event.quiet) == (str(n), False)
        parting = asyncio.ensure_future(anext(subscription))  # the third was seen
        await asyncio.sleep(0)
        parting.cancel()
        await session.node.close()

        session = Session(ports, tmp_path, wallet)
        await session.send(process, "'between'")
        subscription = session.node.subscribe()
        await session.node.watch(process)
        event = await anext(subscription)
        assert event.entry is not None and event.entry.result is not None
        assert event.entry.result.output == "between"
        await session.node.close()

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_names_and_what_has_none(ports: dict[str, int], tmp_path: Path, wallet: Wallet) -> None:
    async def whole() -> None:
        first = Session(ports, tmp_path, wallet)
        process = await first.spawn('named "x"')
        await first.node.close()
        (tmp_path / "other").mkdir()
        node = Session(ports, tmp_path / "other", wallet).node  # which has never heard of it
        found = await node.find('named "x"')
        assert (found.id, found.owner, found.module) == (process, wallet.address, MODULE)
        assert process in [info.id for info in await node.processes()]
        assert (await node.find(process)).name == 'named "x"'
        with pytest.raises(NotFoundError):
            await node.find("nobody")
        with pytest.raises(AoError) as caught:
            await node.fetch(MODULE)
        assert caught.value.stage in ("fetch", "verify")  # it has the tags of its module, no more
        publication = await node.publication(wallet, b"return 1", "one")
        assert await node.publish(publication) == await node.fetch("one")
        await node.close()

    asyncio.run(asyncio.wait_for(whole(), 60))
