"""A local node under test, with short forms of the calls that tests make most."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from signers import Ed25519
from zygotes import SHARED

from aoshell.errors import AoError
from aoshell.nodes.local.log.rows import Batch
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.waiting.events import EventSubscription
from aoshell.nodes.values import Event, Limits, LogEntry, Receipt
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Result, Tag, tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.sandbox.supervising.supervisor import Supervisor

NOBODY = "x" * 43  # an address that nobody has
SHOW = """
Seen = {}
Handlers.add("Show", function(msg) return msg.Action == "Show" end, function(msg)
  Seen = { from = msg.From, owner = msg.Owner, pushed = msg["Pushed-For"] or "none",
    of = msg.Tags["From-Process"] or "none", from_tag = msg.Tags.From or "none",
    owner_tag = msg.Tags.Owner or "none" }
end)
"""
COUNTER = """
N = 0
Handlers.add("Add", "Add", function() N = N + 1 Send({Target = Owner, Data = tostring(N)}) end)
"""
KINDS = {  # of failures: a line that fails so, and what its error says
    "error": ("error('on purpose')", "on purpose"),
    "time": ("while true do end", "its limit"),
    "memory": ("local s = 'x' while true do s = s .. s end", "not enough memory"),
}
SMALL = Limits(seconds=0.1, memory=32 << 20)
SGR = re.compile(r"\x1b\[[0-9;]*m")


def plain(text: str) -> str:
    """Text without colours."""
    return SGR.sub("", text)


def tags(**values: str) -> tuple[Tag, ...]:
    """Tags by keyword, `_` for `-`."""
    return tags_of((name.replace("_", "-"), value) for name, value in values.items())


@dataclass
class Local:
    """An open node and the wallet of its user."""

    node: LocalNode
    wallet: Wallet | Ed25519
    address: str

    @property
    def engine(self) -> Any:
        """The inside of the node, for tests that break it."""
        return self.node._engine

    # Out --------------------------------------------------------------------------------------

    def item(self, target: str, data: str | bytes = b"", **values: str) -> DataItem:
        """A signed message."""
        body = data.encode() if isinstance(data, str) else data
        named = tags(Data_Protocol="ao", Type="Message", **values)
        return self._signed(target, named, body)

    def definition(self, module: str = "aos", data: bytes = b"", **values: str) -> DataItem:
        """A signed definition of a process that trusts this node."""
        values.setdefault("Authority", self.address)
        named = tags(Data_Protocol="ao", Type="Process", Module=module, **values)
        return self._signed("", named, data)

    def _signed(self, target: str, tags: tuple[Tag, ...], data: bytes) -> DataItem:
        # Signatures by Ed25519 of one text are one signature, and the item would have one slot.
        return DataItem.sign(self.wallet, target, tags, data, os.urandom(32))

    async def spawn(self, source: str = "", *, name: str = "", **values: str) -> str:
        """A process of the user's that runs `source` when it boots; its id."""
        module = (await self.node.upload(source.encode())).id if source else "aos"
        receipt = await self.node.spawn(self.definition(module, **values), name)
        result = await self.node.result(receipt.process, 0)
        assert result.ok, result.error
        return receipt.process

    async def post(self, process: str, data: str | bytes = b"", **values: str) -> Receipt:
        """Send a message without waiting."""
        return await self.node.send(process, self.item(process, data, **values))

    async def send(self, process: str, data: str | bytes = b"", **values: str) -> Result:
        """Send a message; its result, when all that it caused has settled."""
        receipt = await self.post(process, data, **values)
        result = await self.node.result(process, receipt.slot)
        await self.node.settled(receipt.id)
        return result

    async def eval(self, process: str, code: str) -> Result:
        """Run a line of Lua."""
        return await self.send(process, code, Action="Eval")

    async def value(self, process: str, code: str) -> str:
        """What a line of Lua answers, without colours."""
        result = await self.eval(process, code)
        assert result.ok, result.error
        return plain(result.output)

    # In ---------------------------------------------------------------------------------------

    async def entries(self, process: str) -> list[LogEntry]:
        """All computed entries."""
        return list(await self.node.results(process, limit=100_000))

    async def messages(self, process: str) -> list[Message]:
        """All messages, computed or not."""
        return list(await self.node.schedule(process, 0, 1 << 40))

    async def reasons(self, process: str | None = None) -> list[str]:
        """Why messages were kept."""
        return [kept.reason for kept in await self.node.undelivered(process)]

    def workers(self) -> list[Any]:
        """Workers that are up (supervisor side)."""
        return [live._worker for live in self.engine.computer._live.values()]


async def lived(local: Local, messages: int = 20) -> str:
    """A process "counter" that has counted so many messages; its id."""
    pid = await local.spawn(COUNTER, name="counter")
    for _ in range(messages):
        last = await local.post(pid, Action="Add")
    await local.node.result(pid, last.slot)
    return pid


@contextlib.asynccontextmanager
async def opened(
    folder: Path,
    wallet: Wallet | Ed25519,
    limits: Limits | None = None,
    supervisor: Supervisor = SHARED,
) -> AsyncIterator[Local]:
    """A node on a folder, closed after the block."""
    node = await LocalNode.open(folder, limits, supervisor)
    try:
        yield Local(node, wallet, (await node.info()).address)
    finally:
        await node.close()


async def next_event(events: EventSubscription, kind: str) -> Event:
    """The next event of a kind."""
    while True:
        event = await anext(events)
        if event.kind == kind:
            return event


def database(folder: Path) -> sqlite3.Connection:
    """The database of a node that is closed, to look into or to spoil."""
    return sqlite3.connect(folder / "node.db", isolation_level=None)


class FullDisk:
    """Makes commits of a node fail, as on a full disk.

    Args:
        left: how many fail from now on; it may be set later on, too.
        fails: which batches; by default those with results.
    """

    def __init__(
        self,
        local: Local,
        monkeypatch: pytest.MonkeyPatch,
        left: float,
        fails: Callable[[Batch], object] = lambda batch: batch.results,
    ) -> None:
        self.left = left
        commit = local.engine.store.commit

        def committing(batch: Batch, *, sync: bool) -> None:
            if self.left and fails(batch):
                self.left -= 1
                raise AoError("cannot be written: database or disk is full", stage="store")
            commit(batch, sync=sync)

        monkeypatch.setattr(local.engine.store, "commit", committing)
