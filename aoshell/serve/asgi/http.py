"""Requests and responses as values, and what a role is. Nothing here knows of sockets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol
from urllib.parse import parse_qsl, unquote

JSON = "application/json"
OCTETS = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"

MOST_PARAMETERS = 1000  # name/value pairs in a query


class RequestError(Exception):
    """A request cannot be answered as it is; the text tells its sender why.

    Args:
        status: of the answer, 400 to 599.
    """

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


@dataclass(frozen=True)
class Request:
    """One complete request.

    Attributes:
        method: in capitals. HEAD reaches roles as GET: the application leaves out the body.
        path: as sent, still percent-encoded; each byte is one character (Latin-1).
        query: as sent, without "?".
        headers: names in lower case and values, in order; each byte is one character (Latin-1).
        body: unpacked from chunks, at most `load.Bounds.body` bytes.
    """

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str, default: str = "") -> str:
        """The value of the first header of that name; `name` is in lower case."""
        return next((value for key, value in self.headers if key == name), default)

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The parts between the slashes of the path, still percent-encoded; () for "/"."""
        path = self.path.strip("/")
        return tuple(path.split("/")) if path else ()

    @cached_property
    def device(self) -> str:
        """The device that the path begins with (`/~device@1.0/…`), in lower case; "" for none.

        Read as HyperBEAM does: parameters may follow, and each character may be percent-encoded.
        """
        first = self.segments[0] if self.segments else ""
        name = unquote(first.partition("&")[0], errors="replace").lower()
        return name[1:] if name.startswith("~") else ""

    @cached_property
    def parameters(self) -> tuple[tuple[str, str], ...]:
        """Names and values of the query, decoded, in order; one without a value has "".

        Raises:
            RequestError: there are too many.
        """
        try:
            pairs = parse_qsl(
                self.query,
                keep_blank_values=True,
                errors="surrogateescape",
                max_num_fields=MOST_PARAMETERS,
            )
        except ValueError:
            raise RequestError(
                400, f"the query has more than {MOST_PARAMETERS:,} parameters"
            ) from None
        return tuple(pairs)

    def parameter(self, name: str, default: str = "") -> str:
        """The value of the first parameter of that name in the query."""
        return next((value for key, value in self.parameters if key == name), default)

    def has_parameter(self, name: str) -> bool:
        return any(key == name for key, _ in self.parameters)


@dataclass(frozen=True, slots=True)
class Response:
    """One complete answer. The application adds content-length and headers for browsers.

    Attributes:
        headers: names in lower case and values, in order; characters up to U+00FF, sent as bytes.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


class Parts(Protocol):
    """Pieces of a body, which come over time. Their reader calls `aclose` at the end."""

    async def __anext__(self) -> bytes:
        """The next piece. Raises StopAsyncIteration after the last."""

    async def aclose(self) -> None:
        """Make no more pieces."""


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer with status 200 whose body has no known end.

    Attributes:
        headers: as those of a `Response`.
        parts: the next one is asked for after the last one was sent, so nothing piles up.
    """

    headers: tuple[tuple[str, str], ...]
    parts: Parts


class Role(Protocol):
    """One service of the network, or a part of one."""

    async def answer(self, request: Request) -> Response | Stream | None:
        """The answer; None where the request is for another role.

        Raises:
            RequestError: it is for this role, and cannot be answered.
            AoError: the node failed.
        """


def asks_message(request: Request) -> bool:
    """Whether a request for an id wants the message in a codec of HyperBEAM, not its data."""
    return bool(
        request.header("require-codec")
        or request.has_parameter("require-codec")
        or request.header("accept") == JSON
    )


def json_response(value: object, status: int = 200) -> Response:
    """A value as JSON. Lone surrogates are escaped, as JSON allows."""
    return Response(status, (("content-type", JSON),), json.dumps(value).encode())


def text_response(text: str, status: int = 200) -> Response:
    """Plain text. Surrogates of `surrogateescape` become their bytes again."""
    return Response(status, (("content-type", TEXT),), text.encode("utf-8", "surrogateescape"))


def failure(status: int, what: str) -> Response:
    """An error as the units of the network give it: `{"error": what}`."""
    return json_response({"error": what}, status)
