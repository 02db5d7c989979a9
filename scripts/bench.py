"""Benchmarks. Prints medians, 95th percentiles and ratios of repeated runs, as JSON.

Compare figures within one run only: machines are noisy.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import os
import pty
import select
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aoshell.entry import COLLECT
from aoshell.home.folders import Settings
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.workers.room import MAX_LIVE
from aoshell.nodes.values import Limits
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Result, tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.shell.prompt.signing import PAUSE

COUNTER = 'Count = 0 Handlers.add("Inc", "Inc", function(msg) Count = Count + 1 end)'
PING = """
Handlers.add("Ping", "Ping", function(msg)
  local n = tonumber(msg.N)
  if n > 0 then Send({Target = Next or msg.From, Action = "Ping", N = tostring(n - 1)}) end
end)"""
LIMITS = Limits(seconds=60.0, memory=2 << 30, pushes=10_000_000)


class Bench:
    """A node in a temporary folder, and a wallet to sign with."""

    def __init__(self, wallet: Wallet, folder: Path) -> None:
        self.wallet = wallet
        self.folder = folder
        self.node: LocalNode

    async def open(self) -> None:
        self.node = await LocalNode.open(self.folder, LIMITS)
        self.address = (await self.node.info()).address

    def _sign(self, target: str, data: str, **tags: str) -> DataItem:
        pairs = [("Data-Protocol", "ao"), *((k.replace("_", "-"), v) for k, v in tags.items())]
        return DataItem.sign(self.wallet, target=target, tags=tags_of(pairs), data=data.encode())

    async def spawn(self, name: str, module: str = "aos") -> str:
        item = self._sign("", "", Type="Process", Module=module, Authority=self.address, Name=name)
        receipt = await self.node.spawn(item, name)
        await self.node.result(receipt.process, 0)
        return receipt.process

    async def run(self, process: str, code: str, settle: bool = True) -> Result:
        item = self._sign(process, code, Type="Message", Action="Eval")
        receipt = await self.node.send(process, item)
        result = await self.node.result(process, receipt.place)
        if settle:
            await self.node.settled(item.id)
        return result

    async def time(self, process: str, code: str) -> float:
        start = time.perf_counter()
        result = await self.run(process, code)
        assert result.ok or "wanted" in result.error, result.error
        return time.perf_counter() - start


def summary(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {
        "median_ms": round(1000 * statistics.median(ordered), 3),
        "p95_ms": round(1000 * p95, 3),
        "runs": len(ordered),
    }


PACE = 0.15  # seconds between two lines, as typed; an idle processor is slower at first


def measure(call: Callable[[], Any], runs: int) -> dict[str, float]:
    times = []
    for _ in range(runs):
        time.sleep(PACE)
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return summary(times)


def floor(wallet: Wallet, folder: Path) -> dict[str, Any]:
    """The least cost of a line: one signature, and one commit with fsync."""
    import sqlite3

    database = sqlite3.connect(folder / "floor.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE t (x)")
    signature = measure(lambda: wallet.sign(b"x" * 48), 40)
    commit = measure(lambda: database.execute("INSERT INTO t VALUES (1)"), 40)
    total = signature["median_ms"] + commit["median_ms"]
    return {"signature": signature, "commit": commit, "total_ms": round(total, 3)}


def plain_lua() -> float:
    """Messages per second of a counter in plain Lua, with no log and no other process."""
    from aoshell.sandbox import environment
    from aoshell.sandbox.lua import LuaRuntime

    runtime = LuaRuntime(environment.read_sources(), lambda _text: None)
    process, owner = "p" * 43, "o" * 43
    runtime.boot([process, owner, "m" * 43, None, None, None])
    place = [1, 1, 1, "h" * 43, False, False]

    def message(identity: str, data: str, *tags: str) -> list[Any]:
        return [identity, owner, owner, process, data, "", *place, *tags]

    runtime.deliver(message(process, "", "Type", "Process"))
    runtime.deliver(message("i" * 43, COUNTER, "Action", "Eval"))
    increment = message("i" * 43, "", "Action", "Inc")
    start, count = time.perf_counter(), 20_000
    for _ in range(count):
        runtime.deliver(increment)
    return count / (time.perf_counter() - start)


async def throughput(bench: Bench) -> dict[str, Any]:
    """Messages per second between processes. The time ends when all are on disk."""
    sender = await bench.spawn("sender")
    counters = [await bench.spawn(f"counter{i}") for i in range(8)]
    for counter in counters:
        await bench.run(counter, COUNTER)
    await _list(bench, sender, counters)
    fan = "for i = 1, 10000 do Send({Target = T[i % #T + 1], Action = 'Inc'}) end"
    fanned = [10_000 / await bench.time(sender, fan) for _ in range(5)]
    pair = [await bench.spawn("ping"), await bench.spawn("pong")]
    for process in pair:
        await bench.run(process, PING)
    ping = f"Send({{Target = '{pair[0]}', Action = 'Ping', N = '2000'}})"
    await bench.run(pair[0], f"Next = '{pair[1]}'")
    await bench.run(pair[1], f"Next = '{pair[0]}'")
    serial = [2_000 / await bench.time(sender, ping) for _ in range(5)]
    ring = [await bench.spawn(f"ring{i}") for i in range(100)]
    for at, process in enumerate(ring):
        await bench.run(process, f"{COUNTER} {PING} Next = '{ring[(at + 1) % len(ring)]}'")
    around = f"Send({{Target = '{ring[0]}', Action = 'Ping', N = '300'}})"
    rounds = [300 / await bench.time(sender, around) for _ in range(3)]
    await _list(bench, sender, ring)
    spread = [10_000 / await bench.time(sender, fan) for _ in range(3)]
    lua = [plain_lua() for _ in range(3)]

    def rate(values: list[float]) -> float:
        return round(statistics.median(values), 1)

    return {
        "fanned_out_per_s": rate(fanned),
        "serial_per_s": rate(serial),
        "round_robin_100_serial_per_s": rate(rounds),
        "round_robin_100_fanned_per_s": rate(spread),
        "live_workers": MAX_LIVE,
        "plain_lua_per_s": rate(lua),
        "fanned_out_to_plain_lua": round(rate(fanned) / rate(lua), 3),
    }


async def _list(bench: Bench, process: str, targets: list[str]) -> None:
    await bench.run(process, "T = {" + ",".join(f"'{target}'" for target in targets) + "}")


async def state(bench: Bench) -> dict[str, Any]:
    """The cost of a message in a process with a large state, and in an empty one."""
    fill = {
        "empty": "return 1",
        "inbox_10000": "for i = 1, 10000 do Inbox[i] = "
        "{Id = tostring(i), Action = 'X', Tags = {Action = 'X', N = tostring(i)}} end",
        "table_100000": "Big = {} for i = 1, 100000 do Big['key' .. i] = i end",
        "state_50_mb": "Big = {} for i = 1, 60000 do Big[i] = {name = 'n' .. i, v = i} end",
    }
    report: dict[str, Any] = {}
    inc = "for i = 1, 2000 do Send({Target = ao.id, Action = 'Inc'}) end"
    for name, code in fill.items():
        process = await bench.spawn(name)
        await bench.run(process, COUNTER)
        await bench.run(process, code)
        await bench.run(process, inc)
        times = [await bench.time(process, inc) for _ in range(7)]
        memory = (await bench.node.find(process)).memory
        report[name] = summary([t / 2000 for t in times]) | {"memory_mb": memory >> 20}
        failed = [await bench.time(process, "Big = 1 error('wanted')") for _ in range(20)]
        report[name]["failed_message"] = summary(failed)
    base = report["empty"]["median_ms"]
    for name in fill:
        report[name]["to_empty"] = round(report[name]["median_ms"] / base, 2)
    return report


async def reopening(bench: Bench) -> dict[str, Any]:
    """Seconds to open a node and ask a process that has 100,000 messages and a checkpoint."""
    process = await bench.spawn("long")
    await bench.run(process, COUNTER)
    for _ in range(10):
        await bench.run(process, "for i = 1, 10000 do Send({Target = ao.id, Action = 'Inc'}) end")
    times = []
    for _ in range(5):
        await bench.node.close()
        start = time.perf_counter()
        await bench.open()
        result = await bench.run(process, "return Count")
        times.append(time.perf_counter() - start)
        assert result.output == "100000", result.output
    info = await bench.node.find(process)
    found = summary(times) | {"slots": info.slots, "checkpoint_at": info.checkpoint}
    return found | await _dumped(bench)


async def _dumped(bench: Bench) -> dict[str, Any]:
    """Messages per second that `aoshell dump` writes and `aoshell load` reads."""
    from aoshell.states.working import dump, load

    def home(state: Path) -> Settings:
        return Settings(state, state, state / "config", state / "cache")

    file, start = bench.folder / "whole.dump", time.perf_counter()
    written = await dump(home(bench.folder), str(file))
    dumped = time.perf_counter()
    with temporary() as other:
        taken = await load(home(other), str(file))
    loaded = time.perf_counter()
    return {
        "dump_per_s": round(written["messages"] / (dumped - start)),
        "load_per_s": round(taken.messages / (loaded - dumped)),
        "dump_bytes_a_message": round(written["bytes"] / written["messages"]),
    }


async def wasm(bench: Bench) -> dict[str, Any]:
    """WASM modules that people use; see `bench_wasm`."""
    import bench_wasm

    return await bench_wasm.wasm(bench, summary)


async def lua(_bench: Bench) -> dict[str, Any]:
    """Lua in a process beside plain Lua; see `bench_lua`."""
    import bench_lua

    return bench_lua.lua()


async def protocol(bench: Bench) -> dict[str, Any]:
    """Signing and sending; see `bench_protocol`."""
    import bench_protocol

    return await bench_protocol.protocol(bench.wallet, bench.folder, summary)


async def joined(bench: Bench) -> dict[str, Any]:
    """Many shells on one home; see `bench_joined`."""
    import bench_joined

    return await bench_joined.joined(bench.wallet, bench.folder, summary)


async def attest(bench: Bench) -> dict[str, Any]:
    """Verifying evidence; see `bench_attest`."""
    import bench_attest

    # In a thread: it runs loops of its own.
    return await asyncio.to_thread(bench_attest.attest, bench.wallet, bench.folder, summary)


async def serve(bench: Bench) -> dict[str, Any]:
    """The node over HTTP; see `bench_serve`."""
    import bench_serve

    return await asyncio.to_thread(bench_serve.serve, bench.wallet, bench.folder, summary)


async def forks(bench: Bench) -> dict[str, Any]:
    """Live processes brought home; see `bench_forks`."""
    import bench_forks

    return await bench_forks.forks(bench.wallet)


async def growth(bench: Bench) -> dict[str, Any]:
    """How costs grow with 1, 10 and 100 times as much; see `bench_growth`."""
    import bench_growth

    homes = itertools.count()

    async def make() -> Bench:
        made = Bench(bench.wallet, bench.folder / f"home{next(homes)}")
        await made.open()
        return made

    return await bench_growth.growth(make, COUNTER)


async def long(bench: Bench) -> dict[str, Any]:
    """A log of a million messages, and the cost of a million more; see `bench_long`."""
    import bench_long

    found = await bench_long.long(bench, COUNTER, summary, bench_long.MESSAGES)
    return found | await bench_long.passing(bench, COUNTER)


class Terminal:
    """The shell in a pseudo-terminal, as a user starts it."""

    def __init__(self, home: Path) -> None:
        script = str(Path(__file__).with_name("aoshell"))
        self.begun = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            env = os.environ | {"AOSHELL_HOME": str(home), "TERM": "xterm-256color"}
            os.execve(script, [script], env)

    def until(self, *wanted: bytes, seconds: float = 20) -> float:
        """Read until all these texts have come; returns that moment."""
        seen, end = b"", time.perf_counter() + seconds
        while not all(text in seen for text in wanted):
            if not select.select([self.fd], [], [], max(0, end - time.perf_counter()))[0]:
                raise TimeoutError(f"{wanted!r} not seen in {seen!r}")
            seen += os.read(self.fd, 65536)
        return time.perf_counter()

    def quiet(self, seconds: float = 0.3) -> None:
        """Read until nothing comes for a while."""
        while select.select([self.fd], [], [], seconds)[0]:
            os.read(self.fd, 65536)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.type("\x04")
            self.quiet(1.0)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def terminal(folder: Path, floor_ms: float) -> dict[str, Any]:
    """Times in a terminal: start to prompt, start to first answer, Enter to answer.

    The first start, which makes the home, is not counted.
    """
    home = folder / "home"
    first = Terminal(home)
    first.type("return 6*7000\r")
    first.until(b"42000")
    first.close()
    prompts, answers = [], []
    for run in range(7):
        shell = Terminal(home)
        prompts.append(shell.until(b"> ") - shell.begun)
        shell.type(f"return 43000+{run}\r")  # typed the moment the prompt is visible
        answers.append(shell.until(f"4300{run}".encode()) - shell.begun)
        shell.close()
    shell = Terminal(home)
    shell.until(b"> ")
    shell.quiet(1.0)
    # Typed at once, and with a pause before Enter: then the line is signed already.
    lines, paused = (_lines(shell, behind) for behind in (0.05, 2 * PAUSE))
    shell.close()
    report = {
        "prompt_visible": summary(prompts),
        "first_answer": summary(answers),
        "enter_to_answer": summary(lines),
        "enter_to_answer_behind_a_pause": summary(paused),
    }
    ratios = {
        name.replace("answer", "floor"): round(report[name]["median_ms"] / floor_ms, 2)
        for name in ("enter_to_answer", "enter_to_answer_behind_a_pause")
    }
    return report | ratios


def _lines(shell: Terminal, behind: float) -> list[float]:
    """Seconds from Enter to the answer; Enter comes `behind` seconds after the text."""
    times = []
    for run in range(40):
        shell.type(f"1000+{run}")
        shell.quiet(behind)
        start = time.perf_counter()
        shell.type("\r")
        times.append(shell.until(str(1000 + run).encode()) - start)
        shell.quiet(PACE)
    return times


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="aoshell-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


SECTIONS = {
    "throughput": throughput,
    "state": state,
    "reopening": reopening,
    "wasm": wasm,
    "lua": lua,
    "protocol": protocol,
    "joined": joined,
    "attest": attest,
    "serve": serve,
    "forks": forks,
    "growth": growth,
    "long": long,
}
NAMES = [*SECTIONS, "terminal", "prompt"]


async def run_sections(wallet: Wallet, names: list[str], report: dict[str, Any]) -> None:
    for name, section in SECTIONS.items():
        if name in names:
            with temporary() as folder:
                bench = Bench(wallet, folder)
                await bench.open()
                report[name] = await section(bench)
                await bench.node.close()


def main() -> None:
    parser = argparse.ArgumentParser("scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or of {', '.join(NAMES)}")
    gc.set_threshold(*COLLECT)  # as in the shell
    names = parser.parse_args().names or NAMES
    if unknown := set(names).difference(NAMES):
        parser.error(f"there is no section {', '.join(sorted(unknown))}")
    wallet = Wallet.generate()
    report: dict[str, Any] = {"note": "medians of a noisy machine; compare within one run"}
    with temporary() as folder:
        report["floor"] = floor(wallet, folder)
        asyncio.run(run_sections(wallet, names, report))
        if "terminal" in names:
            report["terminal"] = terminal(folder, report["floor"]["total_ms"])
        if "prompt" in names:
            import bench_prompt

            report["prompt"] = bench_prompt.prompt(folder, Terminal, summary)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
