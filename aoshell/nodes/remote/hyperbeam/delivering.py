"""Makes a HyperBEAM node deliver what slots send, and finds out what became of the messages.

A node delivers on request (`push`), and goes on with what the messages cause until nothing is left.
Measured on nodes of September and November 2025: a second push delivers everything again; if the
client stops waiting for the answer, the node stops delivering. So there is one push, and this code
waits for its answer. If it fails, the logs of the targets show what has arrived, and only if
nothing has is the push repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.remote.http.client import BUSY, Client, ConnectionLostError
from aoshell.nodes.remote.http.progress import Waiting, hide_progress
from aoshell.nodes.remote.hyperbeam.binding import PROCESS, SLOT, Asked
from aoshell.nodes.remote.hyperbeam.fates import Fate, FateState, fates, short, title
from aoshell.nodes.remote.hyperbeam.looking import Looking, ProcessSlot
from aoshell.nodes.remote.hyperbeam.owed import Owed
from aoshell.nodes.remote.hyperbeam.reading import UNASKED, StuckError
from aoshell.nodes.remote.hyperbeam.refusal import is_momentary
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.values import LogEntry
from aoshell.protocol.message import Outgoing, Result

PUSH = 120.0  # seconds that one push may take, as nodes go on with what the messages cause
DELIVERY = 180.0  # seconds for everything that one message causes, reading logs included
AGAIN = (0.2, 0.5, 1.0, 2.0)  # seconds before each retry of a push of which nothing arrived
SHOWING = 30.0  # seconds for the feed to reach the end of the logs that it follows
ENDING = 10.0  # seconds that the end of a session waits for deliveries
WALKED = 50  # the most slots caused by one message that are read and shown

# Nodes of November 2025 fail to store an answer in which a message has resulted in messages, unless
# it has the whole result. The type `integer` is needed, as the node subtracts from the depth.
_WHOLE = "&result-depth+integer=1000"
_NO_SPAWN = (
    "slot {} asks for a new process, and gets none: HyperBEAM nodes make no process for a process;"
    " .spawn MODULE makes one, which your wallet signs"
)
_LEFT_OUT = "the node left it out"


@dataclass
class Chain:
    """The slots that one message caused.

    Attributes:
        root: id of that message.
        process: where it was sent.
        walked: the slots that were read.
        whole: whether these are all, as far as is known.
        owed: whether its messages are not delivered, and the user does not know it.
    """

    root: str
    process: str
    walked: set[ProcessSlot] = field(default_factory=set)
    whole: bool = True
    owed: bool = False


class PushError(AoError):
    """A push failed.

    Attributes:
        momentary: whether the node only lacked a part of its state for a moment.
        end: what the node does now.
    """

    def __init__(self, what: str, end: End, *, momentary: bool = False) -> None:
        super().__init__(what, stage="push")
        self.end = end
        self.momentary = momentary


class End(Enum):
    """What a node does after a push."""

    DONE = auto()  # nothing: everything that can be delivered is
    FAILED = auto()  # nothing: it failed in between
    OPEN = auto()  # it may go on: the answer was not the node's own


class Delivering(Looking):
    """The part of the node that delivers messages.

    Args:
        client, book: as in `Reading`.
        waiting: holds the current stage, for the user.
    """

    def __init__(self, client: Client, book: Book, waiting: Waiting) -> None:
        Looking.__init__(self, client, book)
        self._waiting = waiting
        self._deliveries: dict[str, tuple[int, asyncio.Task[None]]] = {}
        self._owed = Owed(book, self.endpoint)

    async def settled(self, root: str) -> None:
        slot, task = self._deliveries.get(root, (0, None))
        if task is None:
            return
        async with self._waiting.during("push", self.endpoint) as note:
            note(f"messages of slot {slot}")
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                task.cancel()
                raise

    async def finish(self) -> str:
        left = list(self._deliveries.values())
        if not left:
            return ""
        self._computed.leave()  # deliver now, also messages whose results were never requested
        async with self._waiting.during("push", self.endpoint) as note:
            note("messages of this session")
            try:
                await asyncio.wait([task for _, task in left], timeout=ENDING)
            finally:
                slots = sorted(slot for slot, task in left if not task.done())
                for _, task in left:
                    task.cancel()
        if not slots:
            return ""
        listed = ", ".join(map(str, slots))
        which = f"slots {listed}" if len(slots) > 1 else f"slot {listed}"
        return (
            f"the messages of {which} are not delivered after {ENDING:g} s, and the wait ends; the"
            " node then stops delivering, so some may not arrive; .deliver SLOT finds out, and has"
            " the node deliver them"
        )

    def _deliver(
        self, process: str, slot: int, root: str, fields: Mapping[str, object] | None = None
    ) -> None:
        """Start to have the node deliver what a message sends, in the background.

        Args:
            fields: the answer to a push that came already, None to push.
        """
        place, chain = ProcessSlot(process, slot), Chain(root, process)
        work = self._pushed(place, chain) if fields is None else self._carried(place, fields, chain)
        task = asyncio.create_task(self._bounded(slot, work, chain))
        self._deliveries[root] = slot, task
        task.add_done_callback(lambda _: self._ended(root))

    def _ended(self, root: str) -> None:
        self._deliveries.pop(root, None)
        self._owed.give_up(root)  # does nothing if it was delivered

    async def _bounded(self, slot: int, work: Awaitable[None], chain: Chain) -> None:
        hide_progress()
        try:
            async with asyncio.timeout(DELIVERY):
                await work
        except TimeoutError:
            self._unknown(slot, f"it took more than {DELIVERY:g} s", chain)
        except AoError as error:
            self._unknown(slot, error.what, chain)
        if not chain.owed:
            self._owed.end(chain.root)
        if not chain.whole:
            await self._fed()

    def _unknown(self, slot: int, why: str, chain: Chain) -> None:
        chain.whole = False
        self._notice(f"slot {slot}: it is not known what became of its messages: {why}")

    async def _fed(self, *processes: str) -> None:
        """Wait until the feed has shown the logs of these processes, or of all, to their ends."""
        with suppress(TimeoutError):  # others may send messages without end
            async with asyncio.timeout(SHOWING):
                await self._feed.caught_up(*processes)

    async def _pushed(self, place: ProcessSlot, chain: Chain) -> None:
        await self._computed.begun(place.process, place.slot, UNASKED)
        answer = await self._computed.answer(place.process, place.slot)
        if isinstance(answer, AoError):  # the request's caller reports it
            chain.owed = not isinstance(answer, StuckError)
            return
        result = answer or await self._result(place.process, place.slot)
        if any(one.spawn and not one.target for one in result.messages):
            self._notice(_NO_SPAWN.format(place.slot))
        # A message without a target is for devices of the process itself, such as `patch@1.0`.
        if result.assignments or targeted(result):
            await self._push(place, targeted(result), chain)

    async def _carried(
        self, place: ProcessSlot, fields: Mapping[str, object], chain: Chain
    ) -> None:
        await self._follow(place, await self._fates_of(place, fields), chain)

    # Pushing ------------------------------------------------------------------------------------

    async def _push(self, place: ProcessSlot, sent: Sequence[Outgoing], chain: Chain) -> None:
        """Have the node deliver what a slot sends, and find out what became of it.

        The push is repeated only after a momentary failure, if nothing has arrived: otherwise some
        messages would arrive twice.
        """
        for pause in (*AGAIN, None):
            try:
                fields = await self._asked_to_push(place)
            except PushError as error:
                found = await self._looked_for(place, sent, error.what)
                if pause is None or not error.momentary or not _is_safe(found):
                    if error.end is End.OPEN:
                        self._unknown(place.slot, error.what, chain)
                    await self._follow(place, found, chain, error.end)
                    return
                await asyncio.sleep(pause)
            else:
                await self._follow(place, await self._fates_of(place, fields), chain)
                return

    async def _asked_to_push(self, place: ProcessSlot) -> Mapping[str, Any]:
        """Push, and return the node's answer, which comes after delivery. Raises PushError."""
        path = f"/{place.process}~process@1.0/push&slot={place.slot}"
        if (await self._generation()).json:
            path += _WHOLE
        name = f"{place.process} push {place.slot}"
        asked = Asked(name, {PROCESS: place.process, SLOT: place.slot})
        await self._ready()
        headers = (await self._accepted()).items()
        try:
            answer = await self._client.ask("push", "POST", path, headers=headers, seconds=PUSH)
        except ConnectionLostError as error:
            raise PushError(error.what, End.OPEN) from error
        if not answer.ok:
            what = self._trust.failure(answer, "push", "does not deliver it", asked)
            end = End.OPEN if answer.status in BUSY else End.FAILED
            raise PushError(what, end, momentary=is_momentary(answer))
        return self._fields(answer, "push", asked, whole=True)

    # What became of it --------------------------------------------------------------------------

    async def _fates_of(self, place: ProcessSlot, fields: Mapping[str, object]) -> list[Fate]:
        """The fates in an answer to a push; those that it leaves open, from the targets' logs."""
        found = fates(fields)
        doubtful = [one.sent for one in found if one.state is FateState.UNKNOWN]
        looked = iter(await self._looked_for(place, doubtful, _LEFT_OUT) if doubtful else ())
        return [
            _because(next(looked), one.reason) if one.state is FateState.UNKNOWN else one
            for one in found
        ]

    async def _follow(
        self, place: ProcessSlot, found: Sequence[Fate], chain: Chain, end: End = End.DONE
    ) -> None:
        """Report messages that did not arrive, and show what the others caused."""
        for fate in found:
            if fate.state is not FateState.ARRIVED:
                if end is not End.OPEN or fate.state is FateState.NOWHERE:
                    self._tell(place, fate, chain)
                continue
            there = ProcessSlot(fate.sent.target, fate.slot)
            if there in chain.walked:
                continue
            if len(chain.walked) >= WALKED:
                chain.whole = False
                continue
            chain.walked.add(there)
            result = await self._shown(there, chain.root)
            if fate.then is not None:
                await self._follow(there, await self._fates_of(there, fate.then), chain)
            elif result and (sent := targeted(result)):
                await self._resumed(there, sent, chain, end)

    async def _resumed(
        self, place: ProcessSlot, sent: Sequence[Outgoing], chain: Chain, end: End
    ) -> None:
        """Find out what became of a slot's messages that the node's answer leaves out.

        If the node failed, and none of them has arrived, push that slot.
        """
        found = await self._looked_for(place, sent, _LEFT_OUT)
        lost = any(one.state is FateState.LOST for one in found)
        if end is End.FAILED and lost and _is_safe(found):
            await self._push(place, sent, chain)
        else:
            await self._follow(place, found, chain, end)

    async def _shown(self, place: ProcessSlot, root: str) -> Result | None:
        """Show the result of a slot that message `root` caused; None if it is not known."""
        try:
            result = await self._result_once(place.process, place.slot)
            if self._feed.follows(place.process):
                self._tails.name(place.process, place.slot)
                await self._fed(place.process)
            else:
                for message in await self.schedule(place.process, place.slot, place.slot):
                    self._feed.tell_result(place.process, LogEntry(message, result), root)
        except AoError as error:
            whose = f"slot {place.slot} of {short(place.process)}"
            self._notice(f"the result of {whose} is not known: {error.what}")
            return None
        return result

    def _tell(self, place: ProcessSlot, fate: Fate, chain: Chain) -> None:
        """Report a message that did not arrive, unless its target is a wallet, which has no log."""
        if fate.sent.target in self._wallets:
            return
        state = "not delivered"
        if fate.state is FateState.UNKNOWN:
            state = "it is not known whether it arrived"
        of = "" if place.process == chain.process else f" of {short(place.process)}"
        what = f"slot {place.slot}{of}: {title(fate.sent)}: {state}: {fate.reason}"
        self._notice(what, "undelivered")


def _because(fate: Fate, reason: str) -> Fate:
    """The fate, with the reason that the node gave, if it gave any."""
    return replace(fate, reason=reason or fate.reason)


def targeted(result: Result) -> list[Outgoing]:
    """The messages of a result that have a target."""
    return [one for one in result.messages if one.target]


def _is_safe(found: Iterable[Fate]) -> bool:
    """Whether a push may be repeated: it is certain that nothing of it has arrived."""
    return all(one.state in (FateState.LOST, FateState.NOWHERE) for one in found)
