"""A WASM instance as its host sees it: memory (every pointer is checked), time and randomness.

No number from the guest is trusted. wasmtime hands out an unchecked pointer to the memory, so all
reads and writes go through `Guest`.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Collection
from typing import Any

import wasmtime

from aoshell.sandbox.wasm.budget import Budget
from aoshell.sandbox.wasm.expose import TABLE_PREFIX

PAGE = 65536
LOADER_START = 10_000  # milliseconds at which the clock of the ao loader begins
ENTRY = 8  # bytes that an entry of a table takes
MAX_TEXT = 10 << 20  # bytes of one text, as for Lua (host/bridge.lua)
HEAD = 1 << 20  # bytes of the beginning of a print longer than MAX_TEXT that are passed on
RANDOM = 1 << 16  # bytes of randomness that are drawn at a time


class GuestError(Exception):
    """The guest did what no guest may. The text says what, and the message fails with it."""


class Guest:
    """One instance.

    Attributes:
        wide: whether its pointers have 64 bits.
        now: time of the message, milliseconds since the Unix epoch.
        emit: called with (text, ""), what the guest writes to its standard output or error. If that
            is longer than MAX_TEXT: with (its end, its first HEAD bytes).
        budget: for all that the process holds.

    Args:
        hidden: exports that must not be called; see `engine.Compiled`.
    """

    def __init__(
        self,
        store: wasmtime.Store,
        wide: bool,
        emit: Callable[[str, str], None],
        budget: Budget,
        hidden: Collection[str] = (),
    ) -> None:
        self.store = store
        self._hidden = hidden
        self.wide = wide
        self.word = 8 if wide else 4
        self.now = 0
        self._counts = False
        self.emit = emit
        self.budget = budget
        budget.count("instance", self._held)
        self._seed = b""
        self._drawn = 0
        self._exports: Any = None
        self._memory: wasmtime.Memory | None = None
        self._tables: list[Any] = []

    def begin_instance(self, store: wasmtime.Store) -> None:
        """Forget the last instance; the next one is made in `store`."""
        self.store, self._exports, self._memory = store, None, None
        self._tables = []

    def attach(self, exports: Any) -> None:
        """Take the exports of the new instance."""
        self._exports = exports
        found = [exports[name] for name in exports]
        self._tables = [exports[name] for name in exports if name.startswith(TABLE_PREFIX)]
        self._memory = next((item for item in found if isinstance(item, wasmtime.Memory)), None)

    def _held(self) -> int:
        """Bytes of its memory and its tables."""
        entries = sum(int(table.size(self.store)) for table in self._tables)
        return ENTRY * entries + (self.size if self.has_memory else 0)

    @property
    def has_memory(self) -> bool:
        return self._memory is not None

    def begin(self, now: int, identity: str, *, counts: bool = False) -> None:
        """Begin a message: set its time, and the seed of its randomness.

        Args:
            counts: for a forked process: use the clock of the ao loader, which counts how often it
                was read. The loader counts on over several messages; here each message starts
                again, so that a log replays from any checkpoint.
        """
        self.now, self._counts = LOADER_START if counts else now, counts
        self._seed, self._drawn = identity.encode("latin-1"), 0

    def look_at_clock(self) -> int:
        """The time for the guest, milliseconds since the Unix epoch (or of the loader's clock)."""
        now = self.now
        self.now += self._counts
        return now

    def put_random(self, pointer: int, size: int) -> None:
        """Fill memory with randomness. Raises GuestError."""
        start = self.span(pointer, size)
        for at in range(0, size, RANDOM):
            self.write(start + at, self.random(min(RANDOM, size - at)))

    def random(self, size: int) -> bytes:
        """The next random bytes of the message: SHA-256 of its seed and a counter."""
        parts = []
        while size > 0:
            block = hashlib.sha256(self._seed + self._drawn.to_bytes(8, "big")).digest()
            self._drawn += 1
            parts.append(block[:size])
            size -= len(block)
        return b"".join(parts)

    # Memory -----------------------------------------------------------------------------------

    @property
    def memory(self) -> wasmtime.Memory:
        if self._memory is None:
            raise GuestError("it has no memory yet")
        return self._memory

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return int(self.memory.data_len(self.store))

    def unsigned(self, number: int) -> int:
        """A pointer or size without a sign: wasmtime passes all integers as signed."""
        return number & (0xFFFF_FFFF_FFFF_FFFF if self.wide else 0xFFFF_FFFF)

    def span(self, pointer: int, length: int) -> int:
        """The start of a part of its memory. Raises GuestError where that is out of bounds."""
        start = self.unsigned(pointer)
        if length < 0 or start + length > self.size:
            raise GuestError(f"a pointer is wild: {length} bytes at {start:#x}, beyond its memory")
        return start

    def _address(self, start: int) -> int:
        base = self.memory.data_ptr(self.store)
        return ctypes.addressof(base.contents) + start

    def read(self, pointer: int, length: int) -> bytes:
        """Bytes of its memory. Raises GuestError."""
        start = self.span(pointer, length)
        return ctypes.string_at(self._address(start), length) if length else b""

    def gather(self, vectors: list[tuple[int, int]], skip: int, size: int) -> bytes:
        """`size` bytes, after the first `skip`, of the parts that (pointer, length) pairs name.

        A guest may name the same memory over and over, so no more than `size` is ever copied.
        """
        parts = []
        for pointer, length in vectors:
            part = min(length - skip, size)
            if part > 0:
                parts.append(self.read(pointer + skip, part))
                size -= part
            skip = max(skip - length, 0)
        return b"".join(parts)

    def printed(self, vectors: list[tuple[int, int]]) -> None:
        """Pass on what the guest writes to its standard output or error. Raises GuestError."""
        size = sum(length for _pointer, length in vectors)
        end = self.gather(vectors, max(size - MAX_TEXT - 1, 0), MAX_TEXT + 1).decode("latin-1")
        head = self.gather(vectors, 0, HEAD).decode("latin-1") if size > len(end) else ""
        if size:
            self.emit(end, head)

    def write(self, pointer: int, data: bytes) -> None:
        """Put bytes into its memory. Raises GuestError."""
        start = self.span(pointer, len(data))
        if data:
            ctypes.memmove(self._address(start), data, len(data))

    def copy(self, target: int, source: int, length: int) -> None:
        """Copy bytes within its memory. Those beyond its end are left out, as copyWithin does."""
        target, source, length = map(self.unsigned, (target, source, length))
        length = min(length, self.size - max(target, source))
        if length > 0:
            ctypes.memmove(self._address(target), self._address(source), length)

    def text(self, pointer: int, limit: int = 64 << 20) -> bytes:
        """A string that ends with a NUL. Raises GuestError where none ends it."""
        start = self.span(pointer, 0)
        room = min(limit, self.size - start)
        size = 256
        while True:
            found = ctypes.string_at(self._address(start), min(size, room))
            end = found.find(b"\0")
            if end >= 0:
                return found[:end]
            if size >= room:
                raise GuestError(f"the text at {start:#x} has no end")
            size *= 16

    def words(self, pointer: int, count: int) -> list[int]:
        """`count` pointer-sized numbers in a row."""
        raw, size = self.read(pointer, count * self.word), self.word
        return [int.from_bytes(raw[i : i + size], "little") for i in range(0, len(raw), size)]

    def put_word(self, pointer: int, value: int) -> None:
        """Write a pointer-sized number."""
        self.put(pointer, value, self.word)

    def put(self, pointer: int, value: int, size: int) -> None:
        """Write a number of `size` bytes."""
        self.write(pointer, (value & ((1 << 8 * size) - 1)).to_bytes(size, "little"))

    def clear(self) -> None:
        """Set all of its memory to zeros."""
        ctypes.memset(self._address(0), 0, self.size)

    def grow(self, size: int) -> bool:
        """Grow its memory to at least `size` bytes. False where its limit is lower."""
        missing = -(-(self.unsigned(size) - self.size) // PAGE)
        if missing <= 0:
            return True
        try:
            self.memory.grow(self.store, missing)
        except wasmtime.WasmtimeError:
            return False
        return True

    # Globals ----------------------------------------------------------------------------------

    def global_value(self, name: str) -> int | float:
        """Value of an exported global that is a number."""
        value: int | float = self._exports[name].value(self.store)
        return value

    def set_global(self, name: str, value: float) -> None:
        """Give an exported global a value."""
        self._exports[name].set_value(self.store, value)

    # Functions --------------------------------------------------------------------------------

    def has(self, name: str) -> bool:
        """Whether it exports a function of that name."""
        if name in self._hidden:
            return False
        try:
            return isinstance(self._exports[name], wasmtime.Func)
        except KeyError:
            return False

    def signature(self, name: str) -> tuple[list[str], list[str]]:
        """Types that an exported function takes and gives."""
        kind = self._exports[name].type(self.store)
        return [str(p) for p in kind.params], [str(r) for r in kind.results]

    def functions(self) -> list[str]:
        """Names of its exported functions."""
        return [name for name in self._exports if self.has(name)]

    def call(self, name: str, *args: int | float) -> Any:
        """Call an export. Raises wasmtime's errors for traps."""
        return self._exports[name](self.store, *args)
