"""Guests that make their host hold more than they may, each in its own way: Lua and WASM.

Each ends with an outcome, and all the while the worker with its forks stays within the guest's
limit and the margins that are named beside it.
"""

# ruff: noqa: E501 — an attack reads best in one piece
from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox_worker import group_of
from signers import Ed25519
from zygotes import SHARED

from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.values import Limits
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Result, Tag, tags_of
from aoshell.sandbox.frames import pack_list
from aoshell.sandbox.lua import SHARE
from aoshell.sandbox.worker import floor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

LIMIT = 64 << 20  # bytes that a guest may use here
OWN = 96 << 20  # bytes of a worker before it has begun, Python and engine, in its two forks
ALLOWED = int(SHARE * LIMIT) + floor.MARGIN + OWN
WASI = '(import "wasi_snapshot_preview1" '


class Peak:
    """The most memory that a worker and its forks held at a time."""

    def __init__(self, group: int) -> None:
        self._group = group
        self._end = threading.Event()
        self.bytes = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._end.wait(0.03):
            self.bytes = max(self.bytes, sum(map(anonymous, group_of(self._group))))

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def anonymous(pid: int) -> int:
    """The anonymous memory of a process, in bytes."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="latin-1").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
    return 0


# WASM ---------------------------------------------------------------------------------------------

ITERATE = """(local $i i32) (loop $l {body}
    (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {times}))))"""


def program(imports: str, body: str, pages: int = 500) -> str:
    return f"""(module {imports} (memory (export "memory") {pages})
      (func (export "_start") {body}))"""


def vectors(count: int, length: int) -> str:
    """`count` parts at 1024, which all name the first `length` bytes."""
    body = f"""(i32.store (i32.add (i32.const 1024) (i32.mul (local.get $i) (i32.const 8))) (i32.const 0))
      (i32.store (i32.add (i32.const 1028) (i32.mul (local.get $i) (i32.const 8))) (i32.const {length}))"""
    return ITERATE.format(body=body, times=count)


FD_WRITE = WASI + '"fd_write" (func $w (param i32 i32 i32 i32) (result i32)))'
FD_PWRITE = WASI + '"fd_pwrite" (func $w (param i32 i32 i32 i64 i32) (result i32)))'
FD_READ = WASI + '"fd_read" (func $r (param i32 i32 i32 i32) (result i32)))'
RANDOM = WASI + '"random_get" (func $r (param i32 i32) (result i32)))'
OPEN = WASI + '"path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))'
MKDIR = WASI + '"path_create_directory" (func $mk (param i32 i32 i32) (result i32)))'
OPEN_F = """(i32.store8 (i32.const 100) (i32.const 102))
  (drop (call $open (i32.const 3) (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 1)
    (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 8)))"""
MUCH = 30 << 20  # bytes of a part

TABLES = "".join(f"(table $t{n} 0 funcref)" for n in range(40))
GROWN = "".join(
    f"(drop (table.grow $t{n} (ref.null func) (i32.const 10000000)))" for n in range(40)
)
JSON_HANDLE = """(module (memory (export "memory") 900)
  (func (export "malloc") (param i32) (result i32) (i32.const {room}))
  (func (export "handle") (param i32 i32) (result i32) (local $i i32)
    (memory.copy (i32.const 64) (i32.const 32) (i32.const {size}))
    (loop $l
      {fill}
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 50000000))))
    (i32.const 64)))"""

PROGRAMS = {
    "the same memory printed over and over": program(FD_WRITE, vectors(64, MUCH) + "(drop (call $w (i32.const 1) (i32.const 1024) (i32.const 64) (i32.const 512)))"),
    "the same memory to stderr over and over": program(FD_WRITE, vectors(64, MUCH) + "(drop (call $w (i32.const 2) (i32.const 1024) (i32.const 64) (i32.const 512)))"),
    "the same memory into a file": program(FD_WRITE + OPEN, vectors(64, MUCH) + OPEN_F + "(drop (call $w (i32.const 4) (i32.const 1024) (i32.const 64) (i32.const 512)))"),
    "the same memory at a place of a file": program(FD_PWRITE + OPEN, vectors(64, MUCH) + OPEN_F + "(drop (call $w (i32.const 4) (i32.const 1024) (i32.const 64) (i64.const 9) (i32.const 512)))"),
    "a file read over and over": program(FD_WRITE + FD_READ + OPEN, "(local $n i32)" + vectors(1, MUCH) + OPEN_F
        + "(drop (call $w (i32.const 4) (i32.const 1024) (i32.const 1) (i32.const 512)))"
        + "(drop (call $r (i32.const 4) (i32.const 1024) (i32.const 1024) (i32.const 512)))"),
    "randomness": program(RANDOM, ITERATE.format(body="(drop (call $r (i32.const 0) (i32.const 1048576)))", times=20)),
}  # fmt: skip

FOLDERS = program(
    MKDIR + OPEN + WASI + '"fd_close" (func $close (param i32) (result i32)))',
    """(local $i i32) (local $fd i32)
  (memory.fill (i32.const 1024) (i32.const 97) (i32.const 4096))
  (local.set $fd (i32.const 3))
  (block $out (loop $l
    (br_if $out (call $mk (local.get $fd) (i32.const 1024) (i32.const 4096)))
    (br_if $out (call $open (local.get $fd) (i32.const 0) (i32.const 1024) (i32.const 4096) (i32.const 2)
      (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 8)))
    KEEP
    (local.set $fd (i32.load (i32.const 8)))
    (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 900)))))""",
    pages=1,
)
CLOSING = "(if (i32.ne (local.get $fd) (i32.const 3)) (then (drop (call $close (local.get $fd)))))"
OVER = {
    "folders in folders": FOLDERS.replace("KEEP", CLOSING),
    "folders in folders, all open": FOLDERS.replace("KEEP", ""),
    "tables": f'(module {TABLES} (memory (export "memory") 1) (func (export "_start") {GROWN}))',
    "tables and memory": f"""(module {TABLES} (memory (export "memory") 1) (func (export "_start")
      (drop (memory.grow (i32.const 1000))) (table.grow $t0 (ref.null func) (i32.const 9000000)) drop
      (table.grow $t1 (ref.null func) (i32.const 9000000)) drop (table.grow $t2 (ref.null func) (i32.const 9000000)) drop))""",
}  # fmt: skip
OVER[
    "exceptions that are kept"
] = """(module (tag $e (param i64 i64 i64 i64)) (table $t 0 exnref) (memory (export "memory") 1)
  (func (export "_start") (local $i i32) (local $x exnref)
    (drop (table.grow $t (ref.null exn) (i32.const 9000000)))
    (loop $l
      (local.set $x (block $x (result exnref)
        (try_table (catch_all_ref $x) (throw $e (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)))
        unreachable))
      (table.set $t (local.get $i) (local.get $x))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 9000000))))))"""


def answering_much(head: str, unit: str) -> str:
    """A module whose answer is a text and then one of four characters again and again."""
    number = int.from_bytes(unit.encode(), "little")
    data = "".join(f"\\{byte:02x}" for byte in head.encode())
    fill = f"(i32.store (i32.add (local.get $i) (i32.const {64 + len(head)})) (i32.const {number}))"
    text = JSON_HANDLE.format(room=52_000_000, size=len(head), fill=fill)
    return text.replace("(func", f'(data (i32.const 32) "{data}") (func', 1)


OVER["an answer of lists"] = answering_much("[", "[],[")
OVER["an answer of lists, in an object"] = answering_much('{"ok":[', "[ ],")

EMSCRIPTEN = """(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
  (import "env" "random_get" (func $r (param i32 i32) (result i32)))
  (memory (export "memory") 900)
  (func (export "f") (result i32)
    (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 58000000))
    (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (drop (call $r (i32.const 64) (i32.const 9000000)))
    (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))))"""


class Home:
    """A node for all attacks, on a loop of its own."""

    def __init__(self, folder: Path, signer: Ed25519, memory: int, seconds: float = 3) -> None:
        self._loop, self._signer = asyncio.new_event_loop(), signer
        opening = LocalNode.open(folder, Limits(seconds=seconds, memory=memory), SHARED)
        self._node = self._loop.run_until_complete(opening)

    def close(self) -> None:
        self._loop.run_until_complete(self._node.close())
        self._loop.close()

    def _signed(self, target: str, tags: tuple[Tag, ...], data: bytes = b"") -> DataItem:
        # Signatures by Ed25519 of one text are one signature, and the item would have one slot.
        return DataItem.sign(self._signer, target, tags, data, os.urandom(32))

    async def _spawn(self, code: bytes | None) -> str:
        module = "aos" if code is None else (await self._node.upload(code)).id
        tags = tags_of([("Data-Protocol", "ao"), ("Type", "Process"), ("Module", module)])
        process = (await self._node.spawn(self._signed("", tags))).process
        await self._node.result(process, 0)
        return process

    async def _send(self, process: str, action: str, data: str = "") -> Result:
        tags = tags_of([("Data-Protocol", "ao"), ("Type", "Message"), ("Action", action)])
        item = self._signed(process, tags, data.encode())
        return await self._node.result(process, (await self._node.send(process, item)).slot)

    async def _attack(self, code: bytes | None, action: str, data: str) -> tuple[Result, int]:
        process = await self._spawn(code)
        live = self._node._engine.computer._live[
            self._node._engine.processes.look_up(process).number
        ]
        with Peak(live._worker.group) as peak:
            result = await self._send(process, action, data)
        if code is None:
            assert (await self._send(process, "Eval", "return 1 + 1")).output == "2"
        self._node._engine.computer.drop(live.row.number)
        return result, peak.bytes

    def attack(self, code: bytes | None, action: str, data: str = "") -> tuple[Result, int]:
        """The outcome of a message, and the most bytes that its worker held meanwhile."""
        attack = asyncio.wait_for(self._attack(code, action, data), 120)
        return self._loop.run_until_complete(attack)

    def with_a_past(self, code: bytes, action: str) -> tuple[Result, list[str]]:
        """The result of a message that is sent again, the first one being taken for a good one, and
        what `.verify-log` finds."""

        async def going_on() -> tuple[Result, list[str]]:
            process = await self._spawn(code)
            first = await self._send(process, action)
            engine, row = self._node._engine, self._node._engine.processes.look_up(process)
            logged, _computed = engine.store.at_slot(row.number, first.slot)
            nothing = pack_list([False, "", "", False, 0, 0, 0])
            engine.store._db.execute(
                "UPDATE results SET outcome = 'ok', body = ? WHERE seq = ?", (nothing, logged.seq)
            )
            engine.computer.drop(row.number)
            result = await self._send(process, action)
            return result, list(await self._node.verify_log(process))

        return self._loop.run_until_complete(asyncio.wait_for(going_on(), 120))

    def contained(self, code: bytes | None, action: str, data: str = "") -> Result:
        """The outcome of a message; check that its worker stays within what is allowed."""
        result, peak = self.attack(code, action, data)
        assert peak <= ALLOWED, f"{peak >> 20} MB"
        return result


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, signer: Ed25519) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("held") / "node", signer, LIMIT)
    yield home
    home.close()


def wasm(text: str) -> bytes:
    import wasmtime

    return bytes(wasmtime.wat2wasm(text))


@pytest.mark.parametrize("what", PROGRAMS)
def test_a_program_ends_within_its_budget(what: str, home: Home) -> None:
    result = home.contained(wasm(PROGRAMS[what]), "Run")
    assert result.outcome in ("ok", "error"), result.error


@pytest.mark.parametrize("what", OVER)
def test_what_is_over_the_budget_is_out_of_memory(what: str, home: Home) -> None:
    result = home.contained(wasm(OVER[what]), "Run")
    assert result.outcome == "memory", (result.outcome, result.error)
    assert "64 MB" in result.error


def test_what_emscripten_prints_and_draws(home: Home) -> None:
    result = home.contained(wasm(EMSCRIPTEN), "ExecuteFunction")
    assert (result.outcome, result.error) == ("error", "the output is larger than 10 MB")


@pytest.mark.parametrize("name", ["fdwrite", "mkdirs", "tables"])
def test_the_guests_of_the_shared_cases(name: str, shared: Path, home: Home) -> None:
    text = (shared / f"cases/limits/{name}.wat").read_text()
    result = home.contained(wasm(text), "ExecuteFunction")
    assert result.outcome in ("memory", "error"), result.outcome


# Lua ----------------------------------------------------------------------------------------------

EVALS = {
    "small strings": "t = {} for i = 1, 1e9 do t[i] = i .. '' end",
    "closures": "t = {} for i = 1, 1e9 do t[i] = function() return i end end",
    "coroutines": "t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end",
    "a result of control characters": "s = ('\\1'):rep(4 << 20) for i = 1, 2 do Send({Target = 'x', Data = s}) end",
    "prints": "for i = 1, 1e6 do print(('x'):rep(1 << 20)) end",
    "a digest of much": "local s = ('x'):rep(40 << 20) local d = require('.host').digest for i = 1, 20 do d('sha256', s) end",
    "a long key": "local f = require('.host').pbkdf2 t = {} for i = 1, 10 do t[i] = f('sha1', 'p', 's' .. i, 1, 1 << 20) end",
    "an error": "error(('x'):rep(50 << 20))",
    "many fields": "local t = {} for i = 1, 90000 do t[i] = {name = 'n' .. i, value = 'v'} end ao.outbox.Messages[1] = {Target = 'x', Tags = t}",
}  # fmt: skip


@pytest.mark.parametrize("what", EVALS)
def test_lua_ends_within_its_budget(what: str, home: Home) -> None:
    result = home.contained(None, "Eval", EVALS[what])
    assert result.outcome in ("ok", "error", "memory", "time"), result.outcome


def test_the_watch_sees_what_a_worker_holds(tmp_path: Path, signer: Ed25519) -> None:
    """Control: without a floor and with another limit, the peak is above the allowed one."""

    roomy = Home(tmp_path / "node", signer, 2 << 30, seconds=60)
    try:
        result, peak = roomy.attack(None, "Eval", "x = ('x'):rep(500 << 20) return #x")
        assert result.outcome == "ok"
        assert peak > ALLOWED
    finally:
        roomy.close()


def test_what_went_well_before_it_counted_is_computed_again(home: Home) -> None:
    """A log of a time when tables were not counted."""
    code = wasm(OVER["tables and memory"])
    again, found = home.with_a_past(code, "Run")
    assert found == []
    assert again.outcome == "memory"  # a new one is judged
