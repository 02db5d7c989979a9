"""Reads and writes the parts of the WebAssembly binary format: numbers, names, types, limits.

A count from the input is compared with the bytes that are left before anything is allocated for it.
Whatever is wrong raises ModuleError.

Source: WebAssembly core specification 3.0, "Binary Format" (memory64 and exceptions included).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aoshell.errors import AoError

MAX_ITEMS = 100_000  # in one vector, and sections in a module
MAX_NAME = 100_000  # bytes

VALUE_TYPES = {
    0x7F: "i32",
    0x7E: "i64",
    0x7D: "f32",
    0x7C: "f64",
    0x7B: "v128",
    0x70: "funcref",
    0x6F: "externref",
    0x69: "exnref",
}
REFERENCES = frozenset({"funcref", "externref", "exnref"})
NO_GC = "types of the garbage collection proposal are not supported"

_VALUE_CODES = bytes(VALUE_TYPES)
_LEB = rb"[\x80-\xff]{0,9}+[\x00-\x7f]"
_CONSTANT = re.compile(
    rb"(?:[\x23\x41\x42\xd2]" + _LEB + rb"|\x43.{4}|\x44.{8}|\xfd\x0c.{16}|\xd0[\x69\x6f\x70]"
    rb"|[\x6a-\x6c\x7c-\x7e])*+\x0b",
    re.DOTALL,
)


class ModuleError(AoError):
    """A module that is malformed, or that this node refuses.

    Args:
        what: the part and what is wrong with it, without a full stop.
        position: where, in bytes from the beginning of the module.
        hint: what to do next.
    """

    def __init__(
        self,
        what: str,
        position: int,
        hint: str = "the file is damaged, or no module: build it again",
    ) -> None:
        super().__init__(f"{what} (at byte {position})", stage="module", hint=hint)
        self.position = position


@dataclass(frozen=True, slots=True)
class Signature:
    """The types of a function's parameters and results, one byte each, as in the module."""

    takes: bytes
    gives: bytes

    @property
    def params(self) -> tuple[str, ...]:
        """The names of the types it takes."""
        return tuple(VALUE_TYPES[code] for code in self.takes)

    @property
    def results(self) -> tuple[str, ...]:
        """The names of the types it gives."""
        return tuple(VALUE_TYPES[code] for code in self.gives)

    def __str__(self) -> str:
        return f"({', '.join(self.params)}) -> ({', '.join(self.results)})"


@dataclass(frozen=True, slots=True)
class Memory:
    """Sizes in pages of 64 KiB; `maximum` is None where the module sets none."""

    minimum: int
    maximum: int | None
    shared: bool
    is64: bool

    def __str__(self) -> str:
        top = "" if self.maximum is None else f" to {self.maximum}"
        flags = ("shared, " if self.shared else "") + ("64-bit" if self.is64 else "32-bit")
        return f"{self.minimum}{top} pages, {flags}"


@dataclass(frozen=True, slots=True)
class TableType:
    """Sizes in entries."""

    element: str
    minimum: int
    maximum: int | None

    def __str__(self) -> str:
        top = "" if self.maximum is None else f" to {self.maximum}"
        return f"{self.minimum}{top} × {self.element}"


@dataclass(frozen=True, slots=True)
class Global:
    type: str
    mutable: bool
    imported: bool

    def __str__(self) -> str:
        return f"mutable {self.type}" if self.mutable else self.type


