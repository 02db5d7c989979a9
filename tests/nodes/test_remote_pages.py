"""Endless lists and huge numbers of a node are refused at named bounds."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from aoshell.errors import AoError
from aoshell.nodes.remote.http import pages
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.legacy import units
from aoshell.protocol.encoding import b64url

PROCESS = b64url(bytes(32))


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_PAGES", 20)


def edge(slot: int) -> dict[str, Any]:
    tags = {"Process": PROCESS, "Nonce": str(slot), "Timestamp": str(slot)}
    listed = [{"name": name, "value": value} for name, value in tags.items()]
    message = {"id": PROCESS, "owner": {"address": "x"}, "tags": [], "data": ""}
    return {"node": {"message": message, "assignment": {"tags": listed}}}


def asked(reply: Callable[[int], object], ask: Callable[[Client], Any]) -> AoError:
    """The error if `reply(number of earlier requests)` answers each request."""
    counted = itertools.count()

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/latest"):
            return httpx.Response(404)
        return httpx.Response(200, json=reply(next(counted)))

    async def whole() -> None:
        await ask(Client("http://node.example", Waiting(), httpx.MockTransport(handle)))

    with pytest.raises(AoError, match="does not come to an end: it lists more than 20") as caught:
        asyncio.run(asyncio.wait_for(whole(), 60))
    return caught.value


def test_a_log_that_goes_on_for_ever() -> None:
    error = asked(
        lambda n: {"edges": [edge(n)]}, lambda client: units.SchedulerUnit(client).latest(PROCESS)
    )
    assert error.stage == "schedule"


def test_pages_of_what_was_there_before() -> None:
    reply = {"edges": [edge(1)], "page_info": {"has_next_page": True}}
    asked(lambda _: reply, lambda client: units.SchedulerUnit(client).page(PROCESS, 5))


@pytest.mark.parametrize(
    ("said", "is_one"),
    [("0", True), ("9" * 30, True), ("9" * 31, False), ("", False), ("-1", False), ("٣", False)],
)
def test_numbers(said: str, is_one: bool) -> None:
    assert pages.is_number(said) is is_one
