"""The units of the legacy network that are asked: SU, which schedules, and CU, which computes.

The SU lists a process's log; its nonces are our slots. Newer ones take `from-nonce`, older ones a
time only and ignore the nonce: both are sent, and what comes too early is left out. The CU computes
what it is asked for, and answers 202 as long as that takes. Its list of results leaves out those
that are errors, and tells of none which message it was of, only its time and nonce, in a cursor.
Source: `ao` servers/su and servers/cu; wao's network, which differs where it is said below.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from aoshell.bounded import jsontext
from aoshell.errors import AoError
from aoshell.nodes.remote import schedules
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.pages import turns
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.results import from_json, words
from aoshell.nodes.values import NotFoundError
from aoshell.protocol.message import Message, Result

PAGE = 100  # of the log
EDGES = 1000  # of the CU's results
PATIENCE = 300.0  # seconds until a result is given up
FIRST_LOOK, LAST_LOOK = 0.3, 5.0  # seconds between two looks for a result
LONGEST_CURSOR = 4096  # bytes of one as a CU writes it
UNHEARD = 8  # looks for what the CU does not know yet


class NotListedError(AoError):
    """The SU lists no logs: wao's, which ends on being asked for one."""


class SchedulerUnit:
    """An SU, or the router before several."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lists: bool | None = None
        self.endpoint = client.endpoint

    async def latest(self, process: str) -> Message | None:
        """The newest message of a log, None where there is none.

        Raises:
            NotListedError, AoError: stage "schedule".
        """
        await self._check()
        answer = await self._client.get("schedule", f"/{process}/latest?process-id={process}")
        if answer.ok:
            return self._read([{"node": answer.json("schedule")}], answer.by)[0]
        newest: Message | None = None
        for _ in turns(self.endpoint, "schedule"):
            found = await self.page(process, *place(newest))
            if not found:
                break
            newest = found[-1]
        return newest

    async def page(
        self, process: str, after: int, since: int = 0, limit: int = PAGE
    ) -> Sequence[Message]:
        """Messages behind slot `after`, oldest first; () at the end of the log.

        Args:
            since: when that slot was scheduled, in milliseconds, as far as it is known.

        Raises:
            NotFoundError, NotListedError, AoError: stage "schedule".
        """
        await self._check()
        for _ in turns(self.endpoint, "schedule"):
            when = f"&from={since - 1}" if since else ""
            query = f"process-id={process}&from-nonce={after}{when}&limit={limit}"
            answer = await self._client.get("schedule", f"/{process}?{query}")
            if not answer.ok:
                raise self._refused(answer, f"does not list the log of {process}")
            said = answer.json("schedule")
            edges = said.get("edges") if isinstance(said, dict) else None
            if not isinstance(edges, list):
                raise self._refused(answer, f"does not list the log of {process}")
            found = self._read(edges, answer.by)
            fresh = [one for one in found if place(one)[0] > after]
            pages = said.get("page_info")
            if fresh or not found or not (isinstance(pages, dict) and pages.get("has_next_page")):
                return fresh
            # An older SU, and the time was not known: on to where it has got to.
            since = max(since + 1, place(found[-1])[1])
        raise AssertionError("the last turn raises")

    async def look(self) -> Response:
        """Ask something harmless."""
        return await self._client.get("schedule", "/timestamp")

    async def close(self) -> None:
        await self._client.close()

    async def _check(self) -> None:
        """Raise NotListed for wao's SU, which tells its processes at its root."""
        if self._lists is None:
            answer = await self._client.get("schedule", "/")
            said = answer.json("schedule") if answer.body.startswith(b"{") else None
            self._lists = not (isinstance(said, dict) and "Processes" in said)
        if not self._lists:
            what = f"{self.endpoint} lists no logs: it is wao's"
            raise NotListedError(what, stage="schedule", hint=".result ID shows a message's result")

    def _read(self, edges: Sequence[object], where: str) -> Sequence[Message]:
        return schedules.messages({"edges": edges}, where)

    def _refused(self, answer: Response, what: str) -> AoError:
        error = _error(answer)
        told = f"{answer.by} {what}: {answer.status} {error}".rstrip()
        # SUs answer 400, and these words, for what they do not have.
        if answer.status in (400, 404) and "not found" in error.lower():
            return NotFoundError(told, stage="schedule", hint="is that the SU of its network?")
        return AoError(told, stage="schedule", hint=".doctor looks at the SU")


def place(message: Message | None) -> tuple[int, int]:
    """Slot and time of a message, those before the first for None."""
    assignment = message.assignment if message else None
    return (assignment.slot, assignment.timestamp) if assignment else (-1, 0)


@dataclass(frozen=True, slots=True)
class Edge:
    """One of the CU's results.

    Attributes:
        cursor: of a real CU, whose parts are the members below; of wao's, the message's id.
        slot: that it was computed at, or before for cron; -1 for an id.
        timestamp: milliseconds.
        cron: names the cron interval, "" for a message.
        result: JSON, None as long as there is none.
        by: who told it, for errors.
    """

    cursor: str
    slot: int
    timestamp: int
    cron: str
    result: Any
    by: str


