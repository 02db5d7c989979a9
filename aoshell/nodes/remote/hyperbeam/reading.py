"""Reads processes of a HyperBEAM node: slots, schedules, results, state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from urllib.parse import quote

from aoshell.errors import AoError
from aoshell.nodes.remote import schedules
from aoshell.nodes.remote.feed import FeedStep
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.pages import is_number, turns
from aoshell.nodes.remote.hyperbeam import placed
from aoshell.nodes.remote.hyperbeam.asking import Asking, until_whole
from aoshell.nodes.remote.hyperbeam.binding import PROCESS, SLOT, Asked
from aoshell.nodes.remote.hyperbeam.computed import ComputedResults
from aoshell.nodes.remote.hyperbeam.key import BUNDLED
from aoshell.nodes.remote.hyperbeam.refusal import is_unfit_for_json
from aoshell.nodes.remote.hyperbeam.results import to_result
from aoshell.nodes.remote.hyperbeam.tails import Tails
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.values import LogEntry
from aoshell.protocol.httpsig import check_inside
from aoshell.protocol.message import Message, Result

COMPUTE = 300.0  # seconds that a result may take
EARLY = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds before each retry while the schedule lacks the slot
NO_SLOT = "-1"  # the newest slot of a process whose log is empty
PAGE = 50  # slots of one request
UNASKED = 2.0  # seconds after which a result is requested if its sender has not done so


class StuckError(AoError):
    """A slot fails each time, so that no later slot can be computed.

    Attributes:
        slot: the slot that fails.
    """

    def __init__(self, what: str, slot: int, *, stage: str) -> None:
        hint = "the code of the process decides that; .spawn makes another process"
        super().__init__(what, stage=stage, hint=hint)
        self.slot = slot


class NoProcessError(AoError):
    """The node does not know a process."""


class Reading(Asking):
    """The part of the node that changes nothing.

    Args:
        client: client of the node.
        book: remembers facts about the node.
    """

    def __init__(self, client: Client, book: Book) -> None:
        Asking.__init__(self, client, book, self._page)
        self._computed = ComputedResults()
        self._tails = Tails()
        self._last: dict[str, int] = {}

    # Results ----------------------------------------------------------------------------------

    async def result(self, process: str, place: int | str) -> Result:
        if isinstance(place, str):
            found = await self._slot_of(process, place, 0)
            if found is None:
                raise AoError(
                    f"no message {place} is in the log of {process}",
                    stage="compute",
                    hint="it has not arrived; .messages shows what has",
                )
            place = found
        result = await self._result(process, place)
        self._feed.answered(process, place)
        return result

    async def _result(self, process: str, slot: int) -> Result:
        """The result of a slot; always asks the node."""
        return await self._computed.ask(process, slot, self._asked_result(process, slot))

    async def _result_once(self, process: str, slot: int) -> Result:
        """The result of a slot; shares the request of others, or its cached result."""
        answer = await self._computed.answer(process, slot)
        if isinstance(answer, AoError):
            raise answer
        return answer or await self._result(process, slot)

    async def _asked_result(self, process: str, slot: int) -> Result:
        start = time.monotonic()
        path = f"/{process}~process@1.0/compute&slot={slot}/results"
        asked = Asked(f"{process} compute {slot}", {PROCESS: process, SLOT: slot})
        answer = await self._get("compute", path, COMPUTE)
        for pause in EARLY:
            refusal = self._trust.refusal(answer, "compute", asked) if not answer.ok else None
            if refusal is None or not refusal.is_early:
                break
            # The schedule may not have the slot yet, or never.
            slots = await self.slots(process)
            if slot >= slots:
                raise _no_such_slot(process, slot, slots, answer.by)
            await asyncio.sleep(pause)
            answer = await self._get("compute", path, COMPUTE)
        what = f"does not compute slot {slot}"
        self._expect_computed(answer, "compute", process, what, asked)
        fields = self._fields(answer, "compute", asked)
        result = to_result(process, slot, fields, answer.by)
        return replace(result, milliseconds=1000 * (time.monotonic() - start))

    def _expect_computed(
        self, answer: Response, stage: str, process: str, what: str, asked: Asked
    ) -> None:
        """Raise AoError if something was not computed, with the reason if it is known.

        Args:
            what: what the node does not do, for the error: "does not compute slot 7".
        """
        if answer.ok:
            return
        refusal = self._trust.refusal(answer, stage, asked)
        stuck = refusal.slot
        if stuck is None or not refusal.is_stuck:
            self._expect(answer, stage, what, asked)
            return
        failure = self._trust.failure(answer, stage, what, asked)
        where = "this slot" if stuck == asked.fields.get(SLOT) else f"slot {stuck}"
        raise StuckError(
            f"{failure}; {where} fails each time, so {process} is stuck there and computes no more",
            stuck,
            stage=stage,
        )

    async def results(self, process: str, after: int = -1, limit: int = 100) -> Sequence[LogEntry]:
        messages = await self._behind(process, after, limit)
        found: list[LogEntry] = []
        for one in messages:
            try:
                found.append(LogEntry(one, await self._result_once(process, slot_of(one))))
            except StuckError:
                return [*found, *(LogEntry(late, None) for late in messages[len(found) :])]
        return found

    async def _behind(self, process: str, after: int, limit: int) -> Sequence[Message]:
        """Up to `limit` messages after a slot."""
        last = min(await self.slots(process) - 1, after + limit)
        return await self.schedule(process, after + 1, last) if last > after else ()

    async def _page(self, process: str, after: int | None) -> Sequence[FeedStep]:
        """A page for the feed, whose cursor is the last slot seen."""
        if after is None:  # ask the node, as slots in earlier answers may be old
            return (FeedStep(await self.slots(process) - 1),)
        self._tails.passed(process, after)
        last = self._tails.named(process)
        if last is None:
            last = await self.slots(process) - 1
        messages = await self._not_sent_here(process, after + 1, min(last, after + PAGE))
        return [await self._step(process, one, last=slot_of(one) == last) for one in messages]

    async def _not_sent_here(self, process: str, first: int, last: int) -> Sequence[Message]:
        """Messages of a log; those that this session sent are not fetched again."""
        found: list[Message] = []
        while first <= last:
            sent = {slot: self._tails.sent(process, slot) for slot in range(first, last + 1)}
            if own := sent[first]:
                found.append(own)
                first += 1
                continue
            upto = next((slot - 1 for slot, own in sent.items() if own), last)
            page = await self.schedule(process, first, upto)
            if not page:  # the log is shorter than the node said
                break
            found += page
            first = slot_of(page[-1]) + 1
        return found

    async def _step(self, process: str, message: Message, *, last: bool) -> FeedStep:
        """A message with its result. If that cannot be computed, the feed reports it and goes on,
        unless the line that sent it has reported it."""
        slot = slot_of(message)
        if self._tails.sent(process, slot):  # its sender requests the result
            await self._computed.begun(process, slot, UNASKED)
        shared = await self._computed.answer(process, slot)
        try:
            if isinstance(shared, AoError):
                raise shared
            result = shared or await self._result(process, slot)
        except StuckError as error:
            is_known = shared is not None or error.slot != slot
            return FeedStep(
                slot, LogEntry(message, None), "" if is_known else error.what, last=last
            )
        return FeedStep(slot, LogEntry(message, result), last=last)

    async def slots(self, process: str) -> int:
        answer = await self._get("slot", f"/{process}~process@1.0/slot/current")
        asked = Asked(f"{process} slot")
        self._expect_process(answer, "slot", process, asked)
        slot = plain(self._trust.read(answer, "slot", asked))
        if slot == NO_SLOT:
            return self._reached(process, -1) + 1
        if not is_number(slot):
            raise AoError(f"{answer.by} answers {answer.summary()!r} for a slot", stage="slot")
        return self._reached(process, int(slot)) + 1

    def _reached(self, process: str, slot: int) -> int:
        """The last slot of a process, after an answer that names this slot.

        A log does not get shorter, so an old answer cannot take back slots that were signed.
        """
        last = max(slot, self._last.get(process, -1))
        if self._trust.verifies:
            self._last[process] = last
        return last if self._trust.verifies else slot

    async def schedule(self, process: str, first: int, last: int) -> Sequence[Message]:
        found: list[Message] = []
        unfit: int | None = None  # one of the slots up to this one cannot be listed
        for _ in turns(self.endpoint, "schedule"):
            if first > last:
                break
            upto = last if unfit is None else (first + unfit) // 2
            page = None if first == unfit else await self._listed(process, first, upto)
            if page is None and first < upto:
                unfit = upto
                continue
            if page is None:
                page, unfit = [await self._placed(process, first)], None
            wanted = [one for one in page if first <= slot_of(one) <= upto]
            if not wanted:
                break
            found += wanted
            first = slot_of(wanted[-1]) + 1
        return found

    async def _listed(self, process: str, first: int, last: int) -> Sequence[Message] | None:
        """Messages of a log; None if JSON cannot hold one of them."""
        await self._ready()
        query = f"from={first}&to={last}&accept=application/aos-2"
        headers = BUNDLED if (await self._generation()).json else {}
        path = f"/{process}~process@1.0/schedule?{query}"
        answer = await until_whole(partial(self._client.get, "schedule", path, headers=headers))
        if is_unfit_for_json(answer):
            return None
        asked = Asked(f"{process} schedule")  # its messages name their slots
        self._expect_process(answer, "schedule", process, asked)
        page = schedules.messages(self._trust.json(answer, "schedule", asked), answer.by)
        self._expect_log_of(process, page, answer.by)
        return page

    async def _placed(self, process: str, slot: int) -> Message:
        """A message of a log, in the form that holds all bytes."""
        await self._ready()
        path = f"/{process}~process@1.0/schedule/assignments/{slot}?from={slot}&to={slot}"
        answer = await until_whole(partial(self._client.get, "schedule", path, headers=BUNDLED))
        asked = Asked(f"{process} schedule {slot}", {PROCESS: process, SLOT: slot})
        self._expect_process(answer, "schedule", process, asked)
        fields = self._trust.read(answer, "schedule", asked)
        signed = check_inside(answer.headers, answer.body, "body").commitments
        message = placed.to_message(fields, signed, answer.by)
        self._expect_log_of(process, [message], answer.by)
        return message

    def _expect_log_of(self, process: str, page: Iterable[Message], by: str) -> None:
        if any(one.assignment and one.assignment.process != process for one in page):
            raise AoError(
                f"{by} lists the log of another process for that of {process}",
                stage="schedule",
                hint="somebody may stand between, and answer with what was said before",
            )

    async def _slot_of(self, process: str, message: str, after: int) -> int | None:
        last = await self.slots(process) - 1
        for first in range(max(0, after), last + 1, PAGE):
            page = await self.schedule(process, first, min(last, first + PAGE - 1))
            if not page:  # the log is shorter than the node says
                return None
            for entry in page:
                if entry.id == message and entry.assignment:
                    return entry.assignment.slot
        return None

    async def now(self, process: str, key: str = "") -> object:
        """The newest state of a process, or the value of one key of it (`.now`)."""
        inner = "".join(f"/{quote(part)}" for part in key.split("/") if part)
        path = f"/{process}~process@1.0/now{inner}"
        answer = await self._get("now", path, COMPUTE)
        # Below the top, keys of these names are the process's own.
        due = {} if inner else {PROCESS: process}
        asked = Asked(f"{process} now {inner}", due)
        has_none = f"has no {key or 'state'} of {process}"
        does_not = f"does not give {key or 'the state'} of {process}"
        what = has_none if answer.status == 404 else does_not
        self._expect_computed(answer, "now", process, what, asked)
        fields = dict(self._trust.read(answer, "now", asked))
        fields.pop("status", None)
        named = fields.get("ao-result")
        if isinstance(named, str) and named in fields:
            return fields[named]
        is_text = fields.keys() <= {"body", "data"}
        return fields.get("body", fields.get("data", "")) if is_text else fields

    def _expect_process(self, answer: Response, stage: str, process: str, asked: Asked) -> None:
        """Raise AoError if a request about a process failed."""
        if answer.ok:
            return
        refusal = self._trust.refusal(answer, stage, asked)
        about = f"the process {process}"
        if answer.status == 404 or refusal.missing == process:
            failure = self._trust.failure(
                answer, stage, f"knows no process {process}", asked, about
            )
            raise NoProcessError(failure, stage=stage)
        self._expect(answer, stage, f"does not answer about {about}", asked, about)


def _no_such_slot(process: str, slot: int, slots: int, by: str) -> AoError:
    there = f"there are {slots}, the last is {slots - 1}" if slots else "there are none"
    return AoError(
        f"{by} has no slot {slot} of {process}: {there}",
        stage="compute",
        hint=".messages shows the newest",
    )


def plain(fields: Mapping[str, object]) -> str:
    """The body of an answer with a single value."""
    value = fields.get("body", fields.get("data", ""))
    return str(value).strip()


def slot_of(message: Message) -> int:
    """The slot of a message, -1 if it has none."""
    return message.assignment.slot if message.assignment else -1
