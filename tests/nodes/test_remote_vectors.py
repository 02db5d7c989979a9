"""`HyperBeamNode` against what a real node answered: a server that replays recorded exchanges."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hyper_server import HyperServer, Reply, Request, serving

from aoshell.errors import AoError
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.hyperbeam.binding import PROCESS, Asked
from aoshell.nodes.remote.hyperbeam.node import HyperBeamNode
from aoshell.nodes.remote.hyperbeam.trust import Trust
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.values import HttpMessage, Verify
from aoshell.protocol import httpsig
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet

# What HTTP itself makes of an answer; the body is whole here.
TRANSPORT = ("transfer-encoding", "connection", "content-length", "date", "server")


class Replay(HyperServer):
    """Answers what was recorded for a method and path, and 404 for the rest."""

    def __init__(self, folder: Path, wallet: Wallet) -> None:
        super().__init__(wallet)
        self.recorded: dict[str, Any] = {}
        for path in sorted(folder.glob("*.json")):
            exchange = json.loads(path.read_text())
            asked = exchange["request"]
            line = asked["line"].removesuffix(" HTTP/1.1") if "line" in asked else ""
            line = line or f"{asked['method']} {asked['path']}"
            self.recorded[line] = exchange

    def route(self, request: Request) -> Reply:
        asked = request.path.replace("from=0&to=0", "from=0&to=3")  # more was asked for then
        exchange = self.recorded.get(f"{request.method} {asked}")
        return replied(exchange) if exchange else (404, [("content-type", "text/html")], b"<html>")


def replied(exchange: Any) -> Reply:
    said = exchange["response"]
    raw = said.get("body_b64")
    body = base64.b64decode(raw) if raw else said.get("body_text", "").encode()
    headers = [
        (name.lower(), value) for name, value in said["headers"] if name.lower() not in TRANSPORT
    ]
    return int(said.get("status") or said["line"].split()[1]), headers, body


@pytest.fixture
def replay(shared: Path, wallet: Wallet) -> Replay:
    return Replay(shared / "vectors/hyperbeam", wallet)


@asynccontextmanager
async def up(replay: Replay, folder: Path, wallet: Wallet) -> AsyncIterator[HyperBeamNode]:
    async def who() -> Wallet:
        return wallet

    class Nothing:
        async def close(self) -> None: ...

    async with serving(replay):
        gateway: Any = Nothing()
        node = HyperBeamNode(replay.url, Book(folder / "b"), gateway, who, Waiting())
        try:
            yield node
        finally:
            await node.close()


def process_of(replay: Replay, label: str) -> str:
    return next(line.split("/")[1][:43] for line in replay.recorded if label in line)


@pytest.mark.parametrize("level", [Verify.OFF, Verify.ON])
def test_reads(replay: Replay, wallet: Wallet, tmp_path: Path, level: Verify) -> None:
    async def body() -> None:
        async with up(replay, tmp_path, wallet) as node:
            node.verify = level
            assert (await node.info()).address == "pH0bzhB45TmbnN2NsVqjbjPYT6KS_N3JFtswz0ElmKc"
            process = process_of(replay, "schedule?from=0")
            assert await node.slots(process) == 3
            listed = await node.schedule(process, 0, 3)
            assert [one.data for one in listed][:2] == [b"", b"return 1 + 1"]
            first = await node.result(process, 1)
            assert (first.output, first.prompt, first.ok) == ("2", "aos> ", True)
            output = await node.now(process, "results/output")
            assert output == {"data": "1", "prompt": "aos> "}
            tags = tags_of([("Action", "Eval")])
            assert isinstance(await node.sign(wallet, process, tags, b"1"), HttpMessage)
            with pytest.raises(AoError):
                await node.result(process, 99)

    asyncio.run(asyncio.wait_for(body(), 60))


@pytest.mark.parametrize("level", [Verify.OFF, Verify.ON])
def test_results_of_wasm(replay: Replay, wallet: Wallet, tmp_path: Path, level: Verify) -> None:
    async def body() -> None:
        async with up(replay, tmp_path, wallet) as node:
            node.verify = level
            lines = [line for line in replay.recorded if line.endswith("compute&slot=1/results")]
            outputs = [(await node.result(line.split("/")[1][:43], 1)).output for line in lines]
            assert sorted(outputs) == ["11", "2"]

    asyncio.run(asyncio.wait_for(body(), 60))


def test_assignments_that_a_real_node_signed_are_verified(replay: Replay) -> None:
    node = "pH0bzhB45TmbnN2NsVqjbjPYT6KS_N3JFtswz0ElmKc"
    signed = 0
    for exchange in replay.recorded.values():
        status, headers, body = replied(exchange)
        trust = Trust("recorded", lambda _: None)
        trust.address = node
        trust.read(Response("", status, tuple(headers), body), "test")
        signed += trust.state == "verified"
    assert signed >= 4


def test_what_nodes_of_later_versions_signed_is_taken(shared: Path, wallet: Wallet) -> None:
    later = Replay(shared / "vectors/hyperbeam-2025-09", wallet)
    taken = refused = 0
    for line, exchange in later.recorded.items():
        status, headers, body = replied(exchange)
        answer = Response("", status, tuple(headers), body)
        checked = httpsig.check(headers, body)
        trust = Trust("recorded", lambda _: None)
        trust.level = Verify.ON
        trust.address = checked.committers[0] if checked.committers else "A" * 43
        process = line.split("/")[1][:43] if "~process@1.0" in line else ""
        asked = Asked(line, {PROCESS: process} if process else {})
        if checked.outcome is httpsig.SignatureStatus.VERIFIED:
            assert trust.read(answer, "compute", asked)
            taken += 1
        else:
            with pytest.raises(AoError):
                trust.read(answer, "compute", asked)
            refused += 1
    assert taken >= 10 and refused >= 5


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("sept-compute-no-such-slot-404", "404 Requested slot not yet available in schedule."),
        ("sept-now-missing-key-404", "404 not_found"),
        ("sept-compute-500-details-header", "500 (what it says is not signed"),
        ("sept-push-wasm-400-but-scheduled", "does not: 400"),
    ],
)
def test_of_real_errors_what_is_signed_is_shown(shared: Path, name: str, shown: str) -> None:
    exchange = json.loads((shared / f"vectors/hyperbeam-2025-09/{name}.json").read_text())
    status, headers, body = replied(exchange)
    trust = Trust("recorded", lambda _: None)
    trust.level, trust.address = Verify.ON, "FF8HBVo_0bw6zf7HOyoG0ChBdna-JaWicSgbvMSJOIQ"
    assert shown in trust.failure(Response("", status, tuple(headers), body), "compute", "does not")
