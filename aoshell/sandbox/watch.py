"""Watching what a guest of a test runs: its instructions, and the lines of its files.

The work is done by `host/watch.lua`, with the hooks of the interpreter. No function of Lua says how
much of a coroutine's instruction counter is left, so that is read here, at addresses that Lua
itself has just given.
"""

from __future__ import annotations

import ctypes
import struct
from functools import cache
from typing import Any

from aoshell.sandbox.digests import text_digest
from aoshell.sandbox.textfiles import path_of, read_text

# Read at import: a worker cannot open files.
CHUNK = read_text(path_of("host", "watch.lua"))
# Bytes that a guest may use beside its own while lines are noted: the notes share its memory.
ROOM = 32 << 20


def install(host: Any) -> None:
    """Give `host/watch.lua` what it needs beside Lua. Called in a zygote, where memory is free."""
    _counter_offset()
    host.counters = _counters
    host.text_digest = _text_digest


def _text_digest(text: str) -> str:
    return text_digest(text.encode("latin-1"))


def _counters(threads: str) -> str:
    """What is left of the instruction counters of threads, named by `tostring`; 4 bytes each."""
    offset = _counter_offset()
    return b"".join(
        ctypes.string_at(_address(name) + offset, 4) for name in threads.split("\n")
    ).decode("latin-1")


def _address(name: str) -> int:
    return int(name.rpartition(" ")[2], 16)


_PROBES = (0x1234567, 0x7654321)
_SEARCHED = 256  # bytes of a `lua_State` among which its counter lies (Lua 5.3 lstate.h: at 160)


@cache
def _counter_offset() -> int:
    """Where `hookcount` lies in a `lua_State` (Lua 5.3 lstate.h): right behind `basehookcount`.

    A hook that is just set gives both the same value, so they are found, not assumed.

    Raises:
        ValueError: this build of Lua has them elsewhere.
    """
    from lupa import lua53

    lua = lua53.LuaRuntime(register_eval=False, register_builtins=False)
    probe = lua.execute(
        "local co = coroutine.create(function() end) return function(count) "
        "debug.sethook(co, function() end, '', count) return tostring(co) end"
    )
    found: set[int] | None = None
    for value in _PROBES:
        state = ctypes.string_at(_address(probe(value)), _SEARCHED)
        pair = struct.pack("=ii", value, value)
        at = {place for place in range(0, _SEARCHED - 8, 4) if state.startswith(pair, place)}
        found = at if found is None else found & at
    if not found or len(found) != 1:
        raise ValueError("this build of Lua keeps its counters in another place")
    return found.pop() + 4
