"""Hostile code in a process: Lua and WebAssembly."""

from __future__ import annotations

import functools

import wasmtime

from aoshell.sandbox.worker import floor
from attacks.attack import Attack, Bound
from attacks.place import Place, Ran

LITTLE = ("--timeout", "1", "--memory", "128")  # seconds and MB of a message
SHARED = 64  # MB of a worker that are files: the interpreter and its libraries
MEMORY = 128 + 64 + SHARED  # heap, and copies of what it writes; 171 were measured
WASM_MEMORY = 128 + (floor.MARGIN >> 20) + SHARED  # where the kernel stops it; 406 were measured

LUA = {
    "a loop": ("while true do end", "its limit"),
    "a loop behind pcall": (
        "while true do pcall(function() while true do end end) end",
        "its limit",
    ),
    "a loop in a coroutine": ("coroutine.wrap(function() while true do end end)()", "its limit"),
    "a loop in a metamethod": (
        "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) return t[1]",
        "overflow|its limit",
    ),
    "memory by doubling": ("local s = 'x' while true do s = s .. s end", "not enough memory"),
    "memory by tables": (
        "local t = {} for i = 1, 1e9 do t[i] = {i} end",
        "not enough memory|limit",
    ),
    "string.rep of a gigabyte": ("return #string.rep('x', 1 << 30)", "memory|too large"),
    "string.rep with a separator": ("return #(''):rep(1 << 40, 'x')", "memory|too large"),
    "a pattern that never ends": (
        "return ('a'):rep(40):find(('a-'):rep(40) .. 'b')",
        "its limit|too complex",
    ),
    "deep recursion": ("local function f(n) return 1 + f(n + 1) end return f(1)", "overflow"),
    "recursion of pcall": ("local function f() return pcall(f) end return tostring(f())", ""),
    "prints without end": ("while true do print(('x'):rep(1000)) end", "limit|memory|output"),
    "sends without end": (
        "while true do Send({Target = ao.id, Data = 'x'}) end",
        "limit|memory|bound",
    ),
    "spawns without end": ("while true do Spawn('aos', {}) end", "limit|memory|bound"),
    "a message to itself for ever": (
        "Handlers.add('E', 'E', function(m) Send({Target = ao.id, Action = 'E'}) end)"
        " Send({Target = ao.id, Action = 'E'})",
        "",
    ),
    "an error with a huge text": ("error(('x'):rep(100 << 20))", ""),
    "an error that is a loop": (
        "error(setmetatable({}, {__tostring = function() while true do end end}))",
        "limit|error",
    ),
    "a sort that lies": (
        "local t = {} for i = 1, 1e5 do t[i] = i end"
        " table.sort(t, function() return true end) return 1",
        "",
    ),
    "JSON without end": (
        "return require('json').decode(('['):rep(1e6))",
        "overflow|error|deep|expected|limit",
    ),
    "a chunk of a million brackets": ("return load(('('):rep(1e6))", ""),
}

_TABLES = 24
WAT = {
    "a loop": '(module (memory (export "memory") 1) (func (export "handle") (result i32)'
    " (loop $l (br $l)) (i32.const 0)))",
    "memory": '(module (memory (export "memory") 1) (func (export "handle") (result i32)'
    " (loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))"
    " (memory.fill (i32.const 0) (i32.const 1) (i32.shl (i32.sub (memory.size) (i32.const 1))"
    " (i32.const 16))) (i32.const 0)))",
    "tables": "(module "
    + "".join(f"(table $t{n} 0 funcref)" for n in range(_TABLES))
    + ' (memory (export "memory") 1) (func (export "handle") (result i32)'
    + "".join(
        f" (drop (table.grow $t{n} (ref.null func) (i32.const 10000000)))" for n in range(_TABLES)
    )
    + " (i32.const 0)))",
    "recursion": '(module (memory (export "memory") 1) (func $f (export "handle") (result i32)'
    " (i32.add (call $f) (i32.const 1))))",
    "writes of the same bytes over and over": (
        '(module (import "wasi_snapshot_preview1" "fd_write"'
        " (func $write (param i32 i32 i32 i32) (result i32)))"
        ' (memory (export "memory") 1030) (func (export "_start") (local $i i32)'
        " (loop $v (i32.store (i32.shl (local.get $i) (i32.const 3)) (i32.const 65536))"
        " (i32.store (i32.add (i32.shl (local.get $i) (i32.const 3)) (i32.const 4))"
        " (i32.const 67108864)) (local.set $i (i32.add (local.get $i) (i32.const 1)))"
        " (br_if $v (i32.lt_u (local.get $i) (i32.const 64))))"
        " (drop (call $write (i32.const 1) (i32.const 0) (i32.const 64) (i32.const 4096)))))"
    ),
    "a deep folder of long names": (
        '(module (import "wasi_snapshot_preview1" "path_create_directory"'
        " (func $make (param i32 i32 i32) (result i32)))"
        ' (memory (export "memory") 2) (func (export "_start") (local $i i32)'
        " (memory.fill (i32.const 1024) (i32.const 97) (i32.const 60000))"
        " (loop $l (i32.store16 (i32.add (i32.const 1024) (local.get $i)) (i32.const 12129))"
        " (drop (call $make (i32.const 3) (i32.const 1024) (i32.add (local.get $i) (i32.const 1))))"
        " (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 2)))"
        " (i32.const 60000))))))"
    ),
}


def _lua(code: str, place: Place) -> Ran:
    return place.shell([".limits pushes 1000", code], *LITTLE)


def _wasm(text: str, place: Place) -> Ran:
    path = place.file("guest.wasm")
    path.write_bytes(wasmtime.wat2wasm(text))
    name = path.name.partition("-")[0]
    lines = [
        f".publish {path} as m{name}",
        f".spawn m{name} as w{name}",
        f".send w{name} Action=ExecuteFunction",
    ]
    return place.shell(lines, *LITTLE)


ATTACKS = [
    *(
        Attack(f"lua: {name}", Bound(15, MEMORY, says), functools.partial(_lua, code))
        for name, (code, says) in LUA.items()
    ),
    *(
        Attack(f"wasm: {name}", Bound(20, WASM_MEMORY), functools.partial(_wasm, text))
        for name, text in WAT.items()
    ),
]
