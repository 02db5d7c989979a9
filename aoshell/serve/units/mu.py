"""The messenger unit: takes signed messages and assignments, starts and stops cron."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aoshell.errors import AoError
from aoshell.nodes.httpitem import HttpItem
from aoshell.nodes.values import NotFoundError, Receipt
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import Tag
from aoshell.serve.asgi.http import Request, RequestError, Response, json_response, text_response
from aoshell.serve.items import REFUSED, Checker, absent
from aoshell.serve.units.traces import Traces

if TYPE_CHECKING:
    from aoshell.nodes.network_verbs import NetworkVerbs

CLIENT = "mu"  # who sent a message, in the log
MOST_EXCLUDED = 20  # fields that an assignment leaves out
_ONLY_ONE = "You must set both process-id and assign to send an assignment, not just one"


class MessengerUnit:
    """Claims `POST /`, `/monitor/…`, `/push/…` and `GET /?debug`.

    Args:
        alone: whether it has its own port; it then answers `GET /` too.
    """

    def __init__(
        self,
        network: NetworkVerbs,
        checker: Checker,
        submitting: Submitting,
        traces: Traces,
        *,
        alone: bool = False,
    ) -> None:
        self._network = network
        self._checker = checker
        self._submitting = submitting
        self._traces = traces
        self._alone = alone

    async def answer(self, request: Request) -> Response | None:
        segments = request.segments
        if request.method == "POST" and not segments:
            return await self._post(request)
        if request.method in ("POST", "DELETE") and segments[:1] == ("monitor",):
            if len(segments) == 2:
                return await self._monitor(request, segments[1])
        elif request.method == "POST" and segments[:1] == ("push",) and len(segments) == 3:
            return await self._push(request, segments[1], segments[2])
        elif request.method == "GET" and not segments:
            if request.parameter("debug"):
                return await self._traces.page(request)
            if self._alone:
                return text_response("ao messenger unit")
        return None

    async def _post(self, request: Request) -> Response:
        process, message = request.parameter("process-id"), request.parameter("assign")
        if process and message:
            return await self._assign(request, process, message)
        if process or message:
            raise RequestError(400, _ONLY_ONE)
        item = await self._checker.item(request.body)
        await self._submitting.submit(item, item.tags, item.target, CLIENT)
        # Clients that spawn use `processId` from here if there is one, else the id of their item.
        return json_response({"message": "Processing DataItem", "id": item.id}, 202)

    async def _assign(self, request: Request, process: str, message: str) -> Response:
        """Assign a message of this node; assignments are not signed, and nothing is fetched."""
        excluded = [name for name in request.parameter("exclude").split(",") if name]
        if len(excluded) > MOST_EXCLUDED:
            raise RequestError(400, f"exclude names more than {MOST_EXCLUDED} fields")
        if not has_id_form(message):
            raise RequestError(400, f"{message[:100]!r} is no id of a message (43 characters)")
        if await self._network.item(message) is None:
            raise RequestError(
                404, f"message {message} is not on this node, which fetches nothing for clients"
            )
        try:
            receipt = await self._network.assign(process, message, excluded, client=CLIENT)
        except NotFoundError:
            raise absent(process) from None
        return json_response({"message": "Processing Assignment", "id": receipt.id}, 202)

    async def _push(self, request: Request, message: str, number: str) -> Response:
        """Check that a message of a result was pushed: the node does that when it stores it."""
        if not re.fullmatch("[0-9]{1,9}", number):
            raise RequestError(400, "'number' parameter must be a valid number")
        await self._traces.push(request.parameter("process-id"), message, int(number))
        return json_response({"message": "Processing Message Result", "id": message}, 202)

    async def _monitor(self, request: Request, process: str) -> Response:
        item = await self._checker.item(request.body)
        if item.target != process:
            raise RequestError(400, "the signed item is for another process than the path names")
        on = request.method == "POST"
        try:
            await self._network.monitor(process, on)
        except NotFoundError:
            raise absent(process) from None
        return text_response("Monitoring process" if on else "Process deleted")


class Submitting:
    """Gives verified items to the node.

    Args:
        authority: see `NetworkVerbs.submit`.
        fetch: fetches a module that is not here; None to fetch nothing for clients.
    """

    def __init__(
        self,
        network: NetworkVerbs,
        authority: str,
        fetch: Callable[[str], Awaitable[object]] | None = None,
    ) -> None:
        self._network = network
        self._authority = authority
        self._fetch = fetch

    async def submit(
        self, item: DataItem | HttpItem, tags: tuple[Tag, ...], target: str, client: str
    ) -> Receipt:
        """Schedule an item: a message for its target, or a definition of a new process.

        Args:
            item: verified.
            client: see `NetworkVerbs.submit`.

        Raises:
            RequestError: it cannot be scheduled here.
        """
        kinds = {tag.value for tag in tags if tag.name.lower() == "type"}
        spawns = "Process" in kinds
        if spawns and len(kinds) > 1:
            raise RequestError(
                400,
                'the item has several tags Type, one of them "Process": it may be a message or a'
                " definition. Send it with one",
            )
        if not spawns and not target:
            raise RequestError(
                400,
                'the item has no target, and its tag Type is not "Process": nothing can be done',
            )
        if spawns and self._fetch is not None:
            await self._bring(next((t.value for t in tags if t.name.lower() == "module"), ""))
        try:
            return await self._network.submit(item, authority=self._authority, client=client)
        except NotFoundError:
            raise absent(target) from None
        except AoError as error:
            if error.stage in REFUSED:
                raise RequestError(400, error.what + await self._how(error, tags)) from None
            raise

    async def _how(self, error: AoError, tags: tuple[Tag, ...]) -> str:
        """How to get a missing module, as the end of an error's text."""
        module = next((tag.value for tag in tags if tag.name.lower() == "module"), "")
        if error.stage != "module" or self._fetch is not None or not has_id_form(module):
            return ""
        if await self._network.module(module) is not None:
            return ""
        return "; aoshell serve --fetch asks the gateway for it"

    async def _bring(self, module: str) -> None:
        assert self._fetch is not None
        if any(module == known.id for known in self._network.modules()):
            return  # it is here, or another module replaces it
        if has_id_form(module) and await self._network.module(module) is None:
            try:
                await self._fetch(module)
            except AoError as error:
                raise RequestError(400, f"module {module} cannot be had: {error.what}") from None
