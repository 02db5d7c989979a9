"""How costs grow: measures each with 1, 10 and 100 times as much, in processor time.

The exponent is that of n operations in the presence of n others: 1 means that the cost of one
operation stays the same. More than `CEILING` is a defect.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import bench_homes

from aoshell.protocol.message import Result

CEILING = 1.1
RUNS = 7  # of each operation; the least time counts: other programs only add time
LATE = 3.0  # seconds within which the follow-up work of an operation ends
TICKS = os.sysconf("SC_CLK_TCK")

Cost = dict[str, float]
"""Seconds of one operation, by its name."""


class Node(Protocol):
    """The part of a `bench.Bench` that is used here."""

    folder: Path
    node: Any

    async def open(self) -> None: ...

    async def spawn(self, name: str) -> str: ...

    async def run(self, process: str, code: str, settle: bool = True) -> Result: ...


async def growth(make: Callable[[], Awaitable[Node]], counter: str) -> dict[str, Any]:
    """Costs and exponents, and the names of those that grow too fast.

    Args:
        make: opens a node in a new home.
        counter: code that counts messages with the action Inc.
    """
    report: dict[str, Any] = {}
    for name, measure, sizes in _DIMENSIONS:
        costs: dict[str, list[float]] = {}
        for size in sizes:
            bench = await make()
            for operation, seconds in (await measure(bench, counter, size)).items():
                costs.setdefault(operation, []).append(seconds)
            await bench.node.close()
        for operation, found in costs.items():
            report[f"{name}: {operation}"] = {
                "sizes": list(sizes),
                "us": [round(1e6 * seconds, 2) for seconds in found],
                "exponent": _exponent(sizes, found),
            }
    too_fast = [name for name, row in report.items() if row["exponent"] > CEILING]
    return {"rows": report, "above_the_ceiling": too_fast}


def _exponent(sizes: tuple[int, ...], seconds: list[float]) -> float:
    """The exponent of the cost of n operations among n others: the slope between first and last
    size."""
    grown = math.log(seconds[-1] / seconds[0]) / math.log(sizes[-1] / sizes[0])
    return round(1 + grown, 2)


def used() -> float:
    """Seconds of processor time of this program and all that it has started."""
    parents: dict[int, int] = {}
    times: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            pid = int(entry.name)
            parents[pid] = int(fields[1])
            times[pid] = sum(map(int, fields[11:15])) / TICKS
    own, found = os.getpid(), time.process_time()
    for pid, seconds in times.items():
        at = pid
        while at in parents and at != own:
            at = parents[at]
        if at == own and pid != own:
            found += seconds
    return found


async def cost(call: Callable[[], Awaitable[Any]], runs: int = RUNS) -> float:
    """Seconds of the shell's processor time for a call, the least of several."""
    await call()
    seconds = []
    for _ in range(runs):
        begin = time.process_time()
        await call()
        seconds.append(time.process_time() - begin)
    return min(seconds)


async def whole_cost(call: Callable[[], Awaitable[Any]], times: int) -> float:
    """The same for the shell and all its workers, per call of `times` calls: their clock is
    coarse."""
    await call()
    begin = used()
    for _ in range(times):
        await call()
    return max(used() - begin, 1 / TICKS) / times


async def _reopened(bench: Node) -> float:
    """Seconds of opening and looking a process up."""

    async def reopen() -> None:
        await bench.open()
        await bench.node.find("long")
        await bench.node.close()

    await bench.node.close()
    seconds = await cost(reopen)
    await bench.open()
    return seconds


async def _of_log(bench: Node, counter: str, size: int) -> Cost:
    """Messages in the log."""
    process = await bench.spawn("long")
    await bench.run(process, counter)
    await bench.run(process, "Send({Target = ao.id, Action = 'Inc'})")
    await bench.node.close()
    bench_homes.lengthen(bench.folder, process, size)
    await bench.open()
    found = {"open": await _reopened(bench)}
    node = bench.node

    async def last_messages() -> None:
        slots = await node.slots(process)
        await node.schedule(process, slots - 20, slots - 1)
        await node.results(process, slots - 21, 200)

    await bench.run(process, "return 1")  # replays the log once, and a checkpoint follows
    await asyncio.sleep(LATE)
    found["find"] = await cost(lambda: node.find(process))
    found["overview"] = await cost(lambda: node.network.glances.overview(50))
    found[".messages"] = await cost(last_messages)
    found["line"] = await cost(lambda: bench.run(process, "return 1"))
    return found