class ModuleReader:
    """Reads forward through a part of a module; each method raises ModuleError, nothing else."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.end = data, at, end

    def skip(self, size: int, what: str) -> int:
        """Skip `size` bytes. Returns where they begin."""
        start = self.at
        if size > self.end - start:
            raise ModuleError(f"{what} ends early", start)
        self.at = start + size
        return start

    def take(self, size: int, what: str) -> bytes:
        """The next `size` bytes."""
        return self.data[self.skip(size, what) : self.at]

    def byte(self, what: str) -> int:
        """The next byte."""
        return self.data[self.skip(1, what)]

    def number(self, what: str, bits: int = 32) -> int:
        """An unsigned LEB128 number of at most `bits` bits."""
        start, value = self.at, 0
        for shift in range(0, bits, 7):
            digit = self.byte(what)
            value |= (digit & 0x7F) << shift
            if digit < 0x80:
                if value >> bits:
                    break
                return value
        raise ModuleError(f"{what}: a number has more than {bits} bits", start)

    def count(self, what: str, limit: int = MAX_ITEMS) -> int:
        """The length of a vector, each item of which takes a byte at least."""
        start = self.at
        value = self.number(what)
        if value > min(limit, self.end - self.at):
            raise ModuleError(f"{what}: {value} items are declared, more than there can be", start)
        return value

    def name(self, what: str) -> str:
        """A string in UTF-8."""
        start = self.at
        try:
            return self.take(self.count(what, MAX_NAME), what).decode()
        except UnicodeDecodeError:
            raise ModuleError(f"{what}: a name is not UTF-8", start) from None

    def value_types(self, what: str, count: int) -> bytes:
        """This many value types, a byte each."""
        start, codes = self.at, self.take(count, what)
        strange = codes.translate(None, _VALUE_CODES)
        if strange:
            raise ModuleError(f"{what}: value type 0x{strange[0]:02x} is unknown", start, NO_GC)
        return codes

    def value_type(self, what: str) -> str:
        """The name of the next value type."""
        return VALUE_TYPES[self.value_types(what, 1)[0]]

    def index(self, what: str, below: int) -> int:
        """An index into a space of `below` items."""
        start = self.at
        value = self.number(what)
        if value >= below:
            raise ModuleError(f"{what}: index {value} where there are {below}", start)
        return value

    def limits(self, what: str, flags: int) -> tuple[int, int | None, int]:
        """A minimum, a maximum or None, and the flags (1 maximum, 2 shared, 4 64-bit)."""
        start = self.at
        found = self.byte(what)
        if found & ~flags:
            raise ModuleError(f"{what}: flags 0x{found:02x} are unknown", start)
        bits = 64 if found & 4 else 32
        minimum = self.number(what, bits)
        return minimum, self.number(what, bits) if found & 1 else None, found

    def table(self, what: str) -> TableType:
        """A table type."""
        element = self.value_type(what)
        if element not in REFERENCES:
            raise ModuleError(f"{what}: {element} cannot be an element", self.at - 1)
        minimum, maximum, _ = self.limits(what, 5)
        return TableType(element, minimum, maximum)

    def memory(self, what: str) -> Memory:
        """A memory type."""
        minimum, maximum, flags = self.limits(what, 7)
        return Memory(minimum, maximum, bool(flags & 2), bool(flags & 4))

    def global_type(self, what: str, imported: bool) -> Global:
        """A global's type."""
        kind, mutable = self.value_type(what), self.byte(what)
        if mutable > 1:
            raise ModuleError(f"{what}: mutability 0x{mutable:02x} is unknown", self.at - 1)
        return Global(kind, bool(mutable), imported)

    def tag(self, what: str, types: int) -> int:
        """A tag's type, an index into the module's types."""
        if self.byte(what):
            raise ModuleError(f"{what}: the attribute is not 0", self.at - 1)
        return self.index(what, types)

    def constant(self, what: str) -> None:
        """Skip a constant expression."""
        found = _CONSTANT.match(self.data, self.at, self.end)
        if not found:
            raise ModuleError(f"{what}: the initial value is not a constant expression", self.at)
        self.at = found.end()


def leb128(value: int) -> bytes:
    """A number as unsigned LEB128."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_name(text: str) -> bytes:
    """A name: its length and its UTF-8."""
    encoded = text.encode()
    return leb128(len(encoded)) + encoded
