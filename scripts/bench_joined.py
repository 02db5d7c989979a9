"""The section "joined" of `bench.py`: one home and many shells."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aoshell.nodes.joined.carrying import Home
from aoshell.nodes.joined.node import HomeNode
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet

Summary = Callable[[list[float]], dict[str, float]]

LINES, TIMES = 200, 10
_CARRIER = """
import asyncio, sys
from pathlib import Path
from aoshell.nodes.joined.carrying import Home
from aoshell.nodes.joined.node import HomeNode

async def carry():
    node = await HomeNode.open(Home(Path(sys.argv[1])))
    print("up", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await node.close()

asyncio.run(carry())
"""


async def joined(wallet: Wallet, folder: Path, summary: Summary) -> dict[str, Any]:
    """A line (already signed, settled) for who carries the node, who joined it in another process,
    and a program whose node has a thread; joining; and taking over from one that was killed."""
    report: dict[str, Any] = {}
    for name, threaded in (("carrier", False), ("program", True)):
        node = await HomeNode.open(Home(folder / name), threaded=threaded)
        report[f"line_{name}"] = summary(await _lines(node, wallet))
        await node.close()
    joins, taken = [], []
    for number in range(TIMES):
        place = folder / str(number)
        carrier = _carrier(place)
        started = time.perf_counter()
        node = await HomeNode.open(Home(place))
        joins.append(time.perf_counter() - started)
        if not number:
            report["line_joined"] = summary(await _lines(node, wallet))
        started = time.perf_counter()
        carrier.kill()
        await node.processes()
        taken.append(time.perf_counter() - started)
        carrier.communicate()
        await node.close()
    return report | {"joining": summary(joins[1:]), "taking_over": summary(taken)}


def _carrier(folder: Path) -> subprocess.Popen[str]:
    """A process that has the node of a folder open."""
    command = [sys.executable, "-c", _CARRIER, str(folder)]
    pipe = subprocess.PIPE
    carrier = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    assert carrier.stdout is not None
    carrier.stdout.readline()
    return carrier


async def _lines(node: HomeNode, wallet: Wallet) -> list[float]:
    """Seconds of each line."""
    definition = await node.sign(wallet, "", tags_of([("Module", "aos")]), b"")
    receipt = await node.spawn(definition)
    await node.result(receipt.process, 0)
    tags = tags_of([("Action", "Eval")])
    items = [await node.sign(wallet, receipt.process, tags, b"return 1") for _ in range(LINES)]
    times = []
    for item in items:
        started = time.perf_counter()
        place = (await node.send(receipt.process, item)).place
        await node.result(receipt.process, place)
        await node.settled(item.id)
        times.append(time.perf_counter() - started)
        await asyncio.sleep(0)
    return times
