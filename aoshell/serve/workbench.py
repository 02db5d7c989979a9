"""The workbench over HTTP, for clients with the token: `/~aoshell@1.0/VERB`.

Other clients cannot move the clock, take slots back or sign as somebody else. Answers name no files
of this machine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from aoshell.bounded import jsontext
from aoshell.errors import AoError
from aoshell.nodes.values import NotFoundError
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import raw
from aoshell.protocol.wallet import Wallet
from aoshell.serve.asgi.http import Request, RequestError, Response, failure, json_response
from aoshell.serve.asgi.safety import has_token
from aoshell.serve.items import REFUSED, absent
from aoshell.serve.units.results import tags_from_json

if TYPE_CHECKING:
    from aoshell.nodes.base import Node, Workbench

DEVICE = "aoshell@1.0"
LONGEST_TEXT = 256  # characters of a name or an id
SignAs: TypeAlias = Callable[[str], Awaitable[Wallet]]
"""Returns the wallet of an identity of the home; makes a new one if there is none."""

_Fields: TypeAlias = dict[str, Any]


class TokenWorkbench:
    """Claims `/~aoshell@1.0/…`.

    Args:
        token: the token that `Authorization: Bearer` must have.
        sign_as: None where the home's identities cannot be used.
    """

    def __init__(self, node: Node, token: str, sign_as: SignAs | None) -> None:
        assert node.local is not None
        self._node = node
        self._bench: Workbench = node.local.workbench
        self._token = token
        self._sign_as = sign_as
        self._verbs: dict[str, Callable[[_Fields], Awaitable[object]]] = {
            "as": self._as,
            "fork": self._fork,
            "pause": self._pause,
            "snapshot": self._snapshot,
            "snapshots": self._snapshots,
            "step": self._step,
            "tick": self._tick,
            "undo": self._undo,
            "warp": self._warp,
        }

    async def answer(self, request: Request) -> Response | None:
        if request.device != DEVICE:
            return None
        if not has_token(request, self._token):
            refused = failure(401, "Authorization: Bearer and the token that the start printed")
            headers = (*refused.headers, ("www-authenticate", "Bearer"))
            return Response(refused.status, headers, refused.body)
        known = ", ".join(self._verbs)
        if len(request.segments) != 2 or request.segments[1] not in self._verbs:
            raise RequestError(404, f"POST /~{DEVICE}/VERB, with one of {known}")
        if request.method != "POST":
            raise RequestError(405, f"/~{DEVICE}/{request.segments[1]} is asked by POST")
        try:
            return json_response(await self._verbs[request.segments[1]](_fields(request.body)))
        except AoError as error:
            if error.stage in REFUSED and not isinstance(error, NotFoundError):
                raise RequestError(400, error.what) from None
            raise

    async def _warp(self, fields: _Fields) -> object:
        return {"ahead_ms": await self._bench.warp(_number(fields, "milliseconds"))}

    async def _undo(self, fields: _Fields) -> object:
        process, slot = await self._process(fields), _number(fields, "slot")
        await self._bench.undo(process, slot)  # the file that it returns stays on this machine
        return {"process": process, "slot": slot}

    async def _fork(self, fields: _Fields) -> object:
        slot = _number(fields, "slot") if "slot" in fields else None
        made = await self._bench.fork(await self._process(fields), slot, _name(fields))
        return {"id": made.id, "name": made.name}

    async def _snapshot(self, fields: _Fields) -> object:
        name = _name(fields)
        if len(name.split()) > 1:
            raise RequestError(400, "the name of a snapshot is one word")
        return {"name": name, "slot": await self._bench.mark(await self._process(fields), name)}

    async def _snapshots(self, fields: _Fields) -> object:
        return dict(await self._bench.marks(await self._process(fields)))

    async def _tick(self, fields: _Fields) -> object:
        return {"ticks": await self._bench.tick(await self._process(fields))}

    async def _pause(self, fields: _Fields) -> object:
        on = fields.get("on")
        if not isinstance(on, bool):
            raise RequestError(400, "on is true or false")
        await self._bench.pause(await self._process(fields), on)
        return {"paused": on}

    async def _step(self, fields: _Fields) -> object:
        process = await self._process(fields)
        await self._bench.step(process, _number(fields, "index") if "index" in fields else 0)
        return {"left": len(await self._bench.queued(process))}

    async def _as(self, fields: _Fields) -> object:
        if self._sign_as is None:
            raise RequestError(501, "this node has no identities to sign as")
        process = await self._process(fields)
        tags = tags_from_json(fields.get("tags") or [])
        wallet = await self._sign_as(_text(fields, "name"))
        data = raw(str(fields.get("data") or ""))
        item = await self._node.sign(wallet, process, tags, data)
        receipt = await self._node.send(process, item)
        return {"id": receipt.id, "slot": receipt.slot, "owner": wallet.address}

    async def _process(self, fields: _Fields) -> str:
        """The id of the process that the request names by id or name."""
        reference = _text(fields, "process")
        try:
            return (await self._node.find(reference)).id
        except NotFoundError:
            if has_id_form(reference):
                raise absent(reference) from None
            raise


def _fields(body: bytes) -> _Fields:
    try:
        fields = jsontext.parse(body or b"{}")
    except UnicodeDecodeError:
        raise RequestError(400, "the body is not JSON: it is not UTF-8") from None
    except ValueError as error:
        raise RequestError(400, f"the body is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise RequestError(400, "the body is a JSON object")
    return fields


def _number(fields: _Fields, name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise RequestError(400, f"{name} is a whole number from 0 on")
    return value


def _text(fields: _Fields, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise RequestError(400, f"{name} is a text, and not empty")
    if len(value) > LONGEST_TEXT:
        raise RequestError(
            400, f"{name} has {len(value):,} characters; {LONGEST_TEXT} are the most"
        )
    return value


def _name(fields: _Fields) -> str:
    """A name that may be shown later in a terminal. Raises RequestError if it is unfit."""
    name = _text(fields, "name")
    if not name.isprintable() or name != name.strip():
        raise RequestError(400, "name has no control characters, and no space at its ends")
    return name
