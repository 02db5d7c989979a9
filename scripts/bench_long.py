"""The section "long" of `bench.py`: a log of a million messages, and that many messages passing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench_homes
from bench_growth import LATE, Node, used

MESSAGES = 1_000_000
ROUNDS, OF_ROUND = 100, 10_000  # messages that pass, a line at a time
RUNS = 7
Summary = Callable[[list[float]], dict[str, float]]


async def long(bench: Node, counter: str, summary: Summary, messages: int) -> dict[str, Any]:
    """Opening, looking, a line and verifying with a log of so many messages.

    The line after the first one counts, and openings after one that left a checkpoint.
    """
    import asyncio

    process = await bench.spawn("long")
    await bench.run(process, counter)
    await bench.run(process, "Send({Target = ao.id, Action = 'Inc'})")
    await bench.node.close()
    begin = time.perf_counter()
    bench_homes.lengthen(bench.folder, process, messages)
    report: dict[str, Any] = {"made_s": round(time.perf_counter() - begin, 1)}
    await bench.open()
    begin = time.perf_counter()
    result = await bench.run(process, "return Count")
    assert result.output == str(messages + 1), result.output
    report["replayed_per_s"] = round(messages / (time.perf_counter() - begin))
    await asyncio.sleep(LATE)
    openings = []
    for _ in range(RUNS):
        await bench.node.close()
        begin = time.perf_counter()
        await bench.open()
        await bench.node.find("long")
        openings.append(time.perf_counter() - begin)
    report["open"] = summary(openings)
    looks, lines = [], []
    for number in range(RUNS):
        begin = time.perf_counter()
        slots = await bench.node.slots(process)
        await bench.node.schedule(process, slots - 20, slots - 1)
        await bench.node.results(process, slots - 21, 200)
        looks.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        await bench.run(process, f"return {number}")
        lines.append(time.perf_counter() - begin)
    report["messages"], report["first_line_s"] = summary(looks), round(lines[0], 3)
    report["line"] = summary(lines[1:])
    begin, shell, whole = time.perf_counter(), time.process_time(), used()
    assert await bench.node.verify_log(process) == []
    report["verified_per_s"] = round(messages / (time.perf_counter() - begin))
    report["verify_shell_us"] = round(1e6 * (time.process_time() - shell) / messages, 1)
    report["verify_all_us"] = round(1e6 * (used() - whole) / messages, 1)
    return report


async def passing(bench: Node, counter: str) -> dict[str, Any]:
    """Memory of the shell while messages pass: behind a tenth of them, and at the end."""
    sender, target = await bench.spawn("sender"), await bench.spawn("target")
    await bench.run(target, counter)
    code = f"for i = 1, {OF_ROUND} do Send({{Target = '{target}', Action = 'Inc'}}) end"
    sizes = []
    for _ in range(ROUNDS):
        await bench.run(sender, code)
        sizes.append(_resident() >> 10)
    tenth = sizes[ROUNDS // 10]
    return {"passed": ROUNDS * OF_ROUND, "kb_behind_a_tenth": tenth, "kb_at_the_end": sizes[-1]}


def _resident() -> int:
    """Bytes of memory that this program has, Linux only."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) << 12
