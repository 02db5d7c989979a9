"""Adds exports to a module for its whole state, so that the host can save and restore it."""

from __future__ import annotations

from aoshell.sandbox.wasm.reader import ModuleError, encode_name, leb128
from aoshell.sandbox.wasm.sections import EXPORT, KINDS, Export, parse_module

GLOBAL_PREFIX = "aoshell:global:"
MEMORY = "aoshell:memory"
TABLE_PREFIX = "aoshell:table:"
SAVED_TYPES = frozenset({"i32", "i64", "f32", "f64"})  # what wasmtime reads and writes from Python


def expose(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """A module with exports for its mutable globals, memory and tables, and the globals' names.

    Globals are named `aoshell:global:<index>`, tables `aoshell:table:<index>`. The memory has the
    name `memory`, or `aoshell:memory` where something else has that name. Globals that hold
    references or vectors get no export: `Description.unsaved` lists them. Nothing gets an export
    twice.

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