class ComputeUnit:
    """A CU."""

    def __init__(self, client: Client, waiting: Waiting) -> None:
        self._client = client
        self._waiting = waiting
        self.endpoint = client.endpoint

    async def result(self, process: str, place: str, slot: int = -1) -> Result:
        """The result of a message by its id, as soon as it is computed.

        Raises:
            AoError: stage "compute"; what went wrong in the process itself is a Result.
        """
        answer = await self._computed(
            f"/result/{place}?process-id={process}", hint=f".result {place} asks again"
        )
        return self._read(process, slot, answer)

    async def dryrun(self, process: str, message: Message) -> Result:
        """What a message would do."""
        body = {
            "Id": message.id or "1234",
            "Target": message.target or process,
            "Owner": message.owner or message.from_,
            "Anchor": message.anchor or "0",
            "Data": message.data.decode("utf-8", "replace"),
            "Tags": [{"name": words(tag.name), "value": words(tag.value)} for tag in message.tags],
        }
        answer = await self._computed(
            f"/dry-run?process-id={process}", json.dumps(body).encode(), hint="try again later"
        )
        return self._read(process, -1, answer)

    async def edges(
        self, process: str, since: str = "", until: str = "", limit: int = EDGES
    ) -> Sequence[Edge]:
        """Results behind one cursor up to another, as far as they are computed."""
        given = {"from": since, "to": until, "sort": "ASC", "limit": str(limit)}
        query = urlencode({name: value for name, value in given.items() if value})
        answer = await self._client.get("compute", f"/results/{process}?{query}")
        if not answer.ok:
            raise self._refused(answer)
        said = answer.json("compute")
        edges = said.get("edges") if isinstance(said, dict) else None
        if not isinstance(edges, list) or not all(isinstance(edge, dict) for edge in edges):
            raise self._refused(answer)
        return [_edge(edge, answer.by) for edge in edges]

    async def look(self) -> Response:
        """Ask something harmless."""
        return await self._client.get("compute", "/")

    async def close(self) -> None:
        await self._client.close()

    async def _computed(self, path: str, body: bytes = b"", *, hint: str) -> Response:
        """The answer to what may take its time; asking again changes nothing."""
        start, pause, unheard = time.monotonic(), FIRST_LOOK, 0
        headers = (("accept", "application/json"), ("content-type", "application/json"))
        method = "POST" if body else "GET"
        async with self._waiting.during("compute", self.endpoint) as note:
            while True:
                answer = await self._client.ask(
                    "compute",
                    method,
                    path,
                    headers=headers if body else headers[:1],
                    body=body,
                    again=True,
                )
                if answer.status == 202:
                    note("still computing")
                elif answer.ok and answer.body:
                    return answer
                elif unheard < UNHEARD and (answer.ok or answer.status == 404):
                    unheard += 1
                    note("the message has not got there yet")
                else:
                    raise self._refused(answer)
                if (passed := time.monotonic() - start) > PATIENCE:
                    what = f"{self.endpoint} is still computing after {passed:.0f} s"
                    raise AoError(what, stage="compute", hint=hint)
                await asyncio.sleep(pause)
                pause = min(LAST_LOOK, pause * 1.5)

    def _read(self, process: str, slot: int, answer: Response) -> Result:
        return from_json(process, slot, answer.json("compute"), 0.0, answer.by)

    def _refused(self, answer: Response) -> AoError:
        told = f"{answer.by} does not answer: {answer.status} {_error(answer)}"
        return AoError(told.rstrip(), stage="compute", hint=".doctor looks at the CU")


def cursor(timestamp: int, slot: int, cron: str = "") -> str:
    """A cursor as CUs write them."""
    parts = {"timestamp": timestamp, "ordinate": str(slot), "cron": cron or None, "sort": "ASC"}
    return base64.b64encode(json.dumps(parts).encode()).decode()


def _edge(edge: Mapping[str, Any], by: str) -> Edge:
    text = words(edge.get("cursor"))
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        parts = jsontext.parse(octets, largest=LONGEST_CURSOR)
        slot, when = int(parts["ordinate"]), int(parts["timestamp"])
        return Edge(text, slot, when, words(parts.get("cron")), edge.get("node"), by)
    except (ValueError, TypeError, KeyError):
        return Edge(text, -1, 0, "", edge.get("node"), by)


def _error(answer: Response) -> str:
    """What an error says: `{error}`, `{message}` or whatever it is."""
    try:
        said = jsontext.parse(answer.body)
    except ValueError:
        return answer.said()
    told = said.get("error") or said.get("message") if isinstance(said, dict) else None
    return " ".join(words(told).split())[:200] if told else answer.said()
