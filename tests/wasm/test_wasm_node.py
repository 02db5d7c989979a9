"""WASM processes on a node: roll-back, limits, restarts, machine code, confinement."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop
from signers import Ed25519
from wasm_device import answering
from wasm_samples import wat
from zygotes import SHARED

from aoshell.errors import AoError
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.values import Limits
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Result, tags_of

COUNTER = (Path(__file__).resolve().parents[2] / "examples/wasm/counter.wat").read_text()

# Counts in a global, in memory and at the end of its memory; and does what it should not.
MISCHIEF = """(module
  (memory (export "memory") 2)
  (tag $e)
  (global $n (mut i32) (i32.const 0))
  (func $one
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (i32.store (i32.const 70000) (global.get $n)))
  (func (export "count") (result i32) (call $one) (i32.load (i32.const 70000)))
  (func (export "read") (result i32 i32) (global.get $n) (i32.load (i32.const 70000)))
  (func (export "trap") (call $one) unreachable)
  (func (export "throw") (call $one) (throw $e))
  (func (export "loop") (call $one) (loop (br 0)))
  (func $deep (export "deep") (call $one) (call $deep))
  (func (export "spin") (param i64)
    (loop $again (local.set 0 (i64.sub (local.get 0) (i64.const 1)))
      (br_if $again (i64.gt_s (local.get 0) (i64.const 0)))))
  (func (export "grow") (param i32) (result i32 i32)
    (memory.grow (local.get 0)) (memory.size))
  (func (export "touch") (param $to i32) (result i32) (local $at i32)
    (loop $next
      (i32.store (local.get $at) (i32.const 1))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $to))))
    (memory.size)))"""


class Home:
    """An open node, and who sits at it."""

    def __init__(self, node: LocalNode, signer: Ed25519) -> None:
        self.node = node
        self._signer = signer

    @property
    def engine(self) -> Any:
        return self.node._engine

    @property
    def code(self) -> Any:
        """Its machine code."""
        inside = self.engine
        return (
            inside.machine_code if hasattr(inside, "machine_code") else inside.loader.machine_code
        )

    def worker(self) -> Any:
        """The only worker that is up."""
        (live,) = self.engine.computer._live.values()
        return live._worker

    def computing(self) -> bool:
        """Whether it computes a message, in a fork that another one would follow."""
        (live,) = self.engine.computer._live.values()
        return bool(live._parked and live._sent)

    def item(self, target: str, data: str = "", **tags: str) -> DataItem:
        named = {"Data-Protocol": "ao", "Type": "Message"} | tags
        pairs = tags_of((name.replace("_", "-"), value) for name, value in named.items())
        # Signatures by Ed25519 of one text are one signature, and the item would have one slot.
        return DataItem.sign(self._signer, target, pairs, data.encode(), os.urandom(32))

    async def spawn(self, text: str) -> str:
        """A process made of a module's text."""
        module = await self.node.upload(wat(text))
        tags = {"Type": "Process", "Module": module.id}
        return (await self.node.spawn(self.item("", **tags))).process

    async def post(self, process: str, function: str, *parameters: float) -> int:
        """Send a call; its slot."""
        tags = {"Action": "ExecuteFunction", "Function": function}
        item = self.item(process, **tags, Parameters=str(list(parameters)))
        return (await self.node.send(process, item)).slot

    async def call(self, process: str, function: str, *parameters: float) -> Result:
        """Send a call; its result."""
        return await self.node.result(process, await self.post(process, function, *parameters))


Open = Callable[..., Any]


@pytest.fixture
def opening(tmp_path: Path, signer: Ed25519) -> Open:
    """Opens the test's node; the same one each time."""

    @asynccontextmanager
    async def opened(folder: Path = tmp_path / "node", **limits: Any) -> AsyncIterator[Home]:
        node = await LocalNode.open(folder, Limits(**limits), SHARED)
        try:
            yield Home(node, signer)
        finally:
            await node.close()

    return opened


# Roll-back ------------------------------------------------------------


