"""What a HyperBEAM node tells of its processes: slots, schedules, results, state."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from aoshell.errors import AoError
from aoshell.nodes.base import Entry, Event
from aoshell.nodes.remote import aos2
from aoshell.nodes.remote.answer import Answer
from aoshell.nodes.remote.book import Book
from aoshell.nodes.remote.client import Client
from aoshell.nodes.remote.feed import Feed, Step
from aoshell.nodes.remote.hyperforms import FORMS, to_result
from aoshell.nodes.remote.pages import is_number, turns
from aoshell.nodes.remote.trust import Trust
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import Message, Result

COMPUTE = 300.0  # seconds that a result may take
PAGE = 50  # slots asked for at once
BUNDLED = {"accept-bundle": "true"}


class Reading:
    """The half of the node that changes nothing.

    Args:
        client: of the node.
        book: what is remembered of it.
    """

    def __init__(self, client: Client, book: Book) -> None:
        self._client = client
        self.endpoint = client.endpoint
        self._book = book
        self._trust = Trust(self.endpoint, self._notice)
        self._feed = Feed(self._page, book, self.endpoint)

    def _notice(self, detail: str, kind: str = "notice") -> None:
        self._feed.tell(Event(kind, "", "", detail))

    async def _address(self) -> str:
        if not self._trust.address:
            answer = await self._client.get("info", "/~meta@1.0/info/address", headers=BUNDLED)
            self._expect(answer, "info", "does not say its address")
            address = plain(self._trust.read(answer, "info"))
            if not has_id_form(address):
                raise AoError(
                    f"{self.endpoint} answers {answer.said()!r} for its address",
                    stage="info",
                    hint="is that a HyperBEAM node? --legacy is for MU, SU and CU",
                )
            self._trust.address = address
        return self._trust.address

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
        start = time.monotonic()
        known = self._book.get(self.endpoint, "form", "result")
        forms = sorted(FORMS, key=lambda form: form.name != known)
        for form in forms:
            path = f"/{process}~process@1.0{form.path.format(slot=slot)}"
            answer = await self._client.get("compute", path, headers=BUNDLED, seconds=COMPUTE)
            if answer.status in (404, 400) and form is not forms[-1]:
                continue
            self._expect(answer, "compute", f"does not compute slot {slot}")
            said = self._said(answer, "compute", {"process": process, "slot": slot})
            result = to_result(process, slot, said, self.endpoint)
            if form.name != known:
                self._book.put(self.endpoint, "form", "result", form.name)
            return replace(result, milliseconds=1000 * (time.monotonic() - start))
        raise AssertionError("the last form returns or raises")

    def _said(
        self, answer: Answer, stage: str, expected: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """What an answer says, as a message or as JSON."""
        if not answer.header("content-type").startswith("application/json"):
            return self._trust.read(answer, stage, expected)
        value = self._trust.json(answer, stage, expected)
        return value if isinstance(value, dict) else {}

    async def results(self, process: str, after: int = -1, limit: int = 100) -> Sequence[Entry]:
        last = min(await self.slots(process) - 1, after + limit)
        if last <= after:
            return ()
        messages = await self.schedule(process, after + 1, last)
        return [Entry(one, await self._result(process, slot_of(one))) for one in messages]

    async def _page(self, process: str, after: int | None) -> Sequence[Step]:
        """For the feed, whose cursor is the last slot seen."""
        if after is None:
            return (Step(await self.slots(process) - 1),)
        found = await self.results(process, after, PAGE)
        return [Step(slot_of(entry.message), entry) for entry in found]

    async def slots(self, process: str) -> int:
        path = f"/{process}~process@1.0/slot/current"
        answer = await self._client.get("slot", path, headers=BUNDLED)
        self._expect(answer, "slot", f"knows no process {process}")
        said = plain(self._trust.read(answer, "slot"))
        if not is_number(said):
            raise AoError(f"{self.endpoint} answers {answer.said()!r} for a slot", stage="slot")
        return int(said) + 1

    async def schedule(self, process: str, first: int, last: int) -> Sequence[Message]:
        found: list[Message] = []
        for _ in turns(self.endpoint, "schedule"):
            if first > last:
                break
            query = f"from={first}&to={last}&accept=application/aos-2"
            path = f"/{process}~process@1.0/schedule?{query}"
            answer = await self._client.get("schedule", path)
            self._expect(answer, "schedule", f"knows no process {process}")
            page = aos2.messages(self._trust.json(answer, "schedule"), self.endpoint)
            wanted = [one for one in page if first <= slot_of(one) <= last]
            if not wanted:
                break
            found += wanted
            first = slot_of(wanted[-1]) + 1
        return found

    async def _slot_of(self, process: str, message: str, after: int) -> int | None:
        last = await self.slots(process) - 1
        for first in range(max(0, after), last + 1, PAGE):
            for entry in await self.schedule(process, first, min(last, first + PAGE - 1)):
                if entry.id == message and entry.assignment:
                    return entry.assignment.slot
        return None

    async def now(self, process: str, key: str = "") -> object:
        """The newest state of a process, or one key of it (`.now`)."""
        inner = "".join(f"/{quote(part)}" for part in key.split("/") if part)
        path = f"/{process}~process@1.0/now{inner}"
        answer = await self._client.get("now", path, headers=BUNDLED, seconds=COMPUTE)
        self._expect(answer, "now", f"has no {key or 'state'} of {process}")
        said = dict(self._trust.read(answer, "now"))
        said.pop("status", None)
        return plain(said) if said.keys() <= {"body", "data"} else said

    def _expect(self, answer: Answer, stage: str, what: str) -> None:
        if answer.ok:
            return
        # Of an attested node only what its key has signed is shown.
        said = "" if self._trust.pinned() else answer.said()
        raise AoError(
            f"{self.endpoint} {what}: {answer.status} {said}".rstrip(),
            stage=stage,
            hint=".doctor looks at the node" if answer.status >= 500 else "",
        )


def plain(said: Mapping[str, object]) -> str:
    """The body of an answer that is one value."""
    value = said.get("body", said.get("data", ""))
    return str(value).strip()


def slot_of(message: Message) -> int:
    """Where it was scheduled, -1 for nowhere."""
    return message.assignment.slot if message.assignment else -1
