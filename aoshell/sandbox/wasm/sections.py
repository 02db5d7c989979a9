"""Parses the sections of a WebAssembly binary: what a module declares, and where.

    magic, version      8 bytes
    sections            id (1 byte), size (LEB128), payload; custom ones (id 0) anywhere

Types, imports, functions, tables, memories, globals, tags, exports and the start function are read
in full; of elements, code and data only the counts, and where each function's body is. Validation
(of the types on the stack, for example) is left to the engine.

Source: WebAssembly core specification 3.0, "Binary Format" (memory64 and exceptions included).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from aoshell.sandbox.wasm.reader import (
    MAX_ITEMS,
    NO_GC,
    Global,
    Memory,
    ModuleError,
    ModuleReader,
    Signature,
    TableType,
    leb128,
)

MAX_SIZE = 64 << 20  # bytes of a module
MAX_FUNCTIONS = 1_000_000  # the bound that browsers agreed on (WebAssembly JavaScript interface)
MAX_GROUPS = 2_000_000  # of locals in all functions: they are read one by one

HEADER = b"\0asm\1\0\0\0"
KINDS = ("function", "table", "memory", "global", "tag")

CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START = range(9)
ELEMENT, CODE, DATA, DATA_COUNT, TAG = range(9, 14)
ORDER = (
    *(TYPE, IMPORT, FUNCTION, TABLE, MEMORY, TAG, GLOBAL),
    *(EXPORT, START, ELEMENT, DATA_COUNT, CODE, DATA),
)


@dataclass(frozen=True, slots=True)
class Import:
    """`span`: where its descriptor (kind and type) is, in bytes of the module."""

    module: str
    name: str
    kind: str
    index: int
    span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Export:
    name: str
    kind: str
    index: int


@dataclass(frozen=True, slots=True)
class Section:
    """`start` and `end`: its payload. `head`: where its id is. `name`: of a custom section."""

    id: int
    head: int
    start: int
    end: int
    name: str = ""


@dataclass(slots=True)
class WasmModule:
    """A module's declarations, made by `parse_module()`. Indices count imported items first.

    Attributes:
        functions: each function's type, an index into `types`; `tags` likewise.
        bodies: start and end of each body of the code section, in bytes of `data`.
    """

    data: bytes = field(repr=False)
    sections: list[Section] = field(default_factory=list)
    types: list[Signature] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    functions: list[int] = field(default_factory=list)
    tables: list[TableType] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    globals: list[Global] = field(default_factory=list)
    tags: list[int] = field(default_factory=list)
    exports: list[Export] = field(default_factory=list)
    start: int | None = None
    elements: int = 0
    segments: int = 0
    bodies: list[tuple[int, int]] = field(default_factory=list, repr=False)

    def signature(self, function: int) -> Signature:
        """The type of the function with this index."""
        return self.types[self.functions[function]]

    def describe(self, item: Import | Export) -> str:
        """The type of an import or export, as text for people."""
        if item.kind == "function":
            return str(self.signature(item.index))
        if item.kind == "tag":
            return str(self.types[self.tags[item.index]])
        return str(self.space(item.kind)[item.index])

    def space(self, kind: str) -> list[int] | list[TableType] | list[Memory] | list[Global]:
        """All items of one kind of `KINDS`."""
        spaces = (self.functions, self.tables, self.memories, self.globals, self.tags)
        return spaces[KINDS.index(kind)]

    def section(self, number: int) -> ModuleReader | None:
        """A reader over the payload of a section, or None where the module has none."""
        found = next((s for s in self.sections if s.id == number), None)
        return ModuleReader(self.data, found.start, found.end) if found else None

    def rebuilt(self, payloads: Mapping[int, bytes]) -> bytes:
        """The module's bytes with these sections replaced, or added where they belong."""
        parts, left = [HEADER], dict(payloads)
        for section in self.sections:
            rank = ORDER.index(section.id) if section.id else -1
            for number in [n for n in ORDER[: max(rank, 0)] if n in left]:
                parts.append(_section(number, left.pop(number)))
            if section.id in left:
                parts.append(_section(section.id, left.pop(section.id)))
            else:
                parts.append(self.data[section.head : section.end])
        parts += [_section(n, left[n]) for n in ORDER if n in left]
        return b"".join(parts)


def parse_module(data: bytes) -> WasmModule:
    """A module's declarations.

    Raises:
        ModuleError: it is malformed, a component, or above 64 MiB.
    """
    if len(data) > MAX_SIZE:
        raise ModuleError(f"the module has {len(data)} bytes", MAX_SIZE, "the limit is 64 MiB")
    if data[:4] != HEADER[:4]:
        raise ModuleError("the magic bytes of WebAssembly are missing", 0)
    if data[4:8] != HEADER[4:]:
        if data[6:8] == b"\1\0":
            hint = "build a core module (componentize steps are not needed)"
            raise ModuleError("the file is a component, not a core module", 4, hint)
        raise ModuleError("the version is not 1", 4)
    module, reader, rank = WasmModule(data), ModuleReader(data, 8, len(data)), -1
    while reader.at < reader.end:
        section = _head(reader)
        if len(module.sections) == MAX_ITEMS:
            raise ModuleError("there are too many sections", section.head)
        module.sections.append(section)
        if section.id == CUSTOM:
            continue
        if ORDER.index(section.id) <= rank:
            raise ModuleError(f"section {section.id} is out of order", section.head)
        rank = ORDER.index(section.id)
        part = ModuleReader(data, section.start, section.end)
        _READERS[section.id](part, module)
        if part.at != part.end:
            raise ModuleError(f"section {section.id} is longer than what it holds", part.at)
    if len(module.bodies) != _defined(module):
        raise ModuleError("functions and bodies differ in number", len(data))
    return module


