"""Asks an application without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from aoshell.serve.asgi.app import Application
from aoshell.serve.asgi.http import Request, Response

LOOPBACK = ("host", "127.0.0.1:4000")


@dataclass
class Answer:
    """The answer; `status` 0 if there was none."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Echo:
    """A role that answers everything, and keeps what it was asked."""

    asked: list[Request] = field(default_factory=list)
    response: Response | None = field(default_factory=lambda: Response(200, (), b"here"))
    before: Callable[[Request], Any] | None = None

    async def answer(self, request: Request) -> Response | None:
        self.asked.append(request)
        if self.before is not None:
            await self.before(request)
        return self.response


class Sender:
    """The other side of one connection.

    Args:
        parts: of the body; the client waits before the rest where `leaves` is set.
        leaves: set when the client closes the connection.

    Attributes:
        read: how many parts were taken.
    """

    def __init__(self, parts: Iterable[bytes] = (b"",), leaves: asyncio.Event | None = None):
        self.parts = list(parts)
        self.leaves = leaves or asyncio.Event()
        self.read = 0
        self.answer = Answer()

    async def receive(self) -> dict[str, Any]:
        if self.read < len(self.parts):
            self.read += 1
            more = self.read < len(self.parts)
            return {"type": "http.request", "body": self.parts[self.read - 1], "more_body": more}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, event: Any) -> None:
        if event["type"] == "http.response.start":
            self.answer.status = event["status"]
            for name, value in event["headers"]:
                self.answer.headers[name.decode("latin-1")] = value.decode("latin-1")
        else:
            self.answer.body += event["body"]


async def ask(
    app: Application,
    method: str = "GET",
    target: str = "/",
    headers: Iterable[tuple[str, str]] = (LOOPBACK,),
    body: bytes = b"",
    *,
    sender: Sender | None = None,
) -> Answer:
    """One request; a length is given for the body."""
    sender = sender or Sender([body])
    path, _, query = target.partition("?")
    given = [*headers]
    if body and not any(name == "content-length" for name, _ in given):
        given.append(("content-length", str(len(body))))
    scope = {
        "type": "http",
        "method": method,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given],
    }
    await app(scope, sender.receive, sender.send)
    return sender.answer
