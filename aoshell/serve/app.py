"""The ASGI application: a request is read, given to the role that claims it, and answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, TypeAlias

from aoshell.bounded.sizes import size
from aoshell.errors import AoError
from aoshell.serve.http import Request, RequestError, Response, Role, failure

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]

LARGEST_BODY = 16 << 20  # bytes of a request


class ClientGoneError(Exception):
    """The client has closed the connection."""


class Application:
    """Answers requests by the first role that claims them.

    Args:
        roles: asked in order.
    """

    def __init__(self, roles: Sequence[Role]) -> None:
        self._roles = tuple(roles)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            return
        try:
            response = await self._respond(scope, receive)
        except ClientGoneError:
            return
        await _send(response, send, head=scope["method"] == "HEAD")

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        try:
            return await self._ask(_request(scope, await _body(receive)))
        except RequestError as error:
            return failure(error.status, str(error))
        except AoError as error:
            return failure(500, str(error))

    async def _ask(self, request: Request) -> Response:
        for role in self._roles:
            if (response := await role.answer(request)) is not None:
                return response
        return failure(404, f"nothing answers {request.method} {request.path[:200]} here")


def _request(scope: Scope, body: bytes) -> Request:
    method = scope["method"]
    return Request(
        "GET" if method == "HEAD" else method,
        scope["raw_path"].decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ),
        body,
    )


async def _body(receive: Receive) -> bytes:
    parts, length, more = [], 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGoneError
        part = event.get("body", b"")
        length += len(part)
        if length > LARGEST_BODY:
            raise RequestError(413, f"the body is larger than {size(LARGEST_BODY)}")
        parts.append(part)
        more = event.get("more_body", False)
    return b"".join(parts)


async def _send(response: Response, send: Send, *, head: bool) -> None:
    headers = [
        *response.headers,
        ("content-length", str(len(response.body))),
    ]
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": [
                (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers
            ],
        }
    )
    await send({"type": "http.response.body", "body": b"" if head else response.body})
