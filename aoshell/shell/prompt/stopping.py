"""Stops computing, for Ctrl-C on an empty line."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aoshell.nodes.values import Receipt
from aoshell.shell.attached.feed import short_id
from aoshell.shell.attached.session import Session

ENDING = 1.0  # seconds that a stopped line gets to end, before the user hears what is before it

STOPPED = "Stopped."


class Stopper:
    """Stops lines that were given up, then what they wait for, then the background task."""

    def __init__(self) -> None:
        self._lines: Sequence[Receipt] = ()  # that were stopped last
        self._before: Receipt | None = None  # the message that is offered to be stopped

    async def stop(self, session: Session) -> str:
        """Stop what can be stopped.

        Returns:
            The sentence for the user; "" if nothing runs.

        Raises:
            AoError: the node cannot be asked.
        """
        stopped = await self._stop_before(session)
        if lines := await session.stop_lines():
            self._lines, stopped = lines, True
        if not stopped:
            return STOPPED if await session.end_watch() else ""
        return await self._sentence(session)

    async def _stop_before(self, session: Session) -> bool:
        before, self._before = self._before, None
        local = session.node.local
        if before is None or before.slot is None or local is None:
            return False
        # By now `.undo` may have given its slot to another message.
        return await session.is_in_log(before) and await local.cancel(before.process, before.slot)

    async def _sentence(self, session: Session) -> str:
        """What is true of the stopped lines now."""
        line = await _unended(session, self._lines)
        if line is None:
            return STOPPED
        process = await session.node.find(line.process)
        name, slot = process.name or short_id(process.id), process.computed
        if slot in {one.slot for one in self._lines if one.process == line.process}:
            # Its worker starts, or computes a cron message.
            return f"Slot {line.slot} will not run. {name} still computes what is before it."
        for message in await session.node.schedule(line.process, slot, slot):
            self._before = Receipt(message.id, line.process, slot)
        return (
            f"Slot {line.slot} will not run. {name} still computes slot {slot}, which is before it:"
            " Ctrl-C again stops that, too."
        )


async def _unended(session: Session, lines: Sequence[Receipt]) -> Receipt | None:
    """The first of some stopped lines that has no result yet; None if all have ended."""
    results = [asyncio.ensure_future(session.node.result(one.process, one.place)) for one in lines]
    try:
        await asyncio.wait(results, timeout=ENDING)
        return next(
            (one for one, done in zip(lines, results, strict=True) if not done.done()), None
        )
    finally:
        for each in results:
            each.cancel()  # one that failed is then not reported either
