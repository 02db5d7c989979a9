"""The ASGI application: checks a request, reads it, and has the role that claims it answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeAlias

from aoshell.bounded.sizes import size
from aoshell.errors import AoError, UnsupportedError, UsageError
from aoshell.nodes.values import NotFoundError, WithheldError
from aoshell.protocol.encoding import ProtocolError
from aoshell.scarcity import to_ao_error
from aoshell.serve.asgi.http import Request, RequestError, Response, Role, Stream, failure
from aoshell.serve.asgi.load import Load, Share
from aoshell.serve.asgi.safety import Guard

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]

MOST_HEADERS = 4096  # of a request
LARGEST_HEAD = 1 << 20  # bytes of a request line with its headers
BODY_SECONDS = 60.0  # for a body to come
ANSWER_SECONDS = 120.0  # for an answer to be made
SENDING_SECONDS = 60.0  # for an answer to be taken
_PIECE = 256 << 10  # bytes that are handed to a connection at once
_NOTICED = 1.0  # seconds of work after which we begin to notice whether the client has gone

# The rest of a refused body is read and dropped: if the connection was closed at once, the client
# would not get the answer.
_DROPPED = 64 << 20  # bytes at most
_DROPPING_SECONDS = 5.0
_CHUNKED = "transfer-encoding"

_STATUS: tuple[tuple[type[AoError], int], ...] = (
    (NotFoundError, 404),
    (WithheldError, 403),
    (UsageError, 400),
    (ProtocolError, 400),
    (UnsupportedError, 501),
)


class ClientGoneError(Exception):
    """The client has closed the connection."""


class Application:
    """Answers requests by the first role that claims them.

    Args:
        roles: asked in order.
        guard: decides whether a request is read.
        tell: shows an error that no client caused to the person who serves.
        hidden: folders of this machine, which errors to clients must not contain.
        load: counts what requests use, in all applications that share it.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        guard: Guard,
        tell: Callable[[AoError], None] = lambda _: None,
        hidden: Sequence[str] = (),
        load: Load | None = None,
    ) -> None:
        self._roles = tuple(roles)
        self._guard = guard
        self._tell = tell
        self._hidden = tuple(hidden)
        self._load = load or Load()
        self._looks = _SharedTimer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            return
        request = _head(scope)
        reading, share = _BodyReading(request, receive, self._load), Share(self._load.answers)
        self._load.requests += 1
        try:
            response = await self._respond(request, reading, share)
            if isinstance(response, Stream):
                await self._send_stream(request, response, send, reading)
            else:
                await self._send(request, response, send, whole=reading.whole)
        except (ClientGoneError, TimeoutError):
            return  # the server closes the connection
        finally:
            share.give_back()
            self._load.requests -= 1
            self._load.bodies -= reading.length

    async def _respond(
        self, request: Request, reading: _BodyReading, share: Share
    ) -> Response | Stream:
        try:
            _check_head(request)
            if (response := self._guard.check(request)) is not None:
                return response
            self._load.check_requests()
            body = await reading.read()
            method = "GET" if request.method == "HEAD" else request.method
            with _AnswerLimit(reading.gone, self._looks):
                return await self._made(replace(request, method=method, body=body), share)
        except RequestError as error:
            return self._failure(error.status, str(error))
        except AoError as error:
            return self._failed(error)
        except ClientGoneError:
            raise
        except asyncio.CancelledError:  # by the server, which waits a little for this answer
            return self._failure(503, "this server is shutting down; the request was cut off")
        except Exception as error:
            reported = to_ao_error(error)
            self._tell(reported)
            return self._failed(reported)

    async def _made(self, request: Request, share: Share) -> Response | Stream:
        """The answer. A large one needs a share of the room.

        Its length is known only after it was made. So an answer that finds no room is dropped, and
        made again once there is room: waiting requests hold no memory.
        """
        response = await self._ask(request)
        while (
            isinstance(response, Response)
            and len(response.body) > _PIECE
            and not share.take(len(response.body))
        ):
            length = len(response.body)
            if request.method != "GET":  # only reads may be done twice
                most = size(self._load.answers.most)
                raise RequestError(503, f"answers under way take {most}; try again soon")
            del response
            await share.wait(length)
            response = await self._ask(request)
        return response

    async def _ask(self, request: Request) -> Response | Stream:
        for role in self._roles:
            if (response := await role.answer(request)) is not None:
                return response
        raise RequestError(404, f"nothing answers {request.method} {request.path[:200]} here")

    def _failed(self, error: AoError) -> Response:
        """An error of the node, without its hint, which is for the person who serves."""
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
        return self._failure(status, f"{error.stage}: {error.what}")

    def _failure(self, status: int, what: str) -> Response:
        for text in self._hidden:
            what = what.replace(text, "…")
        return failure(status, what)

    async def _send(self, request: Request, response: Response, send: Send, *, whole: bool) -> None:
        own = (*response.headers, ("content-length", str(len(response.body))))
        if not whole:  # the rest of the body would be read as the next request
            own = (*own, ("connection", "close"))
        body = b"" if request.method == "HEAD" else response.body
        await send(self._begin(request, response.status, own))
        if len(body) <= _PIECE:
            await send({"type": "http.response.body", "body": body})
        else:
            await self._send_in_pieces(body, send)

    async def _send_stream(
        self, request: Request, stream: Stream, send: Send, reading: _BodyReading
    ) -> None:
        """Send each part once the last was taken, until there are no more or the client goes."""
        leaving = asyncio.ensure_future(reading.gone())
        try:
            await send(self._begin(request, 200, stream.headers))
            while request.method != "HEAD":
                coming = asyncio.ensure_future(_next(stream))
                await asyncio.wait({coming, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if leaving.done() or (part := coming.result()) is None:
                    coming.cancel()
                    break
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            leaving.cancel()
            await stream.parts.aclose()

    def _begin(self, request: Request, status: int, headers: tuple[tuple[str, str], ...]) -> Event:
        """The head of an answer, with the headers that browsers need."""
        present = {name for name, _ in headers}
        more = (pair for pair in self._guard.headers(request) if pair[0] not in present)
        raw = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in (*headers, *more)
        ]
        return {"type": "http.response.start", "status": status, "headers": raw}

    async def _send_in_pieces(self, body: bytes, send: Send) -> None:
        """Send a body as fast as the client takes it: only a piece at a time is copied.

        Raises:
            TimeoutError: the client does not take it within `SENDING_SECONDS`.
        """
        async with asyncio.timeout(SENDING_SECONDS):
            for at in range(0, len(body), _PIECE):
                piece = body[at : at + _PIECE]
                more = at + _PIECE < len(body)
                await send({"type": "http.response.body", "body": piece, "more_body": more})
                await asyncio.sleep(0)  # lets the server notice that the client has gone


async def _next(stream: Stream) -> bytes | None:
    """The next part; None after the last one."""
    try:
        return await stream.parts.__anext__()
    except StopAsyncIteration:
        return None


def _check_head(request: Request) -> None:
    """Raise RequestError for a head that is too large. The server closes endless ones itself."""
    if len(request.headers) > MOST_HEADERS:
        raise RequestError(431, f"the request has more than {MOST_HEADERS:,} headers")
    line = len(request.method) + len(request.path) + len(request.query)
    if line + sum(len(name) + len(value) for name, value in request.headers) > LARGEST_HEAD:
        raise RequestError(431, f"the head of the request is larger than {size(LARGEST_HEAD)}")


def _head(scope: Scope) -> Request:
    return Request(
        scope["method"],
        scope["raw_path"].decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ),
    )


