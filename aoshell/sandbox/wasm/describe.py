"""Describes a module without running it: its kind, format, imports, exports and sizes."""

from __future__ import annotations

from dataclasses import dataclass

from aoshell.sandbox.wasm.code import changes_tables, legacy_bodies
from aoshell.sandbox.wasm.expose import SAVED_TYPES
from aoshell.sandbox.wasm.names import unminify
from aoshell.sandbox.wasm.reader import Memory, ModuleError, TableType
from aoshell.sandbox.wasm.sections import MAX_SIZE, WasmModule, parse_module

MAX_PAGES = 65_536  # 4 GiB
MAX_ENTRIES = 10_000_000  # of all tables together
WASI = "wasi_snapshot_preview1"


@dataclass(frozen=True, slots=True)
class Extern:
    """An import or export. `module` is "" for exports; `signature` is text for people."""

    module: str
    name: str
    kind: str
    signature: str


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a module without running it.

    Attributes:
        kind: "json" (`handle` on JSON strings), "wasi" (a program), "plain" (functions that are
            called by name), or "" where none fits.
        problem: why no kind fits, or "".
        format: its `Module-Format` in AO, guessed from its names.
        pointer: "i32" or "i64".
        imports, exports: in order; full names also where the file has minified ones.
        globals: how many it defines or imports.
        unsaved: indices of mutable globals that cannot be saved (references and vectors).
        moves_tables: whether its code may change its function tables, which cannot be saved.
        size: of the file, in bytes.
        start: the index of the function that runs on instantiation, or None.
        legacy: whether it must pass `modernize()` before it compiles.
        sections: the names of its custom sections.
    """

    kind: str
    problem: str
    format: str
    pointer: str
    imports: tuple[Extern, ...]
    exports: tuple[Extern, ...]
    memories: tuple[Memory, ...]
    tables: tuple[TableType, ...]
    globals: int
    unsaved: tuple[int, ...]
    moves_tables: bool
    size: int
    start: int | None
    legacy: bool
    sections: tuple[str, ...]


def describe_module(data: bytes, *, max_pages: int = MAX_PAGES) -> Description:
    """What a module is. `max_pages`: the most memory it may ask for at first, in pages of 64 KiB.

    Raises:
        ModuleError: it is malformed, or refused: several memories, shared memory, more memory than
            `max_pages`, tables above ten million entries, above 64 MiB, a component.
    """
    full = unminify(data) if len(data) <= MAX_SIZE else data
    module = parse_module(full)
    check_module(module, max_pages)
    kind = _kind(module)
    return Description(
        kind=kind,
        problem="" if kind else _problem(module),
        format=_format(module, minified=full is not data),
        pointer=_pointer(module),
        imports=tuple(Extern(i.module, i.name, i.kind, module.describe(i)) for i in module.imports),
        exports=tuple(Extern("", e.name, e.kind, module.describe(e)) for e in module.exports),
        memories=tuple(module.memories),
        tables=tuple(module.tables),
        globals=len(module.globals),
        unsaved=tuple(
            index
            for index, item in enumerate(module.globals)
            if item.mutable and not item.imported and item.type not in SAVED_TYPES
        ),
        moves_tables=changes_tables(module),
        size=len(data),
        start=module.start,
        legacy=bool(legacy_bodies(module)),
        sections=tuple(section.name for section in module.sections if section.name),
    )


def check_module(module: WasmModule, max_pages: int) -> None:
    """Raise ModuleError for what `describe_module` refuses."""
    if len(module.memories) > 1:
        hint = "build it with one memory"
        raise ModuleError(f"the module has {len(module.memories)} memories", 0, hint)
    for memory in module.memories:
        if memory.shared:
            raise ModuleError("the memory is shared", 0, "build it without threads")
        if memory.minimum > max_pages:
            what = f"the memory begins with {memory.minimum} pages, and {max_pages} are allowed"
            raise ModuleError(what, 0, "build it with less memory, or raise the memory limit")
    entries = sum(table.minimum for table in module.tables)
    if entries > MAX_ENTRIES:
        hint = f"at most {MAX_ENTRIES} are allowed"
        raise ModuleError(f"the tables begin with {entries} entries", 0, hint)


def _pointer(module: WasmModule) -> str:
    return "i64" if module.memories and module.memories[0].is64 else "i32"


def _kind(module: WasmModule) -> str:
    if _is_shortened(module):
        return ""
    functions = _functions(module)
    pointer = _pointer(module)
    memory = any(e.name == "memory" and e.kind == "memory" for e in module.exports)
    if (
        memory
        and functions.get("handle") == f"({pointer}, {pointer}) -> ({pointer})"
        and functions.get("malloc") == f"({pointer}) -> ({pointer})"
    ):
        return "json"
    if functions.get("_start") == "() -> ()" and {i.module for i in module.imports} <= {WASI}:
        return "wasi"
    return "plain" if functions.keys() - {"_start"} else ""


def _is_shortened(module: WasmModule) -> bool:
    """Whether its names are minified in a way other than the first format's."""
    return any(item.module == "a" and len(item.name) == 1 for item in module.imports)


def _functions(module: WasmModule) -> dict[str, str]:
    return {e.name: module.describe(e) for e in module.exports if e.kind == "function"}


def _problem(module: WasmModule) -> str:
    if _is_shortened(module):
        return "its names are minified in a way that is not that of wasm32-unknown-emscripten"
    p = _pointer(module)
    exports = ", ".join(f"{e.name} ({e.kind})" for e in module.exports[:8]) or "nothing"
    foreign = sorted({i.module for i in module.imports} - {WASI})
    needs = f", and it imports from {', '.join(foreign[:4])}" if foreign else ""
    return (
        f"a module needs `memory`, `malloc` and `handle` ({p}, {p}) -> ({p}); or `_start` with "
        f"imports of {WASI} alone; or some exported function. "
        f"This one exports {exports}{needs}"
    )


def _format(module: WasmModule, minified: bool) -> str:
    if minified:
        return "wasm32-unknown-emscripten"
    base = "wasm64" if _pointer(module) == "i64" else "wasm32"
    names = {f"{item.module}.{item.name}" for item in module.imports}
    if "_start" in _functions(module) or (names and {n.split(".")[0] for n in names} == {WASI}):
        return f"{base}-unknown-wasi"
    if not names & _EMSCRIPTEN and "__wasm_call_ctors" not in _functions(module):
        return f"{base}-unknown-unknown"
    metered = "metering.usegas" in names
    if base == "wasm64":
        draft = "2024_10_16-metering" if metered else "2024_02_15"
        return f"wasm64-unknown-emscripten-draft_{draft}"
    if "env.emscripten_memcpy_big" in names:
        return "wasm32-unknown-emscripten2"
    if "env.emscripten_memcpy_js" in names:
        return "wasm32-unknown-emscripten3"
    return "wasm32-unknown-emscripten" + ("-metering" if metered else "4")


_EMSCRIPTEN = {
    "env.emscripten_resize_heap",
    "env.emscripten_memcpy_big",
    "env.emscripten_memcpy_js",
    "env._emscripten_memcpy_js",
    "env._abort_js",
    "env._emscripten_throw_longjmp",
}
