"""Gives full names to modules of the first format, `wasm32-unknown-emscripten`.

These have minified names: one letter for each import of module `a` and for each export. The letters
are the same in all of them, as one tool built them with one runtime; the loader of the format has
the table. A module counts as one of them only if each letter also has the signature in the table.
"""

from __future__ import annotations

from aoshell.sandbox.wasm.reader import encode_name, leb128
from aoshell.sandbox.wasm.sections import (
    EXPORT,
    IMPORT,
    KINDS,
    Export,
    Import,
    WasmModule,
    parse_module,
)

# letter, name, signature (result first, v for none; "-" for what is no function).
_IMPORTS = """
a env._emscripten_date_now d · b env.setTempRet0 vi · c wasi_snapshot_preview1.fd_close ii
d env.__syscall_fcntl64 iiii · e env.__syscall_unlinkat iiii
f wasi_snapshot_preview1.fd_write iiiii · g env.__syscall_openat iiiii · h env.getTempRet0 i
i env._mktime_js ii · j env._tzset_js viii · k env.emscripten_memcpy_big viii · l env.exit vi
m env.system ii · n env.strftime iiiii · o wasi_snapshot_preview1.fd_seek iiiiii
p env._emscripten_throw_longjmp v · q env.emscripten_resize_heap ii
r env.__syscall_lstat64 iii · s env.__syscall_renameat iiiii · t env.__syscall_rmdir ii
u wasi_snapshot_preview1.environ_get iii · v wasi_snapshot_preview1.environ_sizes_get iii
w env.__syscall_dup3 iiii · x env.invoke_vii viii · y wasi_snapshot_preview1.fd_read iiiii
z env.__syscall_ioctl iiii · A env._emscripten_get_now_is_monotonic i · B env._gmtime_js vii
C env._localtime_js vii · D env.abort v
"""
_EXPORTS = """
E memory - · F __wasm_call_ctors v · G handle iii · H main iii · I __indirect_function_table -
J malloc ii · K __errno_location i · L setThrew vii · M stackSave i · N stackRestore vi
O stackAlloc ii
"""
_LETTERS = {"i32": "i", "i64": "j", "f32": "f", "f64": "d"}


def unminify(data: bytes) -> bytes:
    """A module of the first format with full names; the same bytes where it is none.

    Raises:
        ModuleError: it is malformed.
    """
    module = parse_module(data)
    if not is_minified(module):
        return data
    imports, exports = (
        [leb128(len(module.imports))],
        [leb128(len(module.exports))],
    )
    for item in module.imports:
        found = _KNOWN_IMPORTS[item.name][0] if item.module == "a" else f"{item.module}.{item.name}"
        origin, name = found.split(".", 1)
        imports += encode_name(origin), encode_name(name), data[item.span[0] : item.span[1]]
    for export in module.exports:
        kind = bytes([KINDS.index(export.kind)])
        exports += encode_name(_KNOWN_EXPORTS[export.name][0]), kind, leb128(export.index)
    return module.rebuilt({IMPORT: b"".join(imports), EXPORT: b"".join(exports)})


def is_minified(module: WasmModule) -> bool:
    """Whether it is a module of the first format."""
    minified = [item for item in module.imports if item.module == "a"]
    others = {item.module for item in module.imports} - {"a"}
    return (
        bool(minified)
        and others <= {"metering"}
        and {"E", "G", "J"} <= {export.name for export in module.exports}
        and all(_fits(module, i, _KNOWN_IMPORTS) for i in minified)
        and all(_fits(module, e, _KNOWN_EXPORTS) for e in module.exports)
    )


def _fits(module: WasmModule, item: Import | Export, known: dict[str, tuple[str, str]]) -> bool:
    if item.name not in known:
        return False
    if item.kind != "function":
        return known[item.name][1] == "-"
    signature = module.signature(item.index)
    letters = "".join(_LETTERS.get(t, "?") for t in (*signature.results, *signature.params))
    return known[item.name][1] == ("" if signature.results else "v") + letters


def _table(text: str) -> dict[str, tuple[str, str]]:
    entries = (entry.split() for entry in text.replace("\n", " · ").split("·") if entry.strip())
    return {letter: (name, signature) for letter, name, signature in entries}


_KNOWN_IMPORTS = _table(_IMPORTS)
_KNOWN_EXPORTS = _table(_EXPORTS)
