"""A session at a real node, for tests that type into it and look at what comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from eventually import until
from zygotes import SHARED

from aoshell.nodes.base import Node
from aoshell.nodes.local.node import LocalNode
from aoshell.protocol.message import Result
from aoshell.protocol.wallet import Wallet
from aoshell.shell.attached.session import Recorder, Session
from aoshell.shell.code.spawning import SpawnRequest
from aoshell.shell.code.spawning import spawn as make
from aoshell.shell.lines.run import run_line
from aoshell.shell.outcome import CommandOutput, LineAnswer, LineFailure, Outcome
from aoshell.shell.ports.front import Patience
from aoshell.shell.view.render import Renderer
from aoshell.shell.view.values import outcome_value


class Front:
    """A terminal at which somebody says yes to everything."""

    def __init__(self, asks: bool = True) -> None:
        self.asks = asks
        self.said: list[str] = []

    def opened(self, node: Node) -> None: ...
    def partial(self, result: Result) -> None: ...

    def feed(self, text: str) -> None:
        self.said.append(text)

    def note(self, text: str) -> None:
        self.said.append(text)

    async def confirm(self, question: str) -> bool:
        del question
        return True


class Typing:
    """A session, typed into."""

    def __init__(self, session: Session, front: Front) -> None:
        self.session = session
        self.front = front

    async def __call__(self, line: str) -> Outcome:
        outcome = await run_line(self.session, line)
        self.session.feed.release()
        await self.session.settle()
        return outcome

    async def value(self, line: str) -> Any:
        """The value of a command, or the output of a line."""
        outcome = await self(line)
        if isinstance(outcome, LineAnswer):
            assert outcome.ok, outcome.last.error
            return outcome.last.output
        assert isinstance(outcome, CommandOutput), outcome
        return outcome.value if outcome.answer is None else outcome.answer.last.output

    async def text(self, line: str) -> str:
        outcome = await self(line)
        assert isinstance(outcome, CommandOutput), outcome
        return outcome.text

    async def error(self, line: str) -> str:
        outcome = await self(line)
        assert isinstance(outcome, LineFailure), outcome
        return str(outcome.error)

    async def seen(self, line: str) -> str:
        """What stands on the screen for a line."""
        shown: list[str] = []
        Renderer(shown.append, shown.append, colour=False).outcome(line, await self(line))
        return "".join(shown)

    async def json(self, line: str) -> dict[str, Any]:
        """What a line comes to with --json."""
        return outcome_value(await self(line))

    async def heard(self, part: str) -> str:
        """Wait until the feed says something; all that it has said since the last call."""
        said = self.front.said
        await until(lambda: any(part in text for text in said), f"{part!r} was not said")
        whole, said[:] = "\n".join(said), []
        return whole


Body: TypeAlias = Callable[[Typing], Awaitable[None]]
Use: TypeAlias = Callable[[Body], None]


async def typed(
    folder: Path, wallet: Wallet, body: Body, *, asks: bool = True, record: Recorder | None = None
) -> None:
    """Open a node and a session with the process "desk", and let `body` type."""
    node = await LocalNode.open(folder / "state", supervisor=SHARED)
    known: asyncio.Future[Wallet] = asyncio.get_running_loop().create_future()
    known.set_result(wallet)
    front = Front(asks)
    session = Session(
        node, known, front, Patience.SETTLED, wallets=folder / "identities", record=record
    )
    await asyncio.sleep(0)
    await session.attach(await make(session, SpawnRequest("desk", "aos", sure=True)))
    try:
        await body(Typing(session, front))
    finally:
        await session.close()
        await node.close()
