"""Two shells on one home, in one process, over a real socket, and the events of one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from eventually import until
from local_home import Local, plain
from signers import Ed25519
from zygotes import SHARED

from aoshell.nodes.joined.carrying import Home
from aoshell.nodes.joined.node import HomeNode
from aoshell.nodes.values import Event, Limits
from aoshell.sandbox.supervising.supervisor import Supervisor

ENDLESS = "while true do end"


@contextlib.asynccontextmanager
async def shell(
    folder: Path,
    signer: Ed25519,
    client: str = "a:1",
    limits: Limits | None = None,
    supervisor: Supervisor = SHARED,
    **how: Any,
) -> AsyncIterator[Local]:
    """A shell on a home: the first one carries its node."""
    node = await HomeNode.open(Home(folder, supervisor), limits, client=client, **how)
    try:
        yield Local(node, signer, (await node.info()).address)  # type: ignore[arg-type]
    finally:
        await node.close()


@contextlib.asynccontextmanager
async def two(
    folder: Path,
    signer: Ed25519,
    limits: Limits | None = None,
    supervisor: Supervisor = SHARED,
) -> AsyncIterator[tuple[Local, Local]]:
    """The shell that carries, and one that joined it."""
    async with (
        shell(folder, signer, "a:1", limits, supervisor) as carrier,
        shell(folder, signer, "b:2", limits) as joined,
    ):
        assert carrier.node._reach.node is not None  # type: ignore[attr-defined]
        assert joined.node._reach.node is None  # type: ignore[attr-defined]
        yield carrier, joined


class Heard:
    """The events of a subscription."""

    def __init__(self, local: Local) -> None:
        self.events: list[Event] = []
        self._task = asyncio.create_task(self._follow(local.node.subscribe()))

    async def _follow(self, events: Any) -> None:
        async for event in events:
            self.events.append(event)

    def texts(self) -> list[str]:
        """What results printed, in order."""
        entries = [event.entry for event in self.events if event.kind == "result"]
        return [plain(one.result.output) for one in entries if one and one.result]

    def notices(self) -> list[str]:
        return [event.detail for event in self.events if event.kind == "notice"]

    async def has(self, text: str) -> None:
        """Wait for a result that printed this."""
        await until(lambda: text in self.texts(), f"{text} is not among {self.texts()}")
