"""Claims `GET /` of browsers, and `GET /~aoshell@1.0/page/…`. Nothing here changes anything."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aoshell import __version__
from aoshell.nodes.served import Span
from aoshell.nodes.values import NotFoundError, Place
from aoshell.protocol.encoding import has_id_form
from aoshell.serve.asgi.http import Request, RequestError, Response, Stream, json_response
from aoshell.serve.asgi.safety import refuse_other_pages
from aoshell.serve.page import data
from aoshell.serve.page.accept import prefers_page
from aoshell.serve.page.events import OverviewWatch
from aoshell.serve.page.files import (
    DATA_POLICY,
    KEPT_TO_ITSELF,
    PAGE,
    PART,
    file_response,
    names,
)
from aoshell.serve.workbench import DEVICE

if TYPE_CHECKING:
    from aoshell.nodes.base import Node
    from aoshell.nodes.network_verbs import NetworkVerbs

MOST_MESSAGES = 200  # of one list
LARGEST_LIST = 4 << 20  # bytes of messages that are read for one list; then it ends early
MOST_HOPS = 300  # of a trace
LARGEST_TRACE = 4 << 20  # bytes of messages that are read for one trace
MOST_SLOTS = 20_000  # the last slots, whose use is shown
MOST_PARTS = 400  # into which these slots are grouped
STATE_SECONDS = 20.0  # for reading a state, including computations before it

_PLACE = re.compile(r"(\d{1,15})(?:\.(\d{1,15}))?\Z", re.A)
_LAST = (1 << 53) - 1  # a tick after every cron message of a slot


class Page:
    """The page for people, and its data.

    Args:
        looks: held while a state is read; all roles share it.
    """

    def __init__(self, node: Node, network: NetworkVerbs, looks: asyncio.Semaphore) -> None:
        self._node = node
        self._network = network
        self._watch = OverviewWatch(network)
        self._looks = looks
        self._parts: dict[str, Callable[[Request], Awaitable[object]]] = {
            "message": self._message,
            "messages": self._messages,
            "node": self._about,
            "process": self._process,
            "state": self._state,
            "trace": self._trace,
            "use": self._use,
        }

    async def close(self) -> None:
        """End all streams of events."""
        await self._watch.close()

    async def answer(self, request: Request) -> Response | Stream | None:
        segments = request.segments
        if not segments:
            wanted = request.method == "GET" and not request.query and prefers_page(request)
            return file_response(request, PAGE) if wanted else None
        if request.device != DEVICE or segments[1:2] != (PART,):
            return None
        if request.method != "GET":
            raise RequestError(405, "the page reads only: GET")
        refuse_other_pages(request, "this is for this node's own page only")
        return await self._below(request, "/".join(segments[2:]))

    async def _below(self, request: Request, name: str) -> Response | Stream:
        if name == "events":
            return self._watch.listen(request.header("last-event-id") or request.parameter("last"))
        if name in names() and name != PAGE:
            return file_response(request, name)
        if name not in self._parts:
            raise RequestError(404, "the page has no such part")
        try:
            answer = json_response(await self._parts[name](request))
        except NotFoundError:
            raise RequestError(404, "this process is not on this node (any more)") from None
        headers = (*answer.headers, DATA_POLICY, *KEPT_TO_ITSELF)
        return Response(answer.status, headers, answer.body)

    async def _about(self, _: Request) -> object:
        network = self._network
        return {"address": network.address, "time": network.time, "version": __version__}

    async def _process(self, request: Request) -> object:
        return data.process_value(await self._node.find(_process_of(request)))

    async def _messages(self, request: Request) -> object:
        """Messages, newest first: the last ones, or those after `after`, or before `before`."""
        after = _place(request, "after") if request.has_parameter("after") else None
        to = None
        if request.has_parameter("before"):
            slot, tick = _place(request, "before")
            to = Place(slot, tick - 1) if tick else Place(slot - 1, _LAST)
        span = Span(after=after, to=to, newest_first=True)
        page = await self._network.glances.entries(
            _process_of(request), span, MOST_MESSAGES, LARGEST_LIST
        )
        return {"messages": [data.row_value(entry) for entry in page.entries], "more": page.more}

    async def _message(self, request: Request) -> object:
        place = _place(request, "at")
        span = Span(after=Place(place.slot, place.tick - 1), to=place)
        page = await self._network.glances.entries(_process_of(request), span, 1, LARGEST_LIST)
        if not page.entries:
            raise RequestError(404, "there is no such message in the log (any more)")
        return data.message_value(page.entries[0])

    async def _trace(self, request: Request) -> object:
        found = await self._network.glances.trace(
            _process_of(request), _place(request, "at"), MOST_HOPS, LARGEST_TRACE
        )
        return data.trace_value(found)

    async def _state(self, request: Request) -> object:
        process = _process_of(request)
        try:
            async with asyncio.timeout(STATE_SECONDS), self._looks:
                state = await self._network.state_at(process, None, "")
        except TimeoutError:
            raise RequestError(
                504, f"the state could not be read within {STATE_SECONDS:g} s"
            ) from None
        return {"state": await asyncio.to_thread(data.state_value, state)}

    async def _use(self, request: Request) -> object:
        found = await self._network.glances.use(_process_of(request), MOST_SLOTS, MOST_PARTS)
        return {"parts": data.use_value(found), "slots": MOST_SLOTS}


def _process_of(request: Request) -> str:
    process = request.parameter("process")
    if not has_id_form(process):
        raise RequestError(400, "process is the id of one (43 characters)")
    return process


def _place(request: Request, name: str) -> Place:
    found = _PLACE.match(request.parameter(name))
    if found is None:
        raise RequestError(400, f"{name} is a slot, or a slot and a tick: 12 or 12.3")
    return Place(int(found[1]), int(found[2] or 0))