def _section(number: int, payload: bytes) -> bytes:
    return bytes([number]) + leb128(len(payload)) + payload


def _head(reader: ModuleReader) -> Section:
    head = reader.at
    number = reader.byte("a section")
    if number > TAG:
        raise ModuleError(f"section {number} is unknown", head)
    start = reader.skip(reader.number("a section's size"), f"section {number}")
    name = (
        ModuleReader(reader.data, start, reader.at).name("a custom section") if not number else ""
    )
    return Section(number, head, start, reader.at, name)


def _defined(module: WasmModule) -> int:
    return len(module.functions) - sum(i.kind == "function" for i in module.imports)


def _types(reader: ModuleReader, module: WasmModule) -> None:
    for _ in range(reader.count("types")):
        form = reader.byte("types")
        if form != 0x60:
            raise ModuleError(f"types: form 0x{form:02x} is unknown", reader.at - 1, NO_GC)
        takes = reader.value_types("types", reader.count("types", 1000))
        gives = reader.value_types("types", reader.count("types", 1000))
        module.types.append(Signature(takes, gives))


def _imports(reader: ModuleReader, module: WasmModule) -> None:
    for _ in range(reader.count("imports")):
        origin, name, start = reader.name("imports"), reader.name("imports"), reader.at
        kind = KINDS[reader.index("imports: kind", len(KINDS))]
        what = f"import {origin}.{name}"
        if kind == "function":
            module.functions.append(reader.index(what, len(module.types)))
        elif kind == "table":
            module.tables.append(reader.table(what))
        elif kind == "memory":
            module.memories.append(reader.memory(what))
        elif kind == "global":
            module.globals.append(reader.global_type(what, imported=True))
        else:
            module.tags.append(reader.tag(what, len(module.types)))
        index = len(module.space(kind)) - 1
        module.imports.append(Import(origin, name, kind, index, (start, reader.at)))


def _functions(reader: ModuleReader, module: WasmModule) -> None:
    count, types = reader.count("functions", MAX_FUNCTIONS), len(module.types)
    module.functions += [reader.index("functions", types) for _ in range(count)]


def _tables(reader: ModuleReader, module: WasmModule) -> None:
    for _ in range(reader.count("tables", 100)):
        initial = reader.data[reader.at : reader.at + 2] == b"\x40\x00"
        reader.at += 2 if initial else 0
        module.tables.append(reader.table("tables"))
        if initial:
            reader.constant("tables")


def _memories(reader: ModuleReader, module: WasmModule) -> None:
    module.memories += [reader.memory("memories") for _ in range(reader.count("memories", 100))]


def _tags(reader: ModuleReader, module: WasmModule) -> None:
    types = len(module.types)
    module.tags += [reader.tag("tags", types) for _ in range(reader.count("tags"))]


def _globals(reader: ModuleReader, module: WasmModule) -> None:
    for _ in range(reader.count("globals")):
        module.globals.append(reader.global_type("globals", imported=False))
        reader.constant("globals")


def _exports(reader: ModuleReader, module: WasmModule) -> None:
    names = set()
    for _ in range(reader.count("exports")):
        start = reader.at
        name = reader.name("exports")
        kind = KINDS[reader.index("exports: kind", len(KINDS))]
        if name in names:
            raise ModuleError(f"the name {name!r} is exported twice", start)
        names.add(name)
        index = reader.index(f"export {name!r}", len(module.space(kind)))
        module.exports.append(Export(name, kind, index))


def _start(reader: ModuleReader, module: WasmModule) -> None:
    module.start = reader.index("the start function", len(module.functions))


def _elements(reader: ModuleReader, module: WasmModule) -> None:
    module.elements = reader.count("elements")
    reader.at = reader.end


def _segments(reader: ModuleReader, module: WasmModule) -> None:
    module.segments = reader.count("data segments")
    reader.at = reader.end


def _data_count(reader: ModuleReader, module: WasmModule) -> None:
    module.segments = reader.number("the data count")


def _code(reader: ModuleReader, module: WasmModule) -> None:
    groups = 0
    for _ in range(reader.count("code", MAX_FUNCTIONS)):
        start = reader.skip(reader.number("a function body"), "a function body")
        module.bodies.append((start, reader.at))
        with suppress(ModuleError):  # the engine reports what is wrong with such a body
            groups += ModuleReader(reader.data, start, reader.at).number("locals")
        if groups > MAX_GROUPS:
            raise ModuleError("the functions declare their locals in too many groups", start)


_READERS: dict[int, Callable[[ModuleReader, WasmModule], None]] = {
    TYPE: _types,
    IMPORT: _imports,
    FUNCTION: _functions,
    TABLE: _tables,
    MEMORY: _memories,
    TAG: _tags,
    GLOBAL: _globals,
    EXPORT: _exports,
    START: _start,
    ELEMENT: _elements,
    DATA_COUNT: _data_count,
    CODE: _code,
    DATA: _segments,
}
