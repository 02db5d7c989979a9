"""A session at a real node that tests type into."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from zygotes import SHARED

from aoshell.errors import AoError
from aoshell.nodes.local.node import LocalNode
from aoshell.protocol.message import Result
from aoshell.protocol.wallet import Wallet
from aoshell.shell.attached.session import Session
from aoshell.shell.code.spawning import SpawnRequest
from aoshell.shell.code.spawning import spawn as make
from aoshell.shell.lines.run import run_line
from aoshell.shell.outcome import CommandOutput, LineAnswer, LineFailure, Outcome
from aoshell.shell.ports.front import Patience

SGR = re.compile(r"\x1b\[[0-9;]*m")


class Front:
    """Nobody sits there.

    Attributes:
        said: what was shown besides answers.
        asked: the questions; each is answered with `answer`.
    """

    asks = False

    def __init__(self) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.answer = False

    def opened(self, node: object) -> None: ...
    def partial(self, result: Result) -> None: ...

    def feed(self, said: str) -> None:
        self.said.append(said)

    note = feed

    async def confirm(self, question: str) -> bool:
        self.asked.append(question)
        return self.answer


class Typed:
    """A session, and what comes of the lines typed into it."""

    def __init__(self, session: Session, front: Front, node: LocalNode) -> None:
        self.session, self.front, self.node = session, front, node

    async def __call__(self, line: str) -> Outcome:
        outcome = await run_line(self.session, line)
        self.session.feed.release()
        await self.session.settle()
        return outcome

    async def reply(self, line: str) -> CommandOutput:
        outcome = await self(line)
        assert isinstance(outcome, CommandOutput), outcome
        return outcome

    async def value(self, line: str) -> str:
        """What a line of Lua that must succeed answers, without colours."""
        outcome = await self(line)
        assert isinstance(outcome, LineAnswer), outcome
        assert outcome.ok, outcome.last.error
        return SGR.sub("", outcome.last.output)

    async def error(self, line: str) -> str:
        outcome = await self(line)
        assert isinstance(outcome, LineFailure), outcome
        return str(outcome.error)

    async def checkpoint(self) -> None:
        """Write images of all processes that live."""
        for live in self.node._engine.computer._live.values():
            await live.images.ask()


Body = Callable[[Typed], Awaitable[None]]


def run(folder: Path, wallet: Wallet, body: Body, *, module: str = "aos") -> None:
    """Open the node in `folder`, attach its process `desk` (made on first use), and run `body`."""

    async def opened() -> None:
        node = await LocalNode.open(folder, supervisor=SHARED)
        known: asyncio.Future[Wallet] = asyncio.get_running_loop().create_future()
        known.set_result(wallet)
        front: Any = Front()
        session = Session(node, known, front, Patience.SETTLED)
        await asyncio.sleep(0)
        try:
            try:
                info = await node.find("desk")
            except AoError:
                info = await make(session, SpawnRequest("desk", module, sure=True))
            await session.attach(info)
            await body(Typed(session, front, node))
        finally:
            await session.close()
            await node.close()

    asyncio.run(asyncio.wait_for(opened(), 60))
