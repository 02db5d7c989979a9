"""Follows the node's events: resumes lines that wait, and shows what else arrives.

The feed knows the ids of the lines that are waited for, so an answer is shown once. After the
result of such a line, the feed holds back all later events until the answer is on the screen
(`release()`): consequences are shown after their cause.

A node reports the slots of a process in order. A result that it reports twice is shown once.
Between events the keyboard gets its turn, and the screen changes at most every _PACE seconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from typing import NamedTuple

from aoshell.errors import AoError
from aoshell.nodes.base import Node
from aoshell.nodes.values import Event
from aoshell.protocol.message import Message, Result
from aoshell.shell.attached.sources import Sources
from aoshell.shell.view.errors_view import failure_text
from aoshell.shell.view.text import clean_line, width_of

_PACE = 0.03  # seconds between two changes of the screen, at least
_TURN = 0.008  # seconds of events before the keyboard gets its turn
_MISSED = 1000  # newest notes that are kept while the feed pauses
_SEEN = 4096  # newest results that are known, to show none twice


class Line:
    """A line that is waited for; `resumed` gets the result that ends the wait."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.own: tuple[str, Message, Result] | None = None  # its own result, once it came
        self.resumed: asyncio.Future[Result] = asyncio.get_running_loop().create_future()


class Where(NamedTuple):
    """A filter of messages: those with all of these tags. In values `*` stands for anything.

    `From`, `Owner` and `Id` are fields of the message, unless a tag has that name.
    """

    pairs: tuple[tuple[str, str], ...]

    def __call__(self, message: Message) -> bool:
        return all(self._has(message, name.lower(), value) for name, value in self.pairs)

    def __str__(self) -> str:
        return ", ".join(f"{name} = {value}" for name, value in self.pairs)

    @staticmethod
    def _has(message: Message, name: str, pattern: str) -> bool:
        values = [tag.value for tag in message.tags if tag.name.lower() == name]
        own = {"from": message.from_, "owner": message.owner, "id": message.id}
        if not values and name in own:
            values = [own[name]]
        return any(fnmatchcase(value, pattern) for value in values)


