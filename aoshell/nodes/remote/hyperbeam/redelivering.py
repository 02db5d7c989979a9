"""Reports messages that earlier shells left undelivered, and has a node deliver those of a slot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aoshell.errors import AoError
from aoshell.nodes.remote.feed import FeedStep
from aoshell.nodes.remote.hyperbeam.delivering import Delivering, targeted
from aoshell.nodes.remote.hyperbeam.fates import Fate, FateState, title
from aoshell.nodes.remote.hyperbeam.looking import ProcessSlot
from aoshell.nodes.remote.hyperbeam.owed import NOWHERE
from aoshell.protocol.message import Message, Result

LISTED = 3  # messages that a notice names
LOOK = 20.0  # seconds for finding out what became of one message of an earlier shell
_UNSENT = "the message {}, which was interrupted while it was sent, is not in the log"
_STATES = {
    FateState.ARRIVED: "it has arrived already",
    FateState.UNKNOWN: "it is not known whether it arrived",
}
_DOUBT = "slot {0}: it is not known whether its messages arrived: {1}; .deliver {0} looks again"


class Redelivering(Delivering):
    """The part of the node that completes interrupted deliveries."""

    async def result(self, process: str, place: int | str) -> Result:
        result = await super().result(process, place)
        await self._tell_what_is_left(process, place)
        return result

    async def _page(self, process: str, after: int | None) -> Sequence[FeedStep]:
        steps = await super()._page(process, after)
        for message in self._owed.left(process) if steps else ():
            if any(one.entry and one.entry.message.id == message for one in steps):
                await self._tell_what_is_left(process, message)
        return steps

    async def deliver(self, process: str, slot: int, *, again: bool = False) -> int:
        result = await self._result_once(process, slot)
        if not (result.assignments or targeted(result)):
            return 0
        (message,) = await self.schedule(process, slot, slot)
        if message.id not in self._deliveries:
            found = await self._whereabouts(ProcessSlot(process, slot), result, message)
            here = [one for one in found if one.state in (FateState.ARRIVED, FateState.UNKNOWN)]
            if here and not again:
                raise AoError(
                    f"slot {slot}: {_listed(here)}: {_STATES[here[0].state]}",
                    stage="push",
                    hint="--again has the node deliver all that the slot sends, once more",
                )
            self._owed.begin(process, message.id)
            self._owed.place(process, message.id, slot)
            self._deliver(process, slot, message.id)
        await self.settled(message.id)
        return len(targeted(result))

    async def _tell_what_is_left(self, process: str, place: int | str | None = None) -> None:
        """Report messages of earlier shells, or of interrupted lines, that are not delivered.

        Args:
            place: check only the message with this id, or in this slot; None for all.
        """
        for message, slot in self._owed.left(process).items():
            if place not in (None, message, slot) or not self._owed.take(message):
                continue
            try:
                if notice := await self._left_of(process, message, slot):
                    self._notice(notice, "undelivered")
                self._owed.end(message)
            finally:
                self._owed.give_up(message)

    async def _left_of(self, process: str, message: str, slot: int) -> str:
        """A notice about a message whose delivery was interrupted; "" if none is needed."""
        try:
            async with asyncio.timeout(LOOK):
                return await self._seen_of(process, message, slot)
        except TimeoutError:
            why = f"it took more than {LOOK:g} s"
        except AoError as error:
            why = error.what
        if slot == NOWHERE:
            again = f".result {message} looks again"
            return f"it is not known whether {message} arrived: {why}; {again}"
        return _DOUBT.format(slot, why)

    async def _seen_of(self, process: str, message: str, slot: int) -> str:
        """As `_left_of`, from the node's answers. Raises AoError."""
        if slot == NOWHERE:
            found = await self._slot_of(process, message, 0)
            if found is None:
                return _UNSENT.format(message)
            slot = found
        result = await self._result_once(process, slot)
        whereabouts = await self._whereabouts(ProcessSlot(process, slot), result)
        by_state = {
            state: [one for one in whereabouts if one.state is state] for state in FateState
        }
        for doubtful in by_state[FateState.UNKNOWN][:1]:
            return _DOUBT.format(slot, doubtful.reason)
        lost, nowhere = by_state[FateState.LOST], by_state[FateState.NOWHERE]
        if lost:
            rest = "tells more" if by_state[FateState.ARRIVED] else "has the node deliver it"
            return (
                f"slot {slot}: {_listed(lost)}: not delivered, as nobody waited for it;"
                f" .deliver {slot} {rest}"
            )
        if nowhere:
            return f"slot {slot}: {_listed(nowhere)}: not delivered: {nowhere[0].reason}"
        return ""

    async def _whereabouts(
        self, place: ProcessSlot, result: Result, message: Message | None = None
    ) -> Sequence[Fate]:
        """The fates of a slot's messages, except those to wallets known here.

        Args:
            message: the message of that slot, if it was fetched already.
        """
        sent = [one for one in targeted(result) if one.target not in self._wallets]
        if not sent:
            return ()
        if message is None:
            (message,) = await self.schedule(place.process, place.slot, place.slot)
        since = message.assignment.timestamp if message.assignment else 0
        return await self._looked_for(place, sent, "it is not there", since)


def _listed(found: Sequence[Fate]) -> str:
    """The actions and targets of messages, for users."""
    named = ", ".join(title(one.sent) for one in found[:LISTED])
    more = len(found) - LISTED
    return f"{named} and {more} more" if more > 0 else named
