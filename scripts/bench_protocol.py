"""The section "protocol" of `bench.py`: items, signed messages, and a request to a node."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.hyperbeam.node import HyperBeamNode
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.values import envelope
from aoshell.protocol import httpsig, signing
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet

Summary = Callable[[list[float]], dict[str, float]]

TAGS = (*envelope("Message"), *tags_of([("Action", "Eval")]))
RUNS, TRIPS = 40, 100
SIZES = {"1_kb": 1 << 10, "10_mb": 10 << 20}
PROCESS = "A" * 43


async def protocol(wallet: Wallet, folder: Path, summary: Summary) -> dict[str, Any]:
    """Times in milliseconds. `floor` in the same report says what a signature costs."""
    report: dict[str, Any] = {}
    for name, size in SIZES.items():
        data, runs = bytes(size), RUNS if size < 1 << 20 else RUNS // 4
        raw = DataItem.sign(wallet, PROCESS, TAGS, data).raw
        report[f"item_{name}"] = {
            "sign_encode": summary(_timed(partial(_item, wallet, data), runs)),
            "parse_verify": summary(_timed(partial(_checked, raw), runs)),
        }
    message = {f"key-{number}": f"value {number}" for number in range(50)}
    headers, body = signing.sign(wallet, message)
    report["httpsig_50_keys"] = {
        "sign": summary(_timed(lambda: signing.sign(wallet, message), RUNS)),
        "verify": summary(_timed(lambda: httpsig.verify(headers, body), RUNS)),
    }
    return report | await _round_trips(wallet, folder, summary)


def _item(wallet: Wallet, data: bytes) -> bytes:
    return DataItem.sign(wallet, PROCESS, TAGS, data).raw


def _checked(raw: bytes) -> None:
    assert DataItem.parse(raw).verify()


def _timed(call: Callable[[], object], runs: int) -> list[float]:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


async def _round_trips(wallet: Wallet, folder: Path, summary: Summary) -> dict[str, Any]:
    """Times to send a signed message to a server on loopback that answers at once."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, limit=1 << 20)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def who() -> Wallet:
        return wallet

    gateway: Any = _NoGateway()
    book = Book(folder / "remote.db")
    book.put(url, "process", PROCESS, {"device": "genesis-wasm@1.0"})
    node = HyperBeamNode(url, book, gateway, who, Waiting())
    item = await node.sign(wallet, PROCESS, TAGS, b"1+1")
    times = []
    for _ in range(TRIPS):
        start = time.perf_counter()
        receipt = await node.send(PROCESS, item)
        times.append(time.perf_counter() - start)
        assert receipt.slot == 1
    await node.close()
    server.close()
    return {"round_trip_without_signature": summary(times[10:])}


class _NoGateway:
    async def close(self) -> None: ...


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    body = json.dumps({"slot": 1}).encode()
    lines = ("HTTP/1.1 200 OK", "content-type: application/json", f"content-length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode()
    try:
        while True:
            asked = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(asked.partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            writer.write(head + body)
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        writer.close()