class FeedView:
    """Follows one subscription.

    Args:
        show: takes untrusted text of one or more lines.
        name_of: gives the name of a process or identity by its id, "" where none is known.

    Attributes:
        arrived: process and slot of the last result that was shown since a line was sent, and was
            not caused by a line; None for none.
        where: which messages are shown, even if they printed nothing; None for all that printed
            something or failed.
    """

    def __init__(
        self,
        node: Node,
        show: Callable[[str], None],
        name_of: Callable[[str], Awaitable[str]],
    ) -> None:
        self._node = node
        self._show = show
        self._name_of = name_of
        self._lines: dict[str, Line] = {}
        self._answered: set[str] = set()
        self._roots: set[str] = set()
        self._names: dict[str, str] = {}
        self._seen: dict[tuple[str, str, int], None] = {}
        self._ready: list[str] = []
        self._missed: deque[str] | None = None
        self._missing = 0
        self._holding = self._behind = False
        self._shown = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.where: Where | None = None
        self.arrived: tuple[str, int] | None = None
        self.attached = ""
        self.prompt = ""
        self.texts = Sources(node)

    async def follow(self) -> None:
        """Run until cancelled or the node closes."""
        events = self._node.subscribe()
        loop = asyncio.get_running_loop()
        since = loop.time()
        try:
            async for event in events:
                await self._take(event)
                if loop.time() - since > _TURN:
                    self._behind = True
                    await asyncio.sleep(0)
                    self._behind, since = False, loop.time()
        except AoError as error:
            self._show_soon(f"what arrives is not shown any more: {error}")
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    async def caught_up(self) -> None:
        """Wait until all events that the node has reported so far are read."""
        for _ in range(8):
            await asyncio.sleep(0)
        while self._behind:
            await asyncio.sleep(0)

    # Lines ----------------------------------------------------------------------------------------

    def expect(self, message: str) -> Line:
        """Wait for the line that sends this message."""
        self._roots.add(message)
        self.arrived = None
        self._names = {id: name for id, name in self._names.items() if name}
        return self._lines.setdefault(message, Line(message))

    def concern(self, message: str) -> None:
        """Show what a message causes, in other processes, too."""
        self._roots.add(message)

    def forget(self, line: Line, *, answered: bool) -> None:
        """Stop waiting for a line. If it was not answered, the feed shows its result later."""
        self._lines.pop(line.message, None)
        if answered and line.own is None:
            self._answered.add(line.message)
        elif line.own and not answered:
            process, message, result = line.own
            name, sender = self._known(process), self._known(message.from_)
            self._show_result(process, name, sender, message, result)
        line.resumed.cancel()

    @contextmanager
    def shown_by(self, message: str) -> Iterator[None]:
        """Within the block the caller shows this line's result, so the feed does not."""
        if not message:
            yield
            return
        self._answered.add(message)
        try:
            yield
        except BaseException:
            self._answered.discard(message)
            raise

    def attach(self, process: str, name: str) -> None:
        """Set the process whose output is shown without its name."""
        self.attached = process
        self._names[process] = name

    def renamed(self, process: str, name: str) -> None:
        """Use another name for a process from now on."""
        self._names[process] = name

    # What is shown, and when ----------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        return self._missed is not None

    def pause(self) -> None:
        """Show nothing; the newest notes are kept."""
        if self._missed is None:
            self._missed, self._missing = deque(maxlen=_MISSED), 0

    def resume(self) -> int:
        """Show the kept notes and go on. Returns how many notes came during the pause."""
        missed, self._missed = self._missed, None
        if not missed:
            return 0
        lost = self._missing - len(missed)
        self._ready += [f"{lost} older notes are not shown: .messages"] if lost else []
        self._ready += missed
        return self._missing

    def release(self) -> None:
        """The answer is on the screen: show what was held back."""
        self._holding = False
        self.flush()

    def flush(self) -> None:
        """Show now what is ready."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        ready, self._ready = self._ready, []
        if ready:
            self._shown = asyncio.get_running_loop().time()
            self._show("\n".join(text.removesuffix("\n") for text in ready))

    def _show_soon(self, text: str) -> None:
        if self._missed is not None:
            self._missed.append(text)
            self._missing += 1
            return
        self._ready.append(text)
        if self._holding or self._timer:
            return
        loop = asyncio.get_running_loop()
        if (left := self._shown + _PACE - loop.time()) <= 0:
            self.flush()
        else:
            self._timer = loop.call_later(left, self.due)

    def due(self) -> None:
        """Show now what is ready, unless it is held back for an answer."""
        self._timer = None
        if not self._holding:
            self.flush()

    # Events ---------------------------------------------------------------------------------------

    async def _take(self, event: Event) -> None:
        if event.kind != "result":
            elsewhere = event.by and event.process != self.attached
            if event.kind != "spawned" and event.detail and not elsewhere:
                self._show_soon(event.detail)
            return
        if event.quiet and event.process != self.attached and not self.where:
            return  # nothing to show, and no line of ours
        entry = event.entry
        if entry is None or entry.result is None:
            return
        message, result = entry.message, entry.result
        if self._is_known(event.process, message, result):
            return
        if event.process == self.attached and result.prompt:
            self.prompt = result.prompt
        if not self._answers_a_line(event.process, message, result) and self._concerns(event):
            name = "" if event.process == self.attached else await self._name(event.process)
            if not result.ok:
                await self.texts.wanted(event.process, result.error)
            sender = await self._name(message.from_) if self.where else ""
            self._show_result(event.process, name, sender, message, result)
            if event.root not in self._roots and (result.output.strip() or not result.ok):
                self.arrived = event.process, result.slot

    def _is_known(self, process: str, message: Message, result: Result) -> bool:
        """Whether this result has passed already. A cron message has no id, so its time counts."""
        at = message.assignment.timestamp if message.assignment else 0
        key = (process, message.id or f"{result.slot}+{result.tick}", 0 if message.id else at)
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > _SEEN:
            del self._seen[next(iter(self._seen))]
        return False

    def _answers_a_line(self, process: str, message: Message, result: Result) -> bool:
        if message.id in self._answered:
            self._answered.remove(message.id)
            return True
        answered = [self._lines[id] for id in result.resumed if id in self._lines]
        for line in answered:
            if not line.resumed.done():
                line.resumed.set_result(result)
        if own := self._lines.get(message.id):
            own.own = process, message, result
            answered.append(own)
        if answered and not self._holding:
            self.flush()
            self._holding = True
        return bool(answered)

    def _concerns(self, event: Event) -> bool:
        return event.process == self.attached or event.root in self._roots

    def _show_result(
        self, process: str, name: str, sender: str, message: Message, result: Result
    ) -> None:
        """Show a result; the answer to a line that was given up names its slot."""
        parts = [result.output] if result.output.strip() else []
        if not result.ok:
            parts.append(
                f"slot {result.slot} failed: {failure_text(result, self.texts.of(process))}"
            )
        if self.where:
            if not self.where(message):
                return
            what = message.tag("Action") or message.tag("Type") or "a message"
            parts.insert(0, f"{what} from {sender}")
        if not parts:
            return
        lines = "\n".join(parts)
        late = message.tag("Action") == "Eval" or bool(result.resumed)
        if process != self.attached:
            lines = _under(name, lines)
        elif self.where or (late and result.ok):
            lines = _under(f"slot {result.slot}", lines)
        self._show_soon(lines)

    async def _name(self, id: str) -> str:
        if id not in self._names:
            with suppress(AoError):
                self._names[id] = await self._name_of(id)
        return self._known(id)

    def _known(self, id: str) -> str:
        return named_id(id, self._names.get(id, ""))


def _under(name: str, lines: str) -> str:
    """Lines, with a name before the first one."""
    first, *others = lines.rstrip("\n").split("\n")
    blank = " " * width_of(clean_line(name))
    return "\n".join([f"{name} │ {first}", *(f"{blank} │ {line}" for line in others)])


def named_id(id: str, name: str = "") -> str:
    """An id for people: `name (0syT1234…)` if a name is known."""
    return f"{name} ({short_id(id)})" if name and name != id else short_id(id)


def short_id(id: str) -> str:
    """The beginning of an id, which is enough to find the process."""
    return id if len(id) <= 12 else f"{id[:8]}…"
