"""The scheduler unit: messages with their assignments, one or a page, by time or by nonce.

Source: servers/su of permaweb/ao (main.rs, domain/core/json.rs, domain/clients/store.rs). A compute
unit checks the hash chain of what it reads here.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aoshell.nodes.served import Scheduled, Span, Stored
from aoshell.nodes.values import NotFoundError, Place
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url, has_id_form
from aoshell.protocol.message import Message, Tag, printable
from aoshell.serve.asgi.http import JSON, Request, RequestError, Response, json_response
from aoshell.serve.items import absent
from aoshell.serve.units.results import tags_in_json

if TYPE_CHECKING:
    from aoshell.nodes.network_verbs import NetworkVerbs

MOST_MESSAGES = 1000  # of one page
LARGEST_PAGE = 32 << 20  # bytes of a page; a larger one ends early
_DEFAULT_MESSAGES = 100
_STEP = 50  # messages that are read at once, so that the loop can do other things in between
_HEIGHT = 12  # digits of a block height
_LISTS = ("process-id", "from", "to", "limit", "from-nonce", "to-nonce")


def asks_scheduler(request: Request) -> bool:
    """Whether the query of a request is one of a scheduler unit."""
    return any(map(request.has_parameter, _LISTS))


class SchedulerUnit:
    """Claims `/processes/…`, `/timestamp`, and ids whose query is that of a scheduler unit.

    Args:
        alone: whether it has its own port; it then answers `GET /`, and `GET /<id>` with any query.
    """

    def __init__(self, network: NetworkVerbs, *, alone: bool = False) -> None:
        self._network = network
        self._alone = alone

    async def answer(self, request: Request) -> Response | None:
        if request.method != "GET":
            return None
        match request.segments:
            case ():
                return self._about() if self._alone else None
            case ("timestamp",):
                now = {
                    "timestamp": str(self._network.time),
                    "block_height": _height(self._network.height),
                }
                return json_response(now)
            case ("processes", process):
                return await self._process(process)
            case (process, "latest") if self._claims(request, process):
                return await self._latest(process)
            case (id,) if self._claims(request, id):
                return await self._one_or_page(request, id)
        return None

    def _claims(self, request: Request, id: str) -> bool:
        return has_id_form(id) and (self._alone or asks_scheduler(request))

    def _about(self) -> Response:
        return json_response(
            {"timestamp": str(self._network.time), "address": self._network.address}
        )

    async def _process(self, process: str) -> Response:
        found = await self._scheduled(process, 0)
        if found is None:
            raise _unknown(absent(process))
        placed, message = found.stored.message.placed, _message(found.stored)
        del message["id"]
        described = {"process_id": process, "block": _height(placed.block_height)} | message
        if (origin := await self._network.forked(process)) is not None:
            # Another fork of this fork needs it: up to that slot others signed the assignments in
            # the hash chain, and slots within a memory have no messages.
            described["forked"] = {
                "source": origin.source,
                "slot": origin.slot,
                "memory": origin.memory,
            }
        return json_response(described | {"timestamp": placed.timestamp})

    async def _latest(self, process: str) -> Response:
        page = await self._page(process, Span(newest_first=True), 1)
        if not page[0]:
            raise RequestError(400, "Latest message not available")
        return json_response(_node(page[0][0]))

    async def _one_or_page(self, request: Request, id: str) -> Response:
        process = request.parameter("process-id") or id
        if id != process:
            found = await self._scheduled(process, id)
            if found is None:
                raise RequestError(400, "Message or Process not found")
            return json_response(_node(found))
        by_nonce = request.has_parameter("from-nonce") or request.has_parameter("to-nonce")
        limit = min(_number(request, "limit") or _DEFAULT_MESSAGES, MOST_MESSAGES)
        span = _nonces(request) if by_nonce else _times(request)
        edges, more = await self._edges(process, span, limit, by_nonce=by_nonce)
        info = b"true" if more else b"false"
        body = b'{"page_info":{"has_next_page":%b},"edges":[%b]}' % (info, b",".join(edges))
        return Response(200, (("content-type", JSON),), body)

    async def _edges(
        self, process: str, span: Span, limit: int, *, by_nonce: bool
    ) -> tuple[list[bytes], bool]:
        """Encoded edges, and whether more follow."""
        edges: list[bytes] = []
        size, more, last = 0, True, None
        while more and len(edges) < limit and size < LARGEST_PAGE:
            found, more = await self._page(process, span, min(_STEP, limit - len(edges)))
            for one in found:
                edges.append(_edge(one, by_nonce))
                size += len(edges[-1])
                last = one
            if last is not None:
                span = replace(span, after=Place(_slot(last)))
            await asyncio.sleep(0)
        if more and last is not None and not by_nonce:
            rest, more = await self._rest_of_moment(process, span, last)
            edges += rest
        return edges, more

    async def _rest_of_moment(
        self, process: str, span: Span, last: Scheduled
    ) -> tuple[list[bytes], bool]:
        """The other messages with the last message's time: the next page begins after that time."""
        edges: list[bytes] = []
        found = [last]
        while found:
            found, more = await self._page(process, span, _STEP)
            same = [one for one in found if _time(one) == _time(last)]
            edges += [_edge(one, False) for one in same]
            if len(same) < len(found) or not more:
                return edges, len(same) < len(found)
            span = replace(span, after=Place(_slot(same[-1])))
        return edges, False

    async def _page(self, process: str, span: Span, limit: int) -> tuple[list[Scheduled], bool]:
        try:
            page = await self._network.schedule_page(process, span, limit)
        except NotFoundError:
            raise _unknown(absent(process)) from None
        return list(page.entries), page.more

    async def _scheduled(self, process: str, place: int | str) -> Scheduled | None:
        try:
            return await self._network.scheduled(process, place)
        except NotFoundError:
            raise _unknown(absent(process)) from None