@in_loop
async def test_what_fails_leaves_no_trace(opening: Open) -> None:
    async with opening(seconds=0.3) as home:
        process = await home.spawn(MISCHIEF)
        calls = ["count", "trap", "count", "loop", "throw", "count", "deep", "absent", "count"]
        slots = [await home.post(process, name) for name in calls]
        results = [await home.node.result(process, slot) for slot in slots]
        outcomes = [result.outcome for result in results]
        assert outcomes == ["ok", "error", "ok", "time", "error", "ok", "error", "error", "ok"]
        assert [r.output for r in results if r.ok] == ["1", "2", "3", "4"]
        assert "unreachable" in results[1].error
        assert results[3].error == "stopped after 0.3 s of computing, its limit"
        assert "call stack exhausted" in results[6].error
        assert (await home.call(process, "read")).output == "[4, 4]"
        assert await home.node.verify_log(process) == []
    async with opening() as home:  # from the log, or from a checkpoint
        assert (await home.call(process, "read")).output == "[4, 4]"


@in_loop
async def test_a_dry_run_changes_nothing(opening: Open) -> None:
    from aoshell.protocol.message import Message

    async with opening() as home:
        process = await home.spawn(MISCHIEF)
        assert (await home.call(process, "count")).output == "1"
        tags = tags_of([("Action", "ExecuteFunction"), ("Function", "count"), ("Parameters", "[]")])
        message = Message("", "x" * 43, "x" * 43, process, tags, b"")
        for _ in range(2):
            assert (await home.node.dryrun(process, message)).output == "2"
        assert (await home.call(process, "count")).output == "2"


@in_loop
async def test_an_exported_process_goes_on_elsewhere(opening: Open, tmp_path: Path) -> None:
    async with opening() as home:
        process = await home.spawn(MISCHIEF)
        assert (await home.call(process, "count")).output == "1"
        data = await home.node.export(process)
    async with opening(tmp_path / "elsewhere") as home:
        assert (await home.node.restore(data)).id == process
        assert (await home.call(process, "count")).output == "2"
        assert await home.node.verify_log(process) == []


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
@in_loop
async def test_a_crash_of_the_engine_costs_its_message_only(opening: Open, number: int) -> None:
    async with opening(seconds=20) as home:
        process = await home.spawn(MISCHIEF)
        assert (await home.call(process, "count")).ok
        looping = await home.post(process, "loop")
        behind = await home.post(process, "count")
        answer = asyncio.create_task(home.node.result(process, looping))
        # The fork that computes, three times: one that is killed from outside is tried again. The
        # engine takes a first SIGSEGV for one of its own that it can do nothing about.
        while not answer.done():
            if home.computing():  # what dies while the log is replayed is not the message's
                with contextlib.suppress(ProcessLookupError):
                    os.kill(home.worker().pid, number)
            await asyncio.wait([answer], timeout=0.1)
        assert (await answer).outcome == "crash"
        assert f"crash {int(number)}" in (await answer).error
        assert (await home.node.result(process, behind)).output == "2"


# Limits ------------------------------------------------------------


