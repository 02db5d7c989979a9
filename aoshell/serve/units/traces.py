"""Traces of a messenger unit: what a message from outside caused, and whether that was delivered.

`GET /?debug=1&process=P&message=M` (or `spawn=`, `assign=`), in pages. A row has the columns of the
unit's own table of traces. Source: servers/mu of permaweb/ao, routes/root.js, clients/tracer.js.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from aoshell.nodes.network_verbs import NetworkVerbs
from aoshell.nodes.values import Hop, NotFoundError
from aoshell.protocol.message import Message, Outgoing
from aoshell.serve.asgi.http import Request, RequestError, Response, json_response
from aoshell.serve.items import absent

Trace: TypeAlias = Callable[[str, str], Awaitable[Sequence[Hop]]]
"""See `Workbench.trace`."""

RESULT_SECONDS = 60.0  # that a push waits for the result whose message it names
PAGE = 10  # rows of a page by default
MOST_ROWS = 1000  # of a page
_NAMED = ("message", "spawn", "assign")


class Traces:
    """Makes traces from the node's log."""

    def __init__(self, network: NetworkVerbs, trace: Trace) -> None:
        self._network = network
        self._trace = trace

    async def page(self, request: Request) -> Response:
        """A page of rows, causes first.

        Raises:
            RequestError: 422, it names no message; 404, the message is not here.
        """
        process = request.parameter("process")
        named = [name for name in _NAMED if request.parameter(name)]
        if not process or len(named) != 1:
            raise RequestError(422, "debug needs process, and one of message, spawn and assign")
        number, size = (_number(request, *one) for one in (("page", 1), ("page-size", PAGE)))
        message = await self._message(process, request.parameter(named[0]))
        hops = await self._trace(message, process)
        rows = [_row(hops, hop) for hop in hops]
        if wallet := request.parameter("wallet"):
            rows = [row for row in rows if row["wallet"] == wallet]
        begin = size * (number - 1)
        return json_response(
            {
                "pageInfo": {"hasNextPage": len(rows) > begin + size},
                "edges": [{"node": row, "cursor": row["id"]} for row in rows[begin : begin + size]],
            }
        )

    async def _message(self, process: str, place: str) -> str:
        """The id of a message in a process; `place` may also be the id of its assignment."""
        try:
            entry = await self._network.entry(process, place)
        except NotFoundError:
            raise absent(process) from None
        if entry is None:
            raise RequestError(404, f"Message {place[:100]} not found")
        return entry.message.id

    async def push(self, process: str, message: str, number: int) -> None:
        """Check that a message of a result was pushed. The node pushes without requests.

        Args:
            number: of the message in the result, from 0 on.

        Raises:
            RequestError: 404, there is no such message; 409, it was not delivered.
        """
        try:
            entry = await self._network.computed(process, message, RESULT_SECONDS)
        except NotFoundError:
            raise absent(process) from None
        if entry is None or entry.result is None:
            raise RequestError(404, f"Message {message[:100]} has no result here")
        sent = [one for one in entry.result.messages if not one.spawn]
        if number >= len(sent):
            raise RequestError(404, "Message number does not exist in the result.")
        own, wanted = (process, entry.message.placed.slot), _facts(sent[number])
        for hop in await self._trace(entry.message.id, process):
            kept = hop.kept
            if kept and (kept.process, kept.slot) == own and _facts(kept.message) == wanted:
                raise RequestError(409, f"the node keeps that message: {kept.reason}")


def _facts(message: Outgoing | Message) -> tuple[str, str, bytes]:
    """The facts by which a sent message is found again: target, anchor, data."""
    return message.target, message.anchor, message.data


def _row(hops: Sequence[Hop], hop: Hop) -> dict[str, Any]:
    parent = hops[hop.cause].entry if hop.cause >= 0 else None
    message = hop.entry.message if hop.entry else hop.kept.message if hop.kept else None
    assert message is not None
    spawns = message.tag("Type") == "Process"
    row: dict[str, Any] = {
        "id": message.id,
        "messageId": message.id,
        "processId": hop.process,
        "wallet": message.owner,
        "parentId": parent.message.id if parent else None,
        "type": "SPAWN" if spawns else "MESSAGE",
        "timestamp": message.assignment.timestamp if message.assignment else None,
    }
    if hop.kept is not None:
        row["error"] = hop.kept.reason
    elif hop.entry and hop.entry.result and not hop.entry.result.ok:
        row["error"] = hop.entry.result.error or hop.entry.result.outcome
    return row


def _number(request: Request, name: str, default: int) -> int:
    text = request.parameter(name) or str(default)
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= MOST_ROWS:
        raise RequestError(422, f"{name} is a number from 1 to {MOST_ROWS:,}")
    return int(text)
