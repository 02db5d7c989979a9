"""Modules with their whole state in reach: what a host must save and restore gets an export."""

from __future__ import annotations

from aoshell.sandbox.wasm.reader import ModuleError, encode_name, leb128
from aoshell.sandbox.wasm.sections import EXPORT, KINDS, Export, parse_module

GLOBAL_PREFIX = "aoshell:global:"
MEMORY = "aoshell:memory"
TABLE_PREFIX = "aoshell:table:"
SAVED_TYPES = frozenset({"i32", "i64", "f32", "f64"})  # what wasmtime reads and writes from Python


def expose(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The module with its mutable globals, its memory and its tables exported; the globals' names.

    Globals are named `aoshell:global:<index>`, tables `aoshell:table:<index>`. The memory is named
    `memory`, or `aoshell:memory` where that name stands for something else. Globals that hold
    references or vectors stay as they are: `Description.unsaved` lists them. What is exported so
    already is not exported again.

    Raises:
        ModuleError: the module is malformed, or uses one of these names for something else.
    """
    module = parse_module(data)
    present = {export.name: export for export in module.exports}
    wanted = [
        Export(f"{GLOBAL_PREFIX}{index}", "global", index)
        for index, item in enumerate(module.globals)
        if item.mutable and not item.imported and item.type in SAVED_TYPES
    ]
    names = tuple(export.name for export in wanted)
    if module.memories:
        taken = "memory" in present and present["memory"].kind != "memory"
        wanted.append(Export(MEMORY if taken else "memory", "memory", 0))
    wanted += [Export(f"{TABLE_PREFIX}{n}", "table", n) for n in range(len(module.tables))]
    added = [export for export in wanted if present.get(export.name) != export]
    for export in added:
        if export.name in present:
            raise ModuleError(f"the export name {export.name!r} is reserved", 0, "rename it")
    if not added:
        return data, names
    reader = module.section(EXPORT)
    count = reader.count("exports") if reader else 0
    old = reader.data[reader.at : reader.end] if reader else b""
    return module.rebuilt({EXPORT: leb128(count + len(added)) + old + encoded(added)}), names


def encoded(exports: list[Export]) -> bytes:
    """The entries of an export section."""
    return b"".join(
        encode_name(e.name) + bytes([KINDS.index(e.kind)]) + leb128(e.index) for e in exports
    )