def children_seconds(pid: int) -> float:
    """Processor time of the children that a process has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")


@in_loop
async def test_a_runaway_dies_within_50_ms_of_its_limit(opening: Open) -> None:
    limit, runs = 0.3, 3
    async with opening(seconds=limit) as home:
        process = await home.spawn(MISCHIEF)
        for _ in range(runs):
            assert (await home.call(process, "loop")).outcome == "time"
        # Of processor time: how long that takes on the clock is up to who else computes.
        spent = children_seconds(home.worker().pid)
    assert runs * (limit - 0.05) < spent < runs * (limit + 0.05)


START = '(module (memory 1) {} (func (export "f") (result i32) (i32.const 1)))'
LOOP_IN_MALLOC = answering('{"ok":true,"response":{}}').replace(
    "(global.get $free)\n", "(loop (br 0)) (global.get $free)\n", 1
)


@pytest.mark.parametrize(
    "text", [START.format("(func $s (loop (br 0))) (start $s)"), LOOP_IN_MALLOC]
)
@in_loop
async def test_endless_loops_wherever_they_are(opening: Open, text: str) -> None:
    async with opening(seconds=0.2) as home:
        process = await home.spawn(text)
        for result in [await home.call(process, "f") for _ in range(2)]:
            assert result.outcome == "time"
        assert not (await home.node.result(process, 0)).ok or "malloc" in text


@in_loop
async def test_memory_ends_at_its_limit_and_the_process_lives(opening: Open) -> None:
    async with opening(memory=64 << 20) as home:
        process = await home.spawn(MISCHIEF)
        assert (await home.call(process, "grow", 1022)).output == "[2, 1024]"
        assert (await home.call(process, "grow", 1)).output == "[-1, 1024]"
        result = await home.call(process, "count")
        assert (result.output, result.memory) == ("1", 64 << 20)
        assert await home.node.verify_log(process) == []
    async with opening(memory=64 << 20) as home:
        assert (await home.call(process, "grow", 1)).output == "[-1, 1024]"


@in_loop
async def test_gas_is_shown_exact_and_its_end_an_outcome(opening: Open, tmp_path: Path) -> None:
    used = []
    for name in ("a", "b"):
        async with opening(tmp_path / name, gas=1_000_000) as home:
            process = await home.spawn(MISCHIEF)
            results = [await home.call(process, "spin", 1000 * n) for n in (1, 2, 10_000, 1)]
            assert [r.outcome for r in results] == ["ok", "ok", "gas", "ok"]
            assert "gas" in results[2].error
            assert results[1].gas > results[0].gas > 1000
            assert results[3].gas == results[0].gas
            used.append([r.gas for r in results])
            assert await home.node.verify_log(process) == []
    assert used[0] == used[1]
    async with opening(tmp_path / "b") as home:
        assert (await home.call(process, "spin", 1000)).gas == 0


# Restarts ------------------------------------------------------------


async def image_of(home: Home, process: str) -> bytes:
    """The state's bytes, as a checkpoint has them."""
    row = home.engine.computer._live[home.engine.processes.look_up(process).number]
    await row.images.ask()
    return bytes(home.engine.checkpoints.read(process, row.row.environment).image)


@in_loop
async def test_a_restart_and_a_replay_have_the_same_state(opening: Open) -> None:
    async with opening() as home:
        process = await home.spawn(COUNTER)
        for _ in range(5):
            await home.node.send(process, home.item(process, "x", Action="ExecuteFunction"))
        slot = (await home.node.send(process, home.item(process, Action="ExecuteFunction"))).slot
        assert (await home.node.result(process, slot)).output == "call 6: "
        image = await image_of(home, process)
    for forget in (False, True):
        async with opening() as home:
            if forget:
                home.engine.checkpoints.remove(process)
            item = home.item(process, "dry", Action="Ping")
            await home.node.result(process, (await home.node.send(process, item)).slot)
            assert await image_of(home, process) == image
            assert await home.node.verify_log(process) == []


