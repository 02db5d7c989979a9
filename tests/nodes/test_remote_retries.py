"""What is sent again, how often and after which pause; never a request that could act twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from eventually import SECONDS, until
from http_server import (
    Server,
    keeps_silent,
    mocked,
    quick,
    seen,
)

from aoshell.nodes.remote.http import client as http
from aoshell.nodes.remote.http.client import Client, ConnectionLostError
from aoshell.nodes.remote.http.progress import Waiting

__all__ = ["quick"]  # a fixture


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_busy_reads_are_asked_again(status: int) -> None:
    client = mocked(httpx.Response(status), httpx.Response(status), httpx.Response(200))
    assert asyncio.run(client.get("read", "/")).ok
    assert len(seen(client)) == 3


@pytest.mark.parametrize(("status", "times"), [(429, 5), (503, 5), (502, 1), (504, 1), (500, 1)])
def test_busy_writes_are_sent_again_only_where_nothing_was_done(status: int, times: int) -> None:
    client = mocked(httpx.Response(status))
    assert asyncio.run(client.ask("schedule", "POST", "/", body=b"item")).status == status
    assert len(seen(client)) == times


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_kept(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    client = mocked(
        httpx.Response(status, headers={"retry-after": "3"}),
        httpx.Response(status, headers={"retry-after": "99999"}),
        httpx.Response(status, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        httpx.Response(200),
    )
    assert asyncio.run(client.get("read", "/")).ok
    assert pauses[:2] == [3.0, http.LONGEST_PAUSE]
    assert pauses[2] < 1


def test_why_it_takes_long_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, stages = Waiting(), []

    async def sleep(_: float) -> None:
        stages.append(waiting.stage)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    answers = iter([httpx.Response(429), httpx.Response(200)])
    transport = httpx.MockTransport(lambda _: next(answers))
    asyncio.run(Client("https://node.example", waiting, transport).get("read", "/"))
    (stage,) = stages
    assert stage is not None
    assert (stage.name, stage.where) == ("read", "https://node.example")
    assert stage.note.startswith("busy (429); try 2 of 5")
    assert waiting.stage is None


def test_how_much_is_there_is_seen() -> None:
    waiting, notes = Waiting(), set[str]()

    class Counted(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(3):
                yield bytes(1 << 20)
                notes.add(waiting.stage.note if waiting.stage else "")

    length = {"content-length": str(3 << 20)}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Counted(), headers=length))
    asyncio.run(Client("https://node.example", waiting, transport).get("fetch", "/"))
    assert {"1 of 3 MB", "2 of 3 MB"} <= notes


def test_what_never_left_may_go_again() -> None:
    client = mocked(httpx.ConnectError("refused"), httpx.Response(202))
    assert asyncio.run(client.ask("schedule", "POST", "/", body=b"item")).status == 202
    assert len(seen(client)) == 2


def test_what_may_have_arrived_does_not() -> None:
    for error in (httpx.ReadError("reset"), httpx.WriteError("gone"), httpx.ReadTimeout("late")):
        client = mocked(error)
        with pytest.raises(ConnectionLostError):
            asyncio.run(client.ask("schedule", "POST", "/", body=b"item"))
        assert len(seen(client)) == 1


def test_giving_up_is_not_held_up() -> None:
    async def whole() -> None:
        async with Server(keeps_silent).serving() as server:
            waiting = Waiting()
            client = Client(server.url, waiting)
            task = asyncio.ensure_future(client.get("read", "/"))
            await until(lambda: server.requests)
            assert waiting.stage is not None and waiting.stage.name == "read"
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, SECONDS)
            assert waiting.stage is None
            await client.close()

    asyncio.run(whole())
