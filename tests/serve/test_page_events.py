"""Changes as server-sent events: bounded, never queued, resumed after a broken connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asgi_client import LOOPBACK, Sender, ask
from eventually import in_loop, turns, until
from served_node import COUNTER, ServedNode, served

from aoshell.nodes.glances import Overview, Progress
from aoshell.nodes.values import Place
from aoshell.protocol.wallet import Wallet
from aoshell.serve.asgi.app import Application
from aoshell.serve.asgi.load import Load
from aoshell.serve.asgi.safety import Guard
from aoshell.serve.page import events
from aoshell.serve.page.events import OverviewWatch
from aoshell.serve.page.role import Page

EVENTS = "/~aoshell@1.0/page/events"


class Told:
    """A stream as a browser reads it."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.last = ""
        self.comments = 0

    async def event(self) -> Any:
        """The data of the next event."""
        async for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "id":
                self.last = value
            elif name == "data":
                return json.loads(value)
            elif line.startswith(":"):
                self.comments += 1
        raise AssertionError("the stream has ended")

    async def comment(self) -> None:
        """Return at the next comment."""
        async for line in self._lines:
            assert not line.startswith("data"), line
            if line.startswith(":"):
                return

    async def end(self) -> None:
        async for _ in self._lines:
            pass


@asynccontextmanager
async def listening(on: ServedNode, last: str = "", **query: str) -> AsyncIterator[Told]:
    head = {"last-event-id": last} if last else {}
    async with on.client.stream("GET", EVENTS, headers=head, params=query) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert "content-length" not in answer.headers
        yield Told(answer.aiter_lines())


@in_loop
async def test_what_arrives_is_told(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER, Name="p")
        await on.node.idle()
        async with listening(on) as told:
            first = await told.event()
            assert first["whole"] and first["total"] == 1
            row = {"id": process, "name": "p", "slots": 2, "at": "1", "computed": "1"}
            assert first["processes"] == [row]
            await on.send(process, Action="Add")
            while (next := await told.event())["processes"][0]["computed"] != "2":
                pass
            assert not next["whole"] and next["processes"] == [
                row | {"slots": 3, "at": "2", "computed": "2"}
            ]
            other = await on.spawn("", Name="q")
            assert other in [one["id"] for one in (await told.event())["processes"]]


@in_loop
async def test_taken_back_is_told(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER)
        other = await on.spawn()
        await on.node.idle()
        async with listening(on) as told:
            before = await told.event()
            await on.node.workbench.undo(process, 1)
            while (next := await told.event())["cuts"] == before["cuts"]:
                pass
            assert next["whole"] and next["processes"][1]["slots"] == 1
            await on.node.delete(other)
            while (next := await told.event())["total"] != 1:
                pass
            assert [one["id"] for one in next["processes"]] == [process]


@in_loop
async def test_who_comes_back_is_told_what_it_missed(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER)
        await on.node.idle()
        async with listening(on) as told:
            await told.event()
            last = told.last
        async with listening(on, last) as told:
            await told.comment()  # nothing
        async with listening(on, last=last) as told:
            await told.comment()
            await on.send(process, Action="Add")
            assert not (await told.event())["whole"]
        async with listening(on, last) as told:
            again = await told.event()
            assert again["whole"] and again["processes"][0]["slots"] == 3
            last = told.last
    async with served(folder, wallet) as on:  # another process, the same log
        async with listening(on, last) as told:
            await told.comment()
        async with listening(on, "x" * 5000) as told:
            assert (await told.event())["whole"]