def _unknown(error: RequestError) -> RequestError:
    """An error with the status that scheduler units give for missing things."""
    return RequestError(400, f"{error}")


def _number(request: Request, name: str, least: int = 0) -> int | None:
    text = request.parameter(name)
    if not text:
        return None
    digits = text.removeprefix("-")
    if not digits.isdecimal() or len(digits) > 15 or int(text) < least:
        raise RequestError(400, f"{name} is a number from {least} on")
    return int(text)


def _times(request: Request) -> Span:
    return Span(since=_number(request, "from"), until=_number(request, "to"))


def _nonces(request: Request) -> Span:
    after, to = _number(request, "from-nonce", -1), _number(request, "to-nonce")
    return Span(None if after is None else Place(after), None if to is None else Place(to))


def _edge(found: Scheduled, by_nonce: bool) -> bytes:
    cursor = str(_slot(found) if by_nonce else _time(found))
    return json.dumps({"node": _node(found), "cursor": cursor}).encode()


def _slot(found: Scheduled) -> int:
    return found.stored.message.placed.slot


def _time(found: Scheduled) -> int:
    return found.stored.message.placed.timestamp


def _node(found: Scheduled) -> dict[str, Any]:
    item = found.assignment
    assignment = {
        "id": item.id,
        "owner": {"address": item.owner_address, "key": b64url(item.owner)},
        "tags": tags_in_json(item.tags),
        "signature": b64url(item.signature),
        "anchor": None,
        "target": None,
    }
    # A compute unit gets a message that was assigned from elsewhere from the gateway.
    return {"message": None if found.assigned else _message(found.stored), "assignment": assignment}


def _message(stored: Stored) -> dict[str, Any]:
    message, signed = stored.message, stored.signed
    key = b64url(signed.owner) if isinstance(signed, DataItem) else ""
    signature = b64url(signed.signature) if isinstance(signed, DataItem) else ""
    return {
        "id": message.id,
        "owner": {"address": message.owner, "key": key},
        "data": _text_of(message),
        "tags": tags_in_json(_tags_of(message, signed)),
        "signature": signature,
        "anchor": printable(message.anchor) or None,
        "target": _target_of(message, signed) or None,
    }


def _tags_of(message: Message, signed: object) -> tuple[Tag, ...]:
    """The tags as they were signed; the log drops tags that claim who a message is from."""
    return signed.tags if isinstance(signed, DataItem) else message.tags


def _target_of(message: Message, signed: object) -> str:
    """The target as it was signed; in the log, a definition has its own process as target."""
    return signed.target if isinstance(signed, DataItem) else message.target


def _text_of(message: Message) -> str | None:
    """The data as text; None if it is not UTF-8, as a real unit leaves that out."""
    try:
        return message.data.decode()
    except UnicodeDecodeError:
        return None


def _height(height: int) -> str:
    return str(height).zfill(_HEIGHT)