# Machine code ------------------------------------------------------------


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the modules that compilers were sent."""
    from aoshell.sandbox.supervising.worker_handle import WorkerHandle

    sizes: list[int] = []
    send = WorkerHandle.send

    def counting(self: WorkerHandle, frame: Any, blob: bytes = b"") -> None:
        if frame[0] == "compile":
            sizes.append(len(blob))
        send(self, frame, blob)

    monkeypatch.setattr(WorkerHandle, "send", counting)
    return sizes


@in_loop
async def test_a_module_is_compiled_once(opening: Open, compiled: list[int]) -> None:
    async with opening() as home:
        data = wat(MISCHIEF)
        modules = await asyncio.gather(*(home.node.upload(data) for _ in range(4)))
        assert len({module.id for module in modules}) == 1
        process = await home.spawn(MISCHIEF)
        assert (await home.call(process, "count")).ok
    async with opening() as home:
        assert (await home.call(process, "count")).output == "2"
    assert compiled == [len(data)]
    async with opening(gas=10_000) as home:  # metered code is other code
        assert (await home.call(process, "count")).output == "3"
    assert len(compiled) == 2
    async with opening() as home:
        assert (await home.call(process, "count")).output == "4"
    assert len(compiled) == 2


@pytest.mark.parametrize("harm", ["flipped", "cut", "emptied", "foreign"])
@in_loop
async def test_machine_code_that_is_not_ours_is_made_anew(
    opening: Open, compiled: list[int], tmp_path: Path, harm: str
) -> None:
    async with opening() as home:
        process = await home.spawn(MISCHIEF)
        assert (await home.call(process, "count")).ok
    (file,) = (tmp_path / "node").rglob("*.code")
    assert file.stat().st_mode & 0o77 == 0
    assert file.parent.stat().st_mode & 0o77 == 0
    data = file.read_bytes()
    harmed = {
        "flipped": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        "cut": data[:-100],
        "emptied": b"",
        "foreign": data.replace(b'"wasmtime ', b'"wasmtime 9', 1),
    }[harm]
    assert harmed != data
    file.write_bytes(harmed)
    async with opening() as home:
        assert (await home.call(process, "count")).output == "2"
    assert len(compiled) == 2
    async with opening() as home:
        assert (await home.call(process, "count")).output == "3"
    assert len(compiled) == 2


F = '(func (export "f"))'
BAD_BODY = wat('(module (func (export "f") (result i32) (i32.const 77)))').replace(
    b"\x41\xcd\x00", b"\x42\xcd\x00"
)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (wat(COUNTER)[:50], ""),
        (wat(COUNTER)[:-5], ""),
        (b"\0asm", ""),
        (b"\0asm\x0d\0\1\0", ""),
        (wat(f"(module (memory i64 0x10000000000) {F})"), "pages"),
        (wat(f"(module (table 4000000000 funcref) {F})"), "4000000000 entries"),
        (wat(f"(module (memory 1) (memory 1) {F})"), "2 memories"),
        (wat("(module (memory 1))"), "cannot be run"),
        (wat(f'(module (import "env" "v" (func (param v128))) {F})'), "env.v (v128)"),
        (BAD_BODY, "type mismatch"),
    ],
)
@in_loop
async def test_bad_modules_are_refused_and_not_kept(
    opening: Open, tmp_path: Path, data: bytes, error: str
) -> None:
    async with opening() as home:
        for gas in (0, 1000):
            await home.node.set_limits(Limits(gas=gas))
            with pytest.raises(AoError) as refused:
                await home.node.upload(data, "bad")
            assert error in refused.value.what
            assert refused.value.stage == "module"
            assert refused.value.hint
        with pytest.raises(AoError, match="no module"):
            await home.node.fetch("bad")
        good = await home.spawn(MISCHIEF)
        assert (await home.call(good, "count")).ok
    assert len(list((tmp_path / "node").rglob("*.code"))) == 1


@in_loop
async def test_what_a_module_wants_and_lacks_is_told_when_it_starts(opening: Open) -> None:
    async with opening(memory=1 << 20) as home:
        for text, error in (
            (f'(module (import "env" "memory" (memory 1)) {F})', "imports env.memory"),
            (f"(module (memory 17) {F})", "exceeds memory limits"),
        ):
            process = await home.spawn(text)
            first = await home.node.result(process, 0)
            assert first.outcome == "error"
            assert error in first.error
            assert error in (await home.call(process, "f")).error


# Confinement ------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@in_loop
async def test_a_wasm_worker_is_confined_and_can_do_its_work(opening: Open) -> None:
    async with opening(memory=512 << 20) as home:
        process = await home.spawn(MISCHIEF)  # compiled inside
        assert (await home.call(process, "count")).ok
        pid = home.worker().pid
        status = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        )
        assert status["NoNewPrivs"].strip() == "1"
        if os.uname().machine in ("x86_64", "aarch64"):
            assert status["Seccomp"].strip() == "2"
        assert int(status["Threads"]) == 1
        limits = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()
        (files,) = (line.split() for line in limits if line.startswith("Max open files"))
        assert int(files[3]) < 10
        assert (await home.call(process, "grow", 8000 - 2)).output == "[2, 8000]"
        assert (await home.call(process, "touch", 500 << 20)).output == "8000"
        result = await home.call(process, "count")
        assert result.ok
        assert result.memory == 8000 << 16
