"""The compute unit: results, pages of them, dry runs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aoshell.bounded import jsontext
from aoshell.nodes.served import Span
from aoshell.nodes.values import LogEntry, NotFoundError, Place
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import Message
from aoshell.serve.asgi.http import JSON, OCTETS, Request, RequestError, Response, json_response
from aoshell.serve.items import Checker, absent
from aoshell.serve.units.kept import KeptAnswers
from aoshell.serve.units.results import (
    ASC,
    DESC,
    Cursor,
    read_cursor,
    result_of,
    tags_from_json,
    to_cu,
    write_cursor,
)

if TYPE_CHECKING:
    from aoshell.nodes.base import LocalVerbs, Node
    from aoshell.nodes.network_verbs import NetworkVerbs

RESULT_SECONDS = 60.0  # that a request waits for a result that is not computed yet
MOST_RESULTS = 1000  # of one page
LARGEST_STATE = 512 << 20  # bytes of a memory that is handed out
LARGEST_PAGE = 16 << 20  # bytes of a page; a larger one ends early
_DEFAULT_RESULTS = 25
_DEFAULT_CRON = 500
_STEP = 50  # results that are read at once, so that the loop can do other things in between
_LAST_TICK = 1 << 53  # after every cron message of a slot


class ComputeUnit:
    """Claims `/result/…`, `/results/…`, `/cron/…`, `/state/…` and `/dry-run`.

    Args:
        dry_runs: held while a dry run computes.
        alone: whether it has its own port; it then answers `GET /` too.
    """

    def __init__(
        self,
        node: Node,
        network: NetworkVerbs,
        checker: Checker,
        dry_runs: asyncio.Semaphore,
        *,
        alone: bool = False,
    ) -> None:
        self._node = node
        self._network = network
        self._checker = checker
        self._alone = alone
        self._dry_runs = dry_runs
        self._memories = asyncio.Lock()  # held while a memory is made, as it is large
        self._kept = KeptAnswers()

    async def answer(self, request: Request) -> Response | None:
        segments = request.segments
        if request.method == "POST" and segments == ("dry-run",):
            return await self._dry_run(request)
        if request.method != "GET":
            return None
        if len(segments) == 2 and segments[0] == "result":
            return await self._result(request, segments[1])
        if len(segments) == 2 and segments[0] in ("results", "cron"):
            return await self._results(request, segments[1], only_cron=segments[0] == "cron")
        if len(segments) == 2 and segments[0] == "state":
            return await self._state(segments[1])
        if self._alone and not segments:
            return json_response(
                {"address": self._network.address, "timestamp": self._network.time}
            )
        return None

    async def _result(self, request: Request, message: str) -> Response:
        process = _process_of(request)
        key = process, message, self._network.cuts
        if (kept := self._kept.get(key)) is not None:
            return kept
        place = int(message) if message.isdecimal() and len(message) < 16 else message
        try:
            entry = await self._network.computed(process, place, RESULT_SECONDS)
            if entry is None and await self._network.entry(process, place) is None:
                raise RequestError(404, f"Message {message[:100]} not found")
        except NotFoundError:
            raise absent(process) from None
        if entry is None:  # answer as a busy unit does
            text = f'Evaluation of process "{process}" to "{message}" is in progress.'
            return json_response({"message": text}, 202)
        response = json_response(result_of(entry))
        self._kept.put(key, response)
        return response

    async def _state(self, process: str) -> Response:
        """The memory that a fork begins with, in the form of a real unit.

        Other processes' memories are refused: they are in workers, not in files.
        """
        try:
            forked = await self._network.forked(process)
            async with self._memories:
                memory = await self._network.base(process, LARGEST_STATE)
        except NotFoundError:
            raise absent(process) from None
        if forked is not None and memory is not None:
            head = (("content-type", OCTETS), ("last-ordinate", str(forked.memory)))
            return Response(200, head, memory)
        raise RequestError(
            501,
            "this node does not hand out the memory of a process. Its log is at"
            f" /{process}?process-id={process}; aoshell dump FILE writes the whole node",
        )

    # Pages ------------------------------------------------------------------------------------

    async def _results(self, request: Request, process: str, *, only_cron: bool) -> Response:
        begin, end = (_cursor(request, name) for name in ("from", "to"))
        # As in a real unit, the order in a cursor has priority over the parameter `sort`.
        sort = begin.sort or end.sort or request.parameter("sort", ASC).upper()
        if sort not in (ASC, DESC):
            raise RequestError(400, "sort is ASC or DESC")
        limit = _limit(request, _DEFAULT_CRON if only_cron else _DEFAULT_RESULTS)
        span = Span(begin.place, end.place, begin.time, end.time, newest_first=sort == DESC)
        try:
            edges, more = await self._edges(process, span, limit, sort, only_cron=only_cron)
        except NotFoundError:
            raise absent(process) from None
        info = b"true" if more else b"false"
        body = b'{"pageInfo":{"hasNextPage":%b},"edges":[%b]}' % (info, b",".join(edges))
        return Response(200, (("content-type", JSON),), body)

    async def _edges(
        self, process: str, span: Span, limit: int, sort: str, *, only_cron: bool
    ) -> tuple[list[bytes], bool]:
        """Encoded edges, and whether more follow."""
        edges: list[bytes] = []
        size, more = 0, True
        while more and len(edges) < limit and size < LARGEST_PAGE:
            step = _STEP if only_cron else min(_STEP, limit - len(edges))
            page = await self._network.page(process, span, step, failed=False)
            more = page.more
            for entry in page.entries:
                if only_cron and not _place(entry).tick:
                    continue
                if len(edges) == limit or size >= LARGEST_PAGE:
                    return edges, True
                edge = {"node": result_of(entry), "cursor": write_cursor(entry, sort)}
                edges.append(json.dumps(edge).encode())
                size += len(edges[-1])
            if more and page.entries:
                span = _behind(span, _place(page.entries[-1]))
            await asyncio.sleep(0)
        return edges, more

    # Dry runs -----------------------------------------------------------------------------------

    async def _dry_run(self, request: Request) -> Response:
        process = _process_of(request)
        message = await self._checker.run(lambda: _unsigned(process, request.body))
        async with self._dry_runs:
            try:
                to = request.parameter("to")
                result = await (
                    self._local.workbench.at(process, await self._slot(process, to), message)
                    if to
                    else self._node.dryrun(process, message)
                )
            except NotFoundError:
                raise absent(process) from None
        return json_response(to_cu(result))

    @property
    def _local(self) -> LocalVerbs:
        assert self._node.local is not None  # only a local node has `network`
        return self._node.local

    async def _slot(self, process: str, message: str) -> int:
        entry = await self._network.computed(process, message, RESULT_SECONDS)
        if entry is None:
            raise RequestError(404, f"Message {message[:100]} not found")
        return _place(entry).slot


def _process_of(request: Request) -> str:
    process = request.parameter("process-id")
    if not process:
        raise RequestError(400, "the query needs process-id, the id of a process")
    if not has_id_form(process):
        raise absent(process)
    return process


def _cursor(request: Request, name: str) -> Cursor:
    text = request.parameter(name)
    return read_cursor(text) if text else Cursor()


def _limit(request: Request, default: int) -> int:
    text = request.parameter("limit") or str(default)
    if not text.isdecimal() or len(text) > 15 or not int(text):
        raise RequestError(400, "limit is a number from 1 on")
    return min(int(text), MOST_RESULTS)


def _place(entry: LogEntry) -> Place:
    placed = entry.message.placed
    return Place(placed.slot, placed.tick)


def _behind(span: Span, last: Place) -> Span:
    """The part of a span after a place, in its order."""
    if not span.newest_first:
        return replace(span, after=last)
    before = Place(last.slot, last.tick - 1) if last.tick else Place(last.slot - 1, _LAST_TICK)
    return replace(span, to=before)


def _unsigned(process: str, body: bytes) -> Message:
    """The message of a dry run. It is not signed, so its Owner is not checked.

    Raises:
        RequestError: 400, the body is not JSON of this form.
    """
    try:
        fields = jsontext.parse(body, strict=False)
    except ValueError as error:
        raise RequestError(400, f"the body is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise RequestError(400, "the body is a JSON object with Owner, Target, Data and Tags")
    tags, owner = tags_from_json(fields.get("Tags") or []), _text(fields, "Owner")
    sender = next((tag.value for tag in tags if tag.name == "From-Process"), owner)
    data = fields.get("Data")
    text = data if isinstance(data, str) else "" if data is None else json.dumps(data)
    return Message(
        _text(fields, "Id"),
        owner,
        sender,
        _text(fields, "Target") or process,
        tags,
        text.encode("utf-8", "surrogatepass"),
        _text(fields, "Anchor"),
    )


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RequestError(400, f"{name} is a text")
    return value
