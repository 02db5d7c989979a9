"""Watches what a guest in a test runs: counts its instructions, and the lines of its files.

`host/watch.lua` does the work, with the interpreter's counter of instructions and with code that
counts its lines (`counting`). No function of Lua says how much of a coroutine's instruction counter
is left, so this module reads it from memory, at addresses that Lua itself has just given.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from functools import cache
from typing import Any

from aoshell.sandbox.counting import make_counting
from aoshell.sandbox.digests import text_digest
from aoshell.sandbox.textfiles import path_of, read_text

# Read at import: a worker cannot open files.
CHUNK = read_text(path_of("host", "watch.lua"))
# Bytes added to a guest's limit while lines are noted: the notes share its memory.
ROOM = 32 << 20
MOST_NOTED = 8 << 20  # bytes of the line counts that are sent for one message
_NOWHERE = bytes(4)  # the target line 0 of `counting.UNSEEN`


def install(host: Any) -> LineCounts:
    """Give `host/watch.lua` its Python functions. Called in a zygote, which has no memory limit."""
    _counter_offset()
    counts = LineCounts()
    host.counters = _counters
    host.count_file = counts.add
    host.text_digest = _text_digest
    host.make_counting = _make_counting
    return counts


def _make_counting(dump: str, changed: str | None = None) -> tuple[str, str] | None:
    """The counting code of a dump, and its counters; None where it cannot be made.

    Args:
        changed: the same dump with calls in place of tail calls, if that is wanted.
    """
    try:
        made = make_counting(dump.encode("latin-1"))
    except ValueError:
        return None
    code = made.code if changed is None else made.with_calls(changed.encode("latin-1"))
    return code.decode("latin-1"), made.counters.decode("latin-1")


def _text_digest(text: str) -> str:
    return text_digest(text.encode("latin-1"))


def _counters(threads: str) -> str:
    """The instruction counters of threads, 4 bytes each; `threads` are their `tostring` texts."""
    offset = _counter_offset()
    return b"".join(
        ctypes.string_at(_address(name) + offset, 4) for name in threads.split("\n")
    ).decode("latin-1")


def _address(name: str) -> int:
    return int(name.rpartition(" ")[2], 16)


_ARRAY = struct.Struct("<IQ")  # sizearray, array; 12 bytes into a `Table` (Lua 5.3 lobject.h)
_VALUE = 16  # bytes of a `TValue`; a whole number is its first 8


class _CountedFile:
    """A file of code that counts its lines.

    Args:
        table: the address of its counters, which Lua keeps in the array part of a table.
        name, digest: of its text.
        kinds: `counting.CountingCode.counters`.
    """

    def __init__(self, table: int, name: bytes, digest: bytes, kinds: bytes) -> None:
        self._table = table
        self._functions: list[tuple[bytes, int, int]] = []  # its place, its counters from and to
        count, at = struct.unpack_from("<I", kinds)[0], 4
        text, number = _sized(name) + _sized(digest), 0
        for _ in range(count):
            first, last, own = struct.unpack_from("<III", kinds, at)
            self._functions.append((text + struct.pack("<II", first, last), number, number + own))
            number += own
            at += 12
        counters = list(struct.iter_unpack("<8sI", kinds[at:]))
        self._ways: list[bytes] = [way for way, _cost in counters]
        self._costs: list[int] = [cost for _way, cost in counters]
        self._taken = [0] * number

    def _counts(self) -> list[int]:
        size, array = _ARRAY.unpack(ctypes.string_at(self._table + 12, _ARRAY.size))
        count = min(len(self._taken), size)
        data = ctypes.string_at(array, _VALUE * count)
        return [value for (value,) in struct.iter_unpack("<q8x", data)]

    def begin(self) -> None:
        """Begin anew: the counters are 0."""
        self._taken = [0] * len(self._taken)

    def steps(self) -> int:
        """The instructions that counting took."""
        return sum(times * cost for times, cost in zip(self._counts(), self._costs, strict=True))

    def take(self) -> Iterator[bytes]:
        """For each function that ran: its lines, the number of its ways, each way and its count."""
        counts = self._counts()
        new = [now - before for now, before in zip(counts, self._taken, strict=True)]
        self._taken = counts
        for place, start, end in self._functions:
            parts = [
                self._ways[at] + struct.pack("<Q", new[at])
                for at in range(start, end)
                if new[at] > 0 and self._ways[at][4:] != _NOWHERE
            ]
            if parts:
                yield place + struct.pack("<I", len(parts)) + b"".join(parts)


def _sized(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text


class LineCounts:
    """The line counts of a process's files.

    They are read from memory, at addresses that Lua has given: so also while Lua runs, and when Lua
    has no memory left.
    """

    def __init__(self) -> None:
        self._files: list[_CountedFile] = []

    def add(self, table: str, *parts: str) -> None:
        """Count a file: `tostring` of the table of its counters; see `_CountedFile`."""
        name, digest, kinds = (part.encode("latin-1") for part in parts)
        self._files.append(_CountedFile(_address(table), name, digest, kinds))

    def begin(self) -> None:
        """Begin a message: set the counters to 0."""
        for file in self._files:
            file.begin()

    def steps(self) -> int:
        """The instructions that counting took."""
        return sum(file.steps() for file in self._files)

    def take(self, handlers: str = "\0\0\0\0", left_out: bool = False) -> str:
        """What ran since the last call, packed: the number of functions, the functions, the
        handlers, and whether something was left out; "" for nothing."""
        functions, size = [], 0
        for text in (text for file in self._files for text in file.take()):
            size += len(text)
            if size > MOST_NOTED:
                left_out = True
                break
            functions.append(text)
        if not functions and handlers == "\0\0\0\0" and not left_out:
            return ""
        head, end = struct.pack("<I", len(functions)), struct.pack("<I", left_out)
        return b"".join([head, *functions, handlers.encode("latin-1"), end]).decode("latin-1")


_PROBES = (0x1234567, 0x7654321)
_SEARCHED = 256  # bytes of a `lua_State` among which its counter lies (Lua 5.3 lstate.h: at 160)


@cache
def _counter_offset() -> int:
    """Where `hookcount` lies in a `lua_State` (Lua 5.3 lstate.h): right after `basehookcount`.

    Setting a hook gives both the same value, so they are found, not assumed.

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
