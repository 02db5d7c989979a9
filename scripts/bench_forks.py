"""The section "forks" of `bench.py`: a log forked, compared, and a memory restored.

The network is a node of this run over HTTP, so the log is read as from any other node.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import wasmtime

from aoshell.bounded.zipped import ZLIB, Unpacking
from aoshell.forks.compared import compare_fork
from aoshell.forks.taking import take_from
from aoshell.home.folders import Settings
from aoshell.nodes.local.forked.memories import pack
from aoshell.nodes.local.node import LocalNode
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.sandbox.wasm.device import WasmRuntime
from aoshell.sandbox.wasm.engine import compile_module, new_engine
from aoshell.serve.serving import ServeOptions, Serving
from aoshell.shell.ports.forking import Changed

MESSAGES = 1000
MEMORY, USED = 110 << 20, 2 << 20  # bytes of a memory, and of its pages that are not zeros
MODULE = """(module (memory (export "memory") i64 1)
  (func (export "malloc") (param i64) (result i64) i64.const 1024)
  (func (export "handle") (param i64 i64) (result i64) i64.const 0))"""


async def forks(wallet: Wallet) -> dict[str, Any]:
    """Rates of live Evals, of forking the same log, and of comparing it; time to restore a
    memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = await _log(folder, wallet)
    return report | _memory()


async def _log(folder: Path, wallet: Wallet) -> dict[str, Any]:
    there = await LocalNode.open(folder / "there")
    serving = await Serving.open(there, ServeOptions(port=0), tell=print)
    here = Settings(folder, folder / "here", folder / "config", folder / "cache")
    node = await LocalNode.open(here.state)
    try:
        definition = DataItem.sign(wallet, "", tags_of([*_envelope("Process"), ("Module", "aos")]))
        process = (await there.spawn(definition)).process
        lines = [
            DataItem.sign(
                wallet,
                process,
                tags_of([*_envelope("Message"), ("Action", "Eval")]),
                b"N = (N or 0) + 1 return N",
            )
            for _ in range(MESSAGES)
        ]
        start = time.perf_counter()
        for line in lines:
            await there.send(process, line)
        await there.idle()
        live = MESSAGES / (time.perf_counter() - start)
        url = serving.facts.url
        start = time.perf_counter()
        taken = await take_from(node, here, url, process, "fork", print)
        whole = MESSAGES / (time.perf_counter() - start)
        await node.delete(process)
        start = time.perf_counter()
        taken = await take_from(node, here, url, process, "fork", print)
        cached = MESSAGES / (time.perf_counter() - start)
        start = time.perf_counter()
        told = await compare_fork(node, here, taken.process, "", 0, None, Changed(), print)
        compared = MESSAGES / (time.perf_counter() - start)
        assert told.same, told.different[:1]
        return {
            "live_evals_per_s": round(live),
            "import_per_s": round(whole),
            "import_from_cache_per_s": round(cached),
            "import_share_of_live": round(whole / live, 2),
            "compare_per_s": round(compared),
        }
    finally:
        await serving.close()
        await there.close()
        await node.close()


def _envelope(kind: str) -> list[tuple[str, str]]:
    return [("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", kind)]


def _memory() -> dict[str, Any]:
    memory = os.urandom(USED) + bytes(MEMORY - USED)
    start = time.perf_counter()
    packed = pack(memory)
    packing = time.perf_counter() - start
    engine = new_engine(fuel=False)
    runtime = WasmRuntime(engine, compile_module(bytes(wasmtime.wat2wasm(MODULE)), engine), print)
    runtime.limit_memory(1 << 30)
    runtime.boot(["p" * 43, "o" * 43, "m" * 43, "{}", None, None, "Type", "Process"])
    image = packed[packed.index(b"\n", 20) + 1 :]
    start = time.perf_counter()

    runtime.restore(b"".join(Unpacking(ZLIB).feed(image)))
    return {
        "memory_mb": MEMORY >> 20,
        "memory_packed_ms": round(1000 * packing, 1),
        "memory_restored_ms": round(1000 * (time.perf_counter() - start), 1),
        "memory_on_disk_mb": round(len(packed) / (1 << 20), 2),
    }


if __name__ == "__main__":
    print(asyncio.run(forks(Wallet.generate())))
