"""Sends messages to a HyperBEAM node, and makes sure that they are in a log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.client import REFUSED, Client, ConnectionLostError
from aoshell.nodes.remote.http.pages import is_number
from aoshell.nodes.remote.http.progress import Waiting, disable_retries
from aoshell.nodes.remote.hyperbeam.binding import (
    MESSAGE,
    PROCESS,
    Asked,
    ContradictionError,
    named,
)
from aoshell.nodes.remote.hyperbeam.delivering import Delivering
from aoshell.nodes.remote.hyperbeam.generation import JSON
from aoshell.nodes.remote.hyperbeam.reading import COMPUTE
from aoshell.nodes.remote.hyperbeam.signing import TAKES_ITEMS
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.values import Signed
from aoshell.protocol.ans104 import DataItem

YOUNG = 30.0  # seconds in which the node may not find a new process yet
LOOKS = (0.5, 2.0, 5.0)  # seconds before each search for a message whose answer was lost
LOOK = 30.0  # seconds for one search, for a log of any length


class ArrivalError(AoError):
    """A message may have arrived, so it is not sent again."""


class Heard(Enum):
    """The node's own answer for a message that is in the log."""

    PLACED = auto()  # it names the slot
    DOUBTFUL = auto()  # it is a refusal, or cannot be trusted
    NOTHING = auto()  # it was lost


@dataclass(frozen=True, slots=True)
class Placed:
    """A message that is in the log.

    Attributes:
        fields: the node's own answer; {} if it does not count.
    """

    slot: int
    heard: Heard
    fields: Mapping[str, Any] = field(default_factory=dict)


class Sending(Delivering):
    """The part of the node that schedules messages.

    Args:
        client, book, waiting: as in `Delivering`.
    """

    def __init__(self, client: Client, book: Book, waiting: Waiting) -> None:
        Delivering.__init__(self, client, book, waiting)
        self._born: dict[str, float] = {}

    async def _scheduled(
        self, stage: str, path: str, item: Signed, process: str, what: tuple[str, str]
    ) -> Placed:
        """Have a message scheduled.

        If the answer is lost, is a refusal, or cannot be trusted, the message may still be there:
        the log of the process shows it.

        Args:
            what: two texts for errors: what the node does not do, and how to find out later.
        """
        before = int(self._book.get(self.endpoint, "slot", process) or 0)
        try:
            answer = await self._post(stage, path, item, process)
        except ConnectionLostError as error:
            found = await self._look_for(process, item.id, before)
            if found is None:
                raise _unknown(error, what[1]) from error
            return Placed(found, Heard.NOTHING)
        try:
            self._expect(answer, stage, what[0])
            slot, fields = self._assigned(answer, stage, process, item.id)
        except AoError as error:
            doubtful = answer.ok or self._trust.refused
            found = None
            if answer.status not in REFUSED:
                look = self._look_once(process, item.id, before)
                found = await asyncio.create_task(look)
            if found is None:
                raise (_unknown(error, what[1]) if doubtful else error) from error
            return Placed(found, Heard.DOUBTFUL)
        if self._trust.verifies and MESSAGE not in self._trust.named:
            try:
                await self._check_place(process, slot, item.id)
            except AoError as error:
                raise _unknown(error, what[1]) from error
        self._reached(process, slot)
        return Placed(slot, Heard.PLACED, fields)

    async def _post(self, stage: str, path: str, item: Signed, process: str) -> Response:
        await self._ready()  # raises if the answer would be refused: then nothing is sent
        young = time.monotonic() - self._born.get(process, -YOUNG) < YOUNG
        # A node may not find a process just after it was made.
        busy = REFUSED | {500} if young else REFUSED
        headers, body = (
            (TAKES_ITEMS, item.raw) if isinstance(item, DataItem) else (item.headers, item.body)
        )
        if (await self._generation()).json:
            headers = (*headers, ("accept", JSON))
        return await self._client.ask(
            stage,
            "POST",
            path,
            headers=headers,
            body=body,
            busy=busy,
            seconds=COMPUTE,
            message=item.id,
        )

    def _assigned(
        self, answer: Response, stage: str, process: str, message: str
    ) -> tuple[int, Mapping[str, Any]]:
        """The slot that an answer gives a message, and the answer."""
        asked = Asked(message, {PROCESS: process, MESSAGE: message})
        fields = self._fields(answer, stage, asked)
        try:
            named(fields, {}, asked)  # check unsigned answers, too
        except ContradictionError as error:
            raise AoError(f"{answer.by} answers for something else: {error}", stage=stage) from None
        slot = str(fields.get("slot", 0 if process == message else ""))
        if not is_number(slot):
            raise AoError(f"{answer.by} does not say the slot of the message", stage=stage)
        return int(slot), fields

    async def _check_place(self, process: str, slot: int, message: str) -> None:
        """Check that the log has this message in that slot. Raises AoError, stage "verify"."""
        held = await self.schedule(process, slot, slot)
        if [one.id for one in held] != [message]:
            raise AoError(
                f"{self.endpoint} says slot {slot}, where the log of {process} has another message",
                stage="verify",
            )

    async def _look_for(self, process: str, message: str, after: int) -> int | None:
        """The slot of a message whose answer was lost; None if it was not found."""
        for pause in LOOKS:
            await asyncio.sleep(pause)
            found = await self._look(process, message, after)
            if found is not None:
                return found
        return None

    async def _look_once(self, process: str, message: str, after: int) -> int | None:
        """As `_look_for`, but only once, and without retries of requests; in a separate task."""
        disable_retries()
        return await self._look(process, message, after)

    async def _look(self, process: str, message: str, after: int) -> int | None:
        with suppress(AoError, TimeoutError):  # without an answer, the place stays unknown
            async with asyncio.timeout(LOOK):
                return await self._slot_of(process, message, after)
        return None


def _unknown(error: AoError, hint: str) -> ArrivalError:
    what = f"{error.what}; it is not known whether the message arrived"
    return ArrivalError(what, stage=error.stage, hint=f"{hint}; it is not sent twice")
