"""The node's events: what ends the wait of a suspended line, and what is told besides.

A line's own answer never comes through here twice: the feed knows the ids of the lines that are
waited for. From the moment an own result passes by until its answer is shown (`release()`), the
feed holds back what follows, so that consequences are told after their cause.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping

from aoshell.errors import AoError
from aoshell.nodes.base import Event, Node
from aoshell.protocol.message import Result
from aoshell.shell.render import failure_text


class Line:
    """A line that is waited for: `resumed` becomes the result that ended its handling."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.seen = False
        self.resumed: asyncio.Future[Result] = asyncio.get_running_loop().create_future()


class Feed:
    """Follows one subscription.

    Args:
        show: takes text, untrusted, of one or more lines.
    """

    def __init__(self, node: Node, show: Callable[[str], None]) -> None:
        self._node = node
        self._show = show
        self._lines: dict[str, Line] = {}
        self._answered: set[str] = set()
        self._roots: set[str] = set()
        self._names: dict[str, str] = {}
        self._held: list[str] | None = None
        self.attached = ""
        self.prompt = ""
        self.sources: Mapping[str, str] = {}

    async def follow(self) -> None:
        """Run until cancelled or the node closes."""
        events = self._node.subscribe()
        try:
            async for event in events:
                await self._take(event)
        except AoError as error:
            self._tell(f"what arrives is not shown any more: {error}")
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    def expect(self, message: str) -> Line:
        """From now on the line that sends this message is waited for."""
        self._roots.add(message)
        return self._lines.setdefault(message, Line(message))

    def forget(self, line: Line, *, answered: bool) -> None:
        """Nobody waits any more. Without an answer, a result that comes later is told."""
        self._lines.pop(line.message, None)
        if answered and not line.seen:
            self._answered.add(line.message)
        line.resumed.cancel()

    def release(self) -> None:
        """The answer is on the screen: tell what was held back."""
        held, self._held = self._held, None
        for said in held or ():
            self._show(said)

    def attach(self, process: str, name: str) -> None:
        """The process whose output is told without its name."""
        self.attached = process
        self._names[process] = name

    async def _take(self, event: Event) -> None:
        if event.kind != "result":
            if event.kind != "spawned" and event.detail:
                self._tell(event.detail)
            return
        if event.quiet and event.process != self.attached:
            return  # nothing to tell, and no line of ours
        entry = event.entry
        if entry is None or entry.result is None:
            return
        message, result = entry.message, entry.result
        if event.process == self.attached and result.prompt:
            self.prompt = result.prompt
        if not self._answers_a_line(message.id, result) and self._concerns(event):
            late = message.tag("Action") == "Eval" or bool(result.resumed)
            await self._tell_result(event.process, result, late=late)

    def _answers_a_line(self, message: str, result: Result) -> bool:
        if message in self._answered:
            self._answered.remove(message)
            return True
        answered = [self._lines[id] for id in result.resumed if id in self._lines]
        for line in answered:
            if not line.resumed.done():
                line.resumed.set_result(result)
        if own := self._lines.get(message):
            own.seen = True
            answered.append(own)
        if answered and self._held is None:
            self._held = []
        return bool(answered)

    def _concerns(self, event: Event) -> bool:
        return event.process == self.attached or event.root in self._roots

    async def _tell_result(self, process: str, result: Result, *, late: bool) -> None:
        """Tell a result; the answer to a line that nobody waits for any more says which one."""
        said = [result.output] if result.output.strip() else []
        if not result.ok:
            said.append(f"slot {result.slot} failed: {failure_text(result, self.sources)}")
        if not said:
            return
        lines = "\n".join(said)
        if process != self.attached:
            name = await self._name(process)
            lines = _under(name, lines)
        elif late and result.ok:
            lines = _under(f"slot {result.slot}", lines)
        self._tell(lines)

    def _tell(self, said: str) -> None:
        if self._held is None:
            self._show(said)
        else:
            self._held.append(said)

    async def _name(self, process: str) -> str:
        if process not in self._names:
            try:
                info = await self._node.find(process)
                self._names[process] = info.name or short(process)
            except AoError:
                self._names[process] = short(process)
        return self._names[process]


def _under(name: str, lines: str) -> str:
    return "\n".join(f"{name} │ {line}" for line in lines.rstrip("\n").split("\n"))


def short(id: str) -> str:
    """An id as people read it; its beginning finds the process again."""
    return id if len(id) <= 12 else f"{id[:8]}…"