async def _of_processes(bench: Node, counter: str, size: int) -> Cost:
    """Processes that exist."""
    process = await bench.spawn("long")
    await bench.run(process, counter)
    await bench.node.close()
    made = bench_homes.multiply(bench.folder, process, size)
    await bench.open()
    found = {"open": await _reopened(bench)}
    node, others = bench.node, iter(made)
    found["find"] = await cost(lambda: node.find(process))
    found["overview"] = await cost(lambda: node.network.glances.overview(50))
    found["line"] = await cost(lambda: bench.run(process, "return 1"))

    async def first() -> None:
        await bench.run(next(others), "return 1")

    found["first line to another"] = await cost(first)
    found[".ps"] = await cost(node.processes, 1) / size
    return found


async def _of_outbox(bench: Node, counter: str, size: int) -> Cost:
    """Messages of one line."""
    sender, target = await bench.spawn("sender"), await bench.spawn("target")
    await bench.run(target, counter)
    code = f"for i = 1, {size} do Send({{Target = '{target}', Action = 'Inc'}}) end"
    calls = max(1, 2000 // size)
    return {
        "shell, a message": await cost(lambda: bench.run(sender, code)) / size,
        "all, a message": await whole_cost(lambda: bench.run(sender, code), calls) / size,
    }


async def _of_inbox(bench: Node, _counter: str, size: int) -> Cost:
    """Messages in the Inbox."""
    process = await bench.spawn("inbox")
    fill = "{Id = tostring(i), Action = 'X', Tags = {Action = 'X', N = tostring(i)}}"
    await bench.run(process, f"for i = 1, {size} do Inbox[i] = {fill} end")
    return await _lines_and_messages(bench, process, "Nobody")


async def _of_keys(bench: Node, counter: str, size: int) -> Cost:
    """Keys of a table of the state."""
    process = await bench.spawn("keys")
    await bench.run(process, counter)
    await bench.run(process, f"Big = {{}} for i = 1, {size} do Big['key' .. i] = i end")
    return await _lines_and_messages(bench, process, "Inc")


async def _of_handlers(bench: Node, _counter: str, size: int) -> Cost:
    """Handlers that are asked about a message."""
    process = await bench.spawn("handlers")
    add = "Handlers.add('h' .. i, 'A' .. i, function() end)"
    await bench.run(process, f"for i = 1, {size} do {add} end")
    found = await _lines_and_messages(bench, process, f"A{size}")
    return {"line": found["line"], "message, a handler": found["message"] / size}


async def _lines_and_messages(bench: Node, process: str, action: str) -> Cost:
    """Costs of a line, and of a message out of 500 of that action."""
    send = f"for i = 1, 500 do Send({{Target = ao.id, Action = '{action}'}}) end"
    await asyncio.sleep(LATE)
    return {
        "line": await whole_cost(lambda: bench.run(process, "return 1"), 20),
        "message": await whole_cost(lambda: bench.run(process, send), 3) / 500,
    }


async def _of_feed(bench: Node, counter: str, size: int) -> Cost:
    """Results that come while the feed shows what a process prints."""
    from aoshell.shell.attached.feed import FeedView

    sender, target = await bench.spawn("sender"), await bench.spawn("target")
    await bench.run(target, counter.replace("Count = Count + 1", "Count = Count + 1 print(Count)"))
    shown: list[str] = []

    async def no_name(_id: str) -> str:
        return ""

    view = FeedView(bench.node, shown.append, no_name)
    view.attach(target, "target")
    following = asyncio.create_task(view.follow())
    code = f"for i = 1, {size} do Send({{Target = '{target}', Action = 'Inc'}}) end"

    async def pass_by() -> None:
        await bench.run(sender, code)
        await view.caught_up()
        view.flush()

    seconds = await cost(pass_by) / size
    following.cancel()
    assert sum(text.count("\n") + 1 for text in shown) == size * (RUNS + 1), len(shown)
    return {"a result": seconds}


_DIMENSIONS: list[tuple[str, Callable[[Any, str, int], Awaitable[Cost]], tuple[int, ...]]] = [
    ("messages in the log", _of_log, (1_000, 10_000, 100_000)),
    ("processes", _of_processes, (100, 1_000, 10_000)),
    ("outbox", _of_outbox, (100, 1_000, 10_000)),
    ("Inbox", _of_inbox, (100, 1_000, 10_000)),
    ("keys of the state", _of_keys, (1_000, 10_000, 100_000)),
    ("handlers", _of_handlers, (10, 100, 1_000)),
    ("live feed", _of_feed, (100, 1_000, 10_000)),
]
