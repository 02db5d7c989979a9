"""Says what the shell waits for while a line runs, for how long, and which lines wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aoshell.errors import AoError
from aoshell.shell.attached.feed import short_id
from aoshell.shell.attached.session import Session
from aoshell.shell.lines.multiline import is_command
from aoshell.shell.view.waiting import EVERY, SHOWN_AFTER, StageWatch
from aoshell.shell.view.waiting import line as stage_line

_LOOKS = 1.0  # seconds between two checks of what the process computes
_WHOLE = 1.0  # seconds after which no tenths are shown: each change draws the screen again


class BusyLine:
    """Tells what the shell waits for, from a moment after a line began until it ends.

    Args:
        show: gets the text whenever it may have changed; "" for nothing.
        waiting: the lines that wait, "" for none.
        begun: called once, when a line has run long enough to be shown.

    Attributes:
        shown: whether a line has run that long.
    """

    def __init__(
        self, show: Callable[[str], None], waiting: Callable[[], str], begun: Callable[[], None]
    ) -> None:
        self._show, self._waiting, self._begun = show, waiting, begun
        self._following: asyncio.Task[None] | None = None
        self.shown = False

    def begin(self, session: Session, line: str) -> None:
        """A line begins to run."""
        self._following = asyncio.create_task(self._follow(session, line))

    def end(self) -> None:
        """The line has ended."""
        if self._following:
            self._following.cancel()
            self._following, self.shown = None, False
            self._show("")

    async def _follow(self, session: Session, line: str) -> None:
        watch, since, doing = StageWatch(session.node), time.monotonic(), ""
        await asyncio.sleep(SHOWN_AFTER)
        self.shown = True
        self._begun()
        looked, before = 0.0, None
        while True:
            now = time.monotonic()
            if now - looked >= _LOOKS:
                looked, before = now, await slot_before(session)
            if stage := watch.look():
                text = stage_line(*stage)
            else:
                if doing not in ("", was := activity(session, line, before)):
                    since = now
                doing = was
                text = f"· {doing}  {_seconds(now - since)}"
            waiting = self._waiting()
            self._show(f"{text} · {waiting}" if waiting else text)
            await asyncio.sleep(EVERY)


async def slot_before(session: Session) -> int | None:
    """The slot that the process computes before the line's slot; None for none."""
    sent = session.computing
    if session.node.local is None or sent is None or sent.slot is None:
        return None
    try:
        computed = (await session.node.find(sent.process)).computed
    except AoError:
        return None
    return computed if computed < sent.slot else None


def activity(session: Session, line: str, before: int | None = None) -> str:
    """What a running line waits for.

    Args:
        before: from `slot_before`.
    """
    sent = session.sent
    if sent is None:
        if is_command(line):
            name = line.split()[0]  # `doing` may be about a command beside this line
            return session.doing if session.doing.startswith(f"{name} ") else name
        return "sending" if session.identities.ready else "the wallet is being made"
    attached = session.process
    mine = attached is not None and attached.id == sent.process
    name = attached.name if attached and mine else ""
    message = "the message" if sent.slot is None else f"slot {sent.slot}"
    where = f"{message} of {name or short_id(sent.process)}"
    if session.suspended:
        return f"{where} waits for a message"
    if session.remote:  # what the node does with it is not known
        return f"waiting for {where}"
    return f"{where} is computed" if before is None else f"{where} waits for slot {before}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < _WHOLE else f"{int(seconds)} s"
