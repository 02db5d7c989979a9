"""Logs of processes in the form of HyperBEAM's scheduler: assignments with their messages."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from aoshell.nodes.served import Scheduled, Span
from aoshell.nodes.values import NotFoundError, Place
from aoshell.protocol.message import Tag, printable
from aoshell.protocol.tabm import header_case
from aoshell.serve.asgi.http import JSON, RequestError
from aoshell.serve.hyper.call import Call
from aoshell.serve.hyper.found import Found, Plain, missing
from aoshell.serve.hyper.messages import signed_map
from aoshell.serve.hyper.path import Segment
from aoshell.serve.items import absent
from aoshell.serve.units.results import tags_in_json

MOST_SLOTS = 1000  # of one page
LARGEST_PAGE = 16 << 20  # bytes of a page; a larger one ends early
_STEP = 50  # slots that are read at once, so that the loop can do other things in between
AOS2 = "application/aos-2"
NO_BLOCK = "A" * 43  # the hash where there is no block, as nodes without a gateway write it
_VARIANT = "ao.N.1"
_TYPES = 'block-height="integer", block-timestamp="integer", slot="integer", timestamp="integer"'


async def schedule_message(call: Call, process: str = "") -> Found:
    """Schedule the request's message; returns its assignment.

    Args:
        process: the process that the path names; the message must be for it, or define it.

    Raises:
        RequestError: it cannot be scheduled.
    """
    receipt = await call.submit(await call.expected_message(), process)
    return await placed(receipt.process, receipt.id, call)


async def placed(process: str, place: int | str, call: Call) -> Assigned:
    """The assignment of a message. Raises AnswerError if there is no such message."""
    try:
        found = await call.network.scheduled(process, place)
    except NotFoundError:
        raise absent(process) from None
    if found is None:
        raise missing()
    return Assigned(found)


class Assigned:
    """A message with its assignment."""

    mark = None

    def __init__(self, scheduled: Scheduled) -> None:
        self._scheduled = scheduled

    @property
    def process(self) -> str:
        return self._scheduled.stored.process

    @property
    def slot(self) -> int:
        return _slot_of(self._scheduled)

    async def step(self, segment: Segment, call: Call) -> Found:
        return await Plain(await self.value(call)).step(segment, call)

    async def value(self, call: Call) -> dict[str, Any]:
        body = await call.services.checker.run(lambda: signed_map(self._scheduled.stored))
        return {**assignment(self._scheduled), "body": body}


def assignment(scheduled: Scheduled) -> dict[str, Any]:
    """The keys of an assignment, without its message."""
    placed = scheduled.stored.message.placed
    return {
        "block-hash": NO_BLOCK,
        "block-height": placed.block_height,
        "block-timestamp": placed.timestamp // 1000,
        "data-protocol": "ao",
        "epoch": "0",
        "hash-chain": placed.hash_chain,
        "path": "compute",
        "process": scheduled.stored.process,
        "slot": placed.slot,
        "timestamp": placed.timestamp,
        "type": "assignment",
        "variant": _VARIANT,
    }


class Schedule:
    """A part of the log of a process.

    Args:
        first, last: slots, both included; at most `MOST_SLOTS`.
        in_json: in the form of a legacy scheduler (`application/aos-2`).
    """

    mark = None

    def __init__(self, process: str, first: int, last: int, *, in_json: bool) -> None:
        self._process = process
        self._first = first
        self._last = last
        self._in_json = in_json

    @classmethod
    def asked(cls, process: str, segment: Segment, call: Call) -> Schedule:
        """The part that a request asks for. Raises RequestError."""
        first = _slot(call.parameter(segment, "from", "0"), "from")
        last = call.parameter(segment, "to")
        upto = first + MOST_SLOTS - 1
        upto = min(_slot(last, "to"), upto) if last else upto
        return cls(process, max(first, 0), upto, in_json=call.asked("accept") == AOS2)

    async def step(self, segment: Segment, call: Call) -> Found:
        if segment.name == "assignments":
            return Assignments(self._process)
        return await Plain(await self.value(call)).step(segment, call)

    async def value(self, call: Call) -> object:
        found, more = await self._read(call)
        if self._in_json:
            address = call.address
            text = await call.services.checker.run(lambda: self._as_json(found, more, address))
            return {"body": text, "content-type": JSON}
        return await call.services.checker.run(lambda: self._as_message(found, more))

    async def _read(self, call: Call) -> tuple[list[Scheduled], bool]:
        found: list[Scheduled] = []
        size, more = 0, True
        while more and self._first + len(found) <= self._last and size < LARGEST_PAGE:
            begin = Place(_slot_of(found[-1]) if found else self._first - 1, 1 << 53)
            span = Span(after=begin, to=Place(self._last, 0))
            try:
                page = await call.network.schedule_page(self._process, span, _STEP)
            except NotFoundError:
                raise absent(self._process) from None
            found += page.entries
            size += sum(len(one.stored.message.data) for one in page.entries)
            more = page.more and bool(page.entries)
        if more:
            return found, True
        return found, self._first + len(found) < await call.services.node.slots(self._process)

    def _as_json(self, found: Iterable[Scheduled], more: bool, address: str) -> str:
        edges = [{"cursor": _slot_of(one), "node": _node(one, address)} for one in found]
        info = {
            "block-hash": NO_BLOCK,
            "block-height": "0",
            "has_next_page": more,
            "process": self._process,
            "timestamp": "0",
        }
        return json.dumps({"edges": edges, "page_info": info})

    def _as_message(self, found: Iterable[Scheduled], more: bool) -> dict[str, Any]:
        listed = {
            str(_slot_of(one)): {**assignment(one), "body": signed_map(one.stored)} for one in found
        }
        return {
            "assignments": listed,
            "block-hash": NO_BLOCK,
            "block-height": 0,
            "continues": more,
            "process": self._process,
            "timestamp": 0,
            "type": "schedule",
        }


class Assignments:
    """The assignments of a process, by their slots."""

    mark = None

    def __init__(self, process: str) -> None:
        self._process = process

    async def step(self, segment: Segment, call: Call) -> Found:
        return await placed(self._process, _slot(segment.key, "the slot"), call)

    async def value(self, call: Call) -> object:
        whole = await Schedule(self._process, 0, MOST_SLOTS - 1, in_json=False).value(call)
        return whole["assignments"] if isinstance(whole, dict) else {}


def _slot(text: str, what: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 15):
        raise RequestError(400, f"{what} is a number, not {text[:100]!r}")
    return int(text)


def _slot_of(one: Scheduled) -> int:
    return one.stored.message.placed.slot


def _node(one: Scheduled, address: str) -> dict[str, Any]:
    message = one.stored.message
    placed = {name: str(value) for name, value in assignment(one).items()}
    pairs = [Tag("Ao-Types", _TYPES), *(Tag(header_case(k), v) for k, v in placed.items())]
    return {
        "assignment": {
            **_texts("", "", one.assignment.id, address, ""),
            "From": address,
            "Tags": tags_in_json(pairs),
        },
        "message": {
            **_texts(
                message.anchor,
                message.data.decode("utf-8", "replace"),
                message.id,
                message.owner,
                "" if message.tag("Type") == "Process" else message.target,
            ),
            "From": printable(message.from_),
            "Tags": tags_in_json(Tag(header_case(tag.name), tag.value) for tag in message.tags),
        },
    }


def _texts(anchor: str, data: str, id_: str, owner: str, target: str) -> dict[str, str]:
    return {
        "Anchor": printable(anchor),
        "Data": data,
        "Id": id_,
        "Owner": owner,
        "Signature": "",
        "Target": printable(target),
    }
