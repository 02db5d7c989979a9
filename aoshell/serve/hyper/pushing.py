"""`push`: a message is scheduled, computed, and followed through what it causes.

The node delivers without requests; `push` waits for that and reports it. Under its number, each
message of the outbox has its target, slot and result there, or why it did not arrive. Source:
HyperBEAM `dev_push:do_push`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from aoshell.nodes.values import Hop, LogEntry
from aoshell.protocol.message import Outgoing
from aoshell.serve.asgi.http import RequestError
from aoshell.serve.hyper.call import Call
from aoshell.serve.hyper.found import Found, Plain
from aoshell.serve.hyper.path import Segment
from aoshell.serve.hyper.places import computed_entry, place_of
from aoshell.serve.hyper.results import results_of

SETTLING_SECONDS = 30.0  # that an answer waits for what a message causes
DEEPEST = 16  # hops in a row that an answer reports
MOST_REPORTED = 200  # messages that an answer reports

_NOBODY = "Could not access target process!"


async def push(process: str, segment: Segment, call: Call) -> Found:
    """Schedule the request's message, or read a slot; the value reports what came of it.

    Raises:
        AnswerError, RequestError: it cannot be done.
    """
    item = await call.message() if call.writes else None
    slot = call.parameter(segment, "slot")
    if item is None:
        if not slot:
            raise RequestError(400, "push takes a signed message, or the slot of one (push&slot=N)")
        entry = await computed_entry(process, place_of(slot), call)
    else:
        receipt = await call.submit(item, process)
        if call.parameter(segment, "async") == "true" and receipt.slot is not None:
            return Plain({"id": receipt.id, "process": process, "slot": receipt.slot})
        entry = await computed_entry(process, receipt.place, call)
    return Plain(await _report(process, entry, call))


async def _report(process: str, entry: LogEntry, call: Call) -> dict[str, Any]:
    message, placed = entry.message, entry.message.placed
    fields: dict[str, Any] = {"process": process, "slot": placed.slot, "id": message.id}
    fields |= results_of(entry)
    if entry.result is None or not entry.result.messages:
        return fields
    with suppress(TimeoutError):  # what is not done by then is left out
        async with asyncio.timeout(SETTLING_SECONDS):
            await call.services.node.settled(message.id)
    local = call.services.node.local
    assert local is not None
    hops = await local.workbench.trace(message.id, process)
    own = next((n for n, hop in enumerate(hops) if _is(hop, process, placed.slot)), None)
    if own is None:
        return fields
    return fields | _Fates(hops).fates(own, entry.result.messages)


def _is(hop: Hop, process: str, slot: int) -> bool:
    placed = hop.entry.message.assignment if hop.entry else None
    return placed is not None and (placed.process, placed.slot, placed.tick) == (process, slot, 0)


class _Fates:
    """Reports what became of messages, from a trace."""

    def __init__(self, hops: Sequence[Hop]) -> None:
        self._hops = hops
        self._left = MOST_REPORTED

    def fates(self, at: int, sent: Iterable[Outgoing], depth: int = 1) -> dict[str, Any]:
        """What became of the messages that a hop has sent, by their numbers."""
        caused = [n for n, hop in enumerate(self._hops) if hop.cause == at]
        found_fates: dict[str, Any] = {}
        for number, one in enumerate(sent, 1):
            if not (one.target or one.spawn) or self._left <= 0:
                continue  # without a target, it is for a device of the process itself
            self._left -= 1
            found = next((n for n in caused if _is_same(self._hops[n], one)), None)
            if found is not None:
                caused.remove(found)
            found_fates[str(number)] = self._fate(found, one, depth)
        return found_fates

    def _fate(self, at: int | None, sent: Outgoing, depth: int) -> dict[str, Any]:
        hop = self._hops[at] if at is not None else None
        if hop is None or hop.entry is None or at is None:
            why = hop.kept.reason if hop and hop.kept else _NOBODY
            return {"response": "error", "status": 404, "target": sent.target, "reason": why}
        message = hop.entry.message
        placed = message.placed
        fields: dict[str, Any] = {"id": message.id, "target": hop.process, "slot": placed.slot}
        if hop.entry.result is None:
            return fields
        then = {"process": hop.process, "slot": placed.slot, **results_of(hop.entry)}
        if depth < DEEPEST:
            then |= self.fates(at, hop.entry.result.messages, depth + 1)
        return fields | {"resulted-in": then}


def _is_same(hop: Hop, sent: Outgoing) -> bool:
    """Whether a hop is a message of an outbox."""
    if hop.entry is None:
        return hop.kept is not None and _fits(hop.kept.message.target, hop, sent)
    if sent.spawn:
        return hop.entry.message.tag("Type") == "Process"
    return _fits(hop.process, hop, sent)


def _fits(target: str, hop: Hop, sent: Outgoing) -> bool:
    message = hop.entry.message if hop.entry else hop.kept.message if hop.kept else None
    assert message is not None
    return (target, message.anchor, message.data) == (sent.target, sent.anchor, sent.data)
