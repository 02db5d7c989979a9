"""A prompt that is typed into: keys in, drawing to nowhere; what it prints is read."""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Awaitable, Callable

from eventually import SECONDS, turns, until
from prompt_toolkit.input import PipeInput
from prompt_toolkit.input.defaults import create_pipe_input
from prompt_toolkit.output import DummyOutput
from shell_fake import FakeNode

from aoshell.home.folders import Settings
from aoshell.nodes.base import Node
from aoshell.nodes.values import Limits
from aoshell.shell.ports.front import Patience
from aoshell.shell.prompt.app import Prompt
from aoshell.shell.prompt.config import Preferences
from aoshell.shell.start import Key, Start, close_session, open_session


class Output(DummyOutput):
    """Keeps what is printed above the prompt."""

    def __init__(self) -> None:
        self.text = ""

    def write_raw(self, data: str) -> None:
        self.text += data


class Keyboard:
    """Types, and waits for what it sees."""

    def __init__(self, keys: PipeInput, output: Output, app: Prompt) -> None:
        self.keys, self.output, self.app = keys, output, app
        self._seen = 0

    def type(self, text: str) -> None:
        self.keys.send_text(text)

    async def see(self, text: str) -> None:
        """Wait until `text` is printed, behind what was seen before."""
        end = time.monotonic() + SECONDS
        while (at := self.output.text.find(text, self._seen)) < 0:
            assert time.monotonic() < end, f"{text!r} not in {self.output.text[self._seen :]!r}"
            await asyncio.sleep(0.01)
        self._seen = at + len(text)

    async def taken(self) -> None:
        """Wait until the prompt has taken in what was typed."""
        await until(lambda: not select.select([self.keys.fileno()], [], [], 0)[0])
        await turns()

    async def composing(self) -> None:
        """Wait until something takes what is typed: `.editor`, or a question."""
        await until(lambda: self.app._entry._waiting is not None)

    async def helped(self) -> None:
        """Wait until what helps to type is loaded."""
        await until(lambda: self.app._helpers is not None)

    async def learned(self) -> None:
        """Wait until the names of the attached process were read."""
        await self.helped()
        await until(lambda: self.app._helpers._names.of(self.app._session).read)

    async def line(self, text: str) -> None:
        """Wait until the line that is typed is this."""
        await until(lambda: self.app._buffer.text == text, text)


Script = Callable[[Keyboard], Awaitable[None]]


def play(
    node: FakeNode | Callable[[Settings], Awaitable[Node]],
    home: Settings,
    script: Script,
    *first: str,
    start: asyncio.Event | None = None,
    preferences: Preferences | None = None,
    silent: tuple[str, ...] = (),
) -> str:
    """Run the prompt; `script` types. Returns what was printed.

    Args:
        node: or what opens one.
        start: the node is open when it is set; at once without it.
    """
    output = Output()

    async def opened(settings: Settings, __: Limits, ___: Key, ____: object) -> Node:
        if start is not None:
            await start.wait()
        return node if isinstance(node, FakeNode) else await node(settings)

    async def run() -> None:
        with create_pipe_input() as keys:
            app = Prompt(
                *("aos> ", home.history),
                first=first,
                silent=silent,
                preferences=preferences,
                input=keys,
                output=output,
            )
            opening = asyncio.create_task(open_session(Start(), home, opened, app, Patience.ANSWER))
            running = asyncio.create_task(app.run(opening))
            typing = asyncio.create_task(script(Keyboard(keys, output, app)))
            # The script ends by itself: each of its waits has a bound, and says what is missing.
            await asyncio.wait({running, typing}, return_when="FIRST_COMPLETED")
            if typing.done():
                await typing
            assert await asyncio.wait_for(running, SECONDS) == 0
            await typing
            await close_session(await opening)

    asyncio.run(run())
    return output.text