class _BodyReading:
    """Reads the body of one request.

    Args:
        load: counts the bytes of all requests.

    Attributes:
        length: bytes of this body that are counted there.
        whole: whether there is no body, or it was read to its end.
    """

    def __init__(self, head: Request, receive: Receive, load: Load) -> None:
        self._head = head
        self._receive = receive
        self._load = load
        self.length = 0
        self.whole = not (head.header("content-length", "0") != "0" or head.header(_CHUNKED))

    async def read(self) -> bytes:
        """The body.

        Raises:
            RequestError: it is too large, or takes too long.
            ClientGoneError: it breaks off.
        """
        largest = self._load.bounds.body
        announced = self._head.header("content-length")
        if announced.isdecimal() and int(announced[:20]) > largest:
            raise await self._too_large()
        parts = []
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while not self.whole:
                    part = await self._part()
                    self.length += len(part)
                    self._load.hold(len(part))
                    if self.length > largest:
                        raise await self._too_large()
                    parts.append(part)
        except TimeoutError:
            raise RequestError(408, f"the body did not come within {BODY_SECONDS:g} s") from None
        return b"".join(parts)

    async def gone(self) -> None:
        """Return once the client has closed the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _part(self) -> bytes:
        event = await self._receive()
        if event["type"] == "http.disconnect":
            raise ClientGoneError
        self.whole = not event.get("more_body", False)
        part: bytes = event.get("body", b"")
        return part

    async def _too_large(self) -> RequestError:
        waits = self._head.header("expect").lower() == "100-continue" and not self.length
        dropped = _DROPPED if waits else 0  # a client that waits has sent nothing yet
        with suppress(TimeoutError):
            async with asyncio.timeout(_DROPPING_SECONDS):
                while not self.whole and dropped < _DROPPED:
                    dropped += len(await self._part())
        return RequestError(413, f"the body is larger than {size(self._load.bounds.body)}")


class _AnswerLimit:
    """A context manager: cancels its block when the client goes, or after `ANSWER_SECONDS`.

    Nearly all work ends before `look` is called, which costs a task and a timer.

    Args:
        gone: returns once the client has closed the connection.
        looks: calls `look` within `_NOTICED` seconds.

    Raises:
        ClientGoneError: the client went.
        RequestError: 504, the block took too long.
    """

    def __init__(self, gone: Callable[[], Awaitable[None]], looks: _SharedTimer) -> None:
        self._gone = gone
        self._looks = looks
        self._why: Exception | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._leaving: asyncio.Future[None] | None = None
        self._looks.begin(self, self._loop)

    def look(self) -> None:
        """From now on cancel the block if the client goes, or when its time is up."""
        late = RequestError(504, f"no answer could be made within {ANSWER_SECONDS:g} s")
        self._timer = self._loop.call_later(ANSWER_SECONDS - _NOTICED, self._end, late)
        self._leaving = asyncio.ensure_future(self._gone())
        self._leaving.add_done_callback(
            lambda left: None if left.cancelled() else self._end(ClientGoneError())
        )

    def _end(self, why: Exception) -> None:
        if self._why is None and self._task is not None:
            self._why = why
            self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._looks.end(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._leaving is not None:
            self._leaving.cancel()
        if self._why is not None and self._task is not None:
            self._task.uncancel()
            if kind is asyncio.CancelledError:
                raise self._why from None


class _SharedTimer:
    """One timer for all blocks under way: a timer for each would cost more than most of them."""

    def __init__(self) -> None:
        self._begun: dict[_AnswerLimit, None] = {}
        self._waits = False

    def begin(self, work: _AnswerLimit, loop: asyncio.AbstractEventLoop) -> None:
        self._begun[work] = None
        if not self._waits:
            self._waits = True
            loop.call_later(_NOTICED, self._look)

    def end(self, work: _AnswerLimit) -> None:
        self._begun.pop(work, None)

    def _look(self) -> None:
        self._waits = False
        begun, self._begun = self._begun, {}
        for work in begun:
            work.look()
