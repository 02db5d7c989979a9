"""The same through a whole node: workers that are put away, killed and brought back by checkpoint
and log, a node that is closed and opened, two processes that send to each other."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from replay_programs import ENDLESS, OUT_OF_MEMORY, chunks
from zygotes import SHARED

from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.workers import images, room
from aoshell.nodes.values import Limits
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Result, Tag
from aoshell.protocol.wallet import Wallet

pytestmark = pytest.mark.long

LIMITS = Limits(seconds=0.2, memory=24 << 20)
SETUP = (
    "a, b, c, d = {}, {}, {}, {} "
    "Handlers.add('Ask', 'Ask', function(m) a[#a + 1] = m.Data "
    "m.reply({ Data = #a .. m.Data }) end)"
)
SENDS = [
    "Send({ Target = Peer, Action = 'Ask', Data = tostring(#Inbox) })",
    "print(Send({ Target = Peer, Action = 'Ask', Data = 'w' }).receive().Data)",
    "Send({ Target = Peer, Action = 'Ping', Data = 'x' })",
    "for i = 1, 3 do Send({ Target = Peer, Action = 'Pong', Data = tostring(i) }) end",
]
STATE = "return { a = a, b = b, c = c, d = d, Inbox = Inbox, Errors = Errors }"

LINES = st.one_of(chunks(), chunks(), chunks(), st.sampled_from(SENDS))
UPSETS = st.sampled_from(["", "", "", "kill", "reopen", "forget checkpoints"])


class Shell:
    """A node on a folder, which may be another node at the next line."""

    def __init__(self, folder: Path, wallet: Wallet) -> None:
        self.folder = folder
        self.wallet = wallet

    async def open(self) -> None:
        self.node = await LocalNode.open(self.folder, LIMITS, SHARED)

    async def spawn(self) -> str:
        address = (await self.node.info()).address
        tags = (
            Tag("Data-Protocol", "ao"),
            Tag("Type", "Process"),
            Tag("Module", "aos"),
            Tag("Authority", address),
        )
        receipt = await self.node.spawn(DataItem.sign(self.wallet, tags=tags), "")
        await self.node.result(receipt.process, 0)
        return receipt.process

    async def eval(self, process: str, code: str) -> Result:
        tags = (Tag("Data-Protocol", "ao"), Tag("Type", "Message"), Tag("Action", "Eval"))
        item = DataItem.sign(self.wallet, target=process, tags=tags, data=code.encode("latin-1"))
        receipt = await self.node.send(process, item)
        result = await self.node.result(process, receipt.slot)
        await self.node.settled(item.id)
        return result

    async def state(self, process: str) -> Result:
        owner = self.wallet.address
        message = Message("", owner, owner, process, (Tag("Action", "Eval"),), STATE.encode())
        return await self.node.dryrun(process, message)

    async def upset(self, how: str) -> None:
        if how == "kill":
            for live in list(self.node._engine.computer._live.values()):
                live._worker.kill()
        elif how:
            await self.node.close()
            if how == "forget checkpoints":
                shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
            await self.open()


async def play(shell: Shell, lines: list[tuple[int, str, str]]) -> None:
    await shell.open()
    try:
        processes = [await shell.spawn(), await shell.spawn()]
        for process, peer in (processes, reversed(processes)):
            await shell.eval(process, f"{SETUP} Peer = '{peer}'")
        for who, code, upset in lines:
            await shell.eval(processes[who], code)
            await shell.upset(upset)
        before = [await shell.state(process) for process in processes]
        await shell.upset("forget checkpoints")
        after = [await shell.state(process) for process in processes]
        for one, other in zip(before, after, strict=True):
            assert (one.outcome, one.error, one.output) == (
                other.outcome,
                other.error,
                other.output,
            )
        for process in processes:
            assert await shell.node.verify_log(process) == []
    finally:
        await shell.node.close()


@pytest.fixture(autouse=True)
def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for one worker, and a checkpoint whenever there can be one."""
    monkeypatch.setattr(room, "MAX_LIVE", 1)
    monkeypatch.setattr(images, "CHECKPOINT_EVERY", 0.0)
    monkeypatch.setattr(images, "CHECKPOINT_SHARE", 0)


@settings(
    max_examples=5,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(lines=st.lists(st.tuples(st.integers(0, 1), LINES, UPSETS), min_size=3, max_size=10))
def test_a_node_computes_the_same_again(wallet: Wallet, lines: list[tuple[int, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(asyncio.wait_for(play(Shell(Path(folder), wallet), lines), 60))


def test_stopped_messages_and_upsets(wallet: Wallet, tmp_path: Path) -> None:
    lines = [
        (0, "a.x = 1 b[1], b[2], b[4] = 1, 2, 4 return #b", "kill"),
        (0, OUT_OF_MEMORY, ""),
        (1, SENDS[1], "reopen"),
        (0, ENDLESS, "kill"),
        (0, "return a.half or #Errors", "forget checkpoints"),
        (1, "error('boom')", ""),
        (0, SENDS[1], "kill"),
        (1, SENDS[3], "reopen"),
    ]
    asyncio.run(asyncio.wait_for(play(Shell(tmp_path, wallet), lines), 60))
