"""Runs a session on a node in memory, for tests of what the shell does with lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from shell_fake import FakeNode

from aoshell.errors import AoError
from aoshell.home.folders import Settings
from aoshell.nodes.base import Node
from aoshell.nodes.values import Limits
from aoshell.protocol.message import Result
from aoshell.shell.attached.session import Session
from aoshell.shell.lines.batch import run_batch
from aoshell.shell.outcome import CommandOutput, LineAnswer, LineFailure, Outcome
from aoshell.shell.ports.front import Patience
from aoshell.shell.start import Key, Start, close_session, open_session
from aoshell.shell.view.render import Renderer


class Screen:
    """A front that keeps what it is shown."""

    def __init__(self, sure: bool = False, asks: bool = True) -> None:
        self.asks = asks
        self.said: list[str] = []
        self.partials: list[str] = []
        self.sure = sure

    def opened(self, node: Node) -> None:
        pass

    def partial(self, result: Result) -> None:
        self.partials.append(result.output)

    def feed(self, text: str) -> None:
        self.said.append(text)

    def note(self, text: str) -> None:
        self.said.append(text)

    async def confirm(self, question: str) -> bool:
        self.said.append(question)
        return self.sure


Use = Callable[[Session, Screen], Awaitable[None]]


def use(
    node: FakeNode,
    home: Settings,
    body: Use,
    start: Start | None = None,
    patience: Patience = Patience.SETTLED,
    screen: Screen | None = None,
) -> None:
    """Run `body` on an open session."""

    async def run() -> None:
        async def opened(_: Settings, limits: Limits, __: Key, ___: object) -> FakeNode:
            node.limits = limits
            return node

        shown = screen or Screen()
        session = await open_session(start or Start(), home, opened, shown, patience)
        try:
            await asyncio.wait_for(body(session, shown), 60)
        finally:
            await close_session(session)
        assert node.closed

    asyncio.run(run())


def failed(outcome: Outcome) -> AoError:
    assert isinstance(outcome, LineFailure), outcome
    return outcome.error


def replied(outcome: Outcome) -> CommandOutput:
    assert isinstance(outcome, CommandOutput), outcome
    return outcome


def answered(outcome: Outcome) -> LineAnswer:
    assert isinstance(outcome, LineAnswer), outcome
    return outcome


def printed(outcome: Outcome) -> str:
    shown: list[str] = []
    Renderer(shown.append, shown.append, colour=False).outcome("", outcome)
    return "".join(shown)


async def nothing(_: Session, __: Screen) -> None:
    pass


def run_pipe(
    node: FakeNode, home: Settings, start: Start, lines: list[str]
) -> tuple[str, str, int]:
    """What lines without a terminal print on stdout and stderr, and the exit code."""
    out: list[str] = []
    err: list[str] = []

    async def opened(_: Settings, __: Limits, ___: Key, ____: object) -> FakeNode:
        return node

    renderer = Renderer(out.append, err.append, colour=False)
    running = run_batch(
        *(start, home, opened, renderer, lines), reading=None, patience=Patience.SETTLED
    )
    code = asyncio.run(asyncio.wait_for(running, 60))
    return "".join(out), "".join(err), code