@in_loop
async def test_streams_have_a_number(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_STREAMS", 2)
    monkeypatch.setattr(events, "PACE", 0.01)  # a stream that has gone is seen when it is due
    async with served(folder, wallet) as on:
        async with listening(on) as one, listening(on) as two:
            await one.event()
            await two.event()
            refused = await on.client.get(EVENTS)
            assert refused.status_code == 503 and "2 pages" in refused.json()["error"]
        for _ in range(5):  # those that were closed leave
            while (await on.client.head(EVENTS)).status_code != 200:
                await asyncio.sleep(0.02)


@in_loop
async def test_a_stream_says_that_it_lives(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "ALIVE_SECONDS", 0.05)
    async with served(folder, wallet) as on, listening(on) as told:
        await told.event()
        await told.comment()
        await told.comment()


@in_loop
async def test_a_server_that_ends_ends_its_streams(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on, listening(on) as told:
        await told.event()
        closing = asyncio.create_task(on.serving.close())
        await told.end()
        await closing


def overview(count: int, slots: int) -> Overview:
    at = Place(slots - 1)
    rows = tuple(Progress(str(n) * 43, "x" * 200, slots, at, at) for n in range(count))
    return Overview(0, count, rows)


class Network:
    """A node that changes when it is told to."""

    def __init__(self) -> None:
        self.now = overview(9, 1)
        self.looks = 0
        self.changed = asyncio.Event()

    @property
    def glances(self) -> Network:
        return self

    async def overview(self, most: int) -> Overview:
        assert most == events.MOST_PROCESSES
        self.looks += 1
        return self.now

    async def stored_changed(self) -> None:
        self.changed.clear()
        await self.changed.wait()

    def change(self, slots: int) -> None:
        self.now = overview(9, slots)
        self.changed.set()


@in_loop
async def test_who_takes_nothing_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event is made when the one before is taken, and covers all changes since."""
    monkeypatch.setattr(events, "PACE", 0.0)
    network: Any = Network()
    watch = OverviewWatch(network)
    stream = watch.listen("")
    assert b"retry" in await stream.parts.__anext__()
    assert b'"whole": true' in await stream.parts.__anext__()
    for slots in range(2, 200):
        network.change(slots)
        await turns()
    event = (await stream.parts.__anext__()).decode()
    assert '"slots": 199' in event and event.count("data:") == 1
    waiting = asyncio.ensure_future(stream.parts.__anext__())
    await turns()
    assert not waiting.done()  # there is no other
    waiting.cancel()
    await stream.parts.aclose()
    looks = network.looks
    network.change(500)
    await turns()
    assert network.looks == looks  # nobody listens: nobody looks


@in_loop
async def test_all_listeners_share_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PACE", 0.0)
    network: Any = Network()
    watch = OverviewWatch(network)
    streams = [watch.listen("") for _ in range(events.MOST_STREAMS)]
    for stream in streams:
        await stream.parts.__anext__()
        await stream.parts.__anext__()
    assert network.looks == 1
    await watch.close()
    for stream in streams:
        with pytest.raises(StopAsyncIteration):
            await stream.parts.__anext__()


@in_loop
async def test_a_client_that_goes_is_left(folder: Path, wallet: Wallet) -> None:
    """Without a socket: it leaves while nothing happens, and while a part is sent."""
    async with served(folder, wallet) as on:
        page = Page(on.node, on.node.network, Load().dry_runs)
        app = Application([page], Guard())
        for _ in range(events.MOST_STREAMS + 1):
            sender = Sender()
            asked = asyncio.create_task(ask(app, target=EVENTS, headers=[LOOPBACK], sender=sender))
            await until(lambda sender=sender: b"data: " in sender.answer.body)
            sender.leaves.set()
            await asked
        await page.close()


@in_loop
async def test_a_slow_reader_is_closed_and_holds_up_nobody(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, told_first = events._event, []

    def first_is_large(*given: Any) -> bytes:
        """Make the first event larger than the buffers of a connection."""
        told_first.append(True)
        return (b":" + b" " * (32 << 20) if len(told_first) == 1 else b"") + made(*given)

    monkeypatch.setattr(events, "_event", first_is_large)
    monkeypatch.setattr(events, "PACE", 0.0)
    monkeypatch.setattr("aoshell.serve.asgi.server.STALLED_SECONDS", 0.5)
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER)
        await on.node.idle()
        reader, writer = await asyncio.open_connection("127.0.0.1", on.serving.facts.port)
        reader._transport.pause_reading()
        writer.write(f"GET {EVENTS} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        await until(lambda: told_first)
        async with listening(on) as told:
            for _ in range(3):
                await on.send(process, Action="Add")
            while (await told.event())["processes"][0]["computed"] != "4":
                pass
        monkeypatch.setattr(events, "MOST_STREAMS", 1)
        while (await on.client.head(EVENTS)).status_code == 503:  # it is there still
            await asyncio.sleep(0.05)
        writer.close()
