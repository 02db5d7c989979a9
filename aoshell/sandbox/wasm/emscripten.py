"""The adapter: lets modules built with emscripten catch Lua's errors and C++ exceptions.

Emscripten compiles `setjmp`, `longjmp` and `catch` to calls of imports, `invoke_*`. Such an import
calls a function, and must return when that throws. Python is a hundred times too slow for this, and
breaks on nested coroutines. So a small module, the adapter, is generated for the `invoke_*` types
of a module. It catches in WASM, and is linked to the module's function table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import wasmtime

from aoshell.sandbox.wasm import cxx
from aoshell.sandbox.wasm.guest import Guest

THROW = "_emscripten_throw_longjmp"
_INVOKE = re.compile(r"invoke_\w+", re.ASCII)  # nothing else: the name goes into the adapter's text
_COPIES = frozenset({"emscripten_memcpy_js", "emscripten_memcpy_big"})
_COPIED = frozenset(f"(param {p})(param {p})(param {p})" for p in ("i32", "i64"))
# Imports that are called too often for Python: signature and body. In the old formats the host
# keeps the second word of a result. It is always set right before it is read, so images need not
# hold it. The metered formats report a count of instructions, which is not used here.
_SMALL = {
    "env.setTempRet0": ("(param i32)", "(global.set $second (local.get 0))"),
    "env.getTempRet0": ("(result i32)", "(global.get $second)"),
    "metering.usegas": ("(param i32)", ""),
}


@dataclass(frozen=True, slots=True)
class _Names:
    """The names of a module's three functions that the adapter calls."""

    save: str
    restore: str
    threw: str = "setThrew"


def _exports(module: wasmtime.Module) -> dict[str, Any]:
    return {item.name: item.type for item in module.exports}


def _names(exports: dict[str, Any]) -> _Names:
    save = "stackSave" if "stackSave" in exports else "emscripten_stack_get_current"
    restore = "stackRestore" if "stackRestore" in exports else "_emscripten_stack_restore"
    return _Names(save, restore)


def missing_exports(module: wasmtime.Module) -> list[str]:
    """The exports that the adapter needs and the module does not have."""
    if not throws(module):
        return []
    exports = _exports(module)
    names = _names(exports)
    wanted: dict[str, type] = {
        "__indirect_function_table": wasmtime.TableType,
        "memory": wasmtime.MemoryType,
        **dict.fromkeys((names.save, names.restore, names.threw), wasmtime.FuncType),
    }
    lacks = [name for name, kind in wanted.items() if not isinstance(exports.get(name), kind)]
    if names.threw not in lacks and len(exports[names.threw].params) != 2:
        lacks.append(f"{names.threw} of two parameters")
    return lacks


def _signature(kind: Any) -> str:
    params = "".join(f"(param {p})" for p in kind.params)
    return params + "".join(f"(result {r})" for r in kind.results)


def is_invoke(item: wasmtime.ImportType) -> bool:
    """Whether an import is emscripten's way to call a function that may throw."""
    name = item.name or ""
    return bool(_INVOKE.fullmatch(name)) and isinstance(item.type, wasmtime.FuncType)


def is_thrower(item: wasmtime.ImportType) -> bool:
    """Whether an import throws, or calls a function that may throw."""
    return is_invoke(item) or item.name == THROW


def _is_cxx_thrower(item: wasmtime.ImportType) -> bool:
    return item.name in cxx.THROWERS and isinstance(item.type, wasmtime.FuncType)


def is_copy(item: wasmtime.ImportType) -> bool:
    """Whether an import copies memory."""
    name = (item.name or "").lstrip("_")
    of_function = isinstance(item.type, wasmtime.FuncType)
    return name in _COPIES and of_function and _signature(item.type) in _COPIED


def in_adapter(item: wasmtime.ImportType, throwing: bool) -> bool:
    """Whether the adapter provides an import; `throwing`: the module has calls that may throw."""
    if is_thrower(item) or (throwing and (is_copy(item) or _is_cxx_thrower(item))):
        return True
    known = _SMALL.get(f"{item.module}.{item.name}")
    of_function = isinstance(item.type, wasmtime.FuncType)
    return known is not None and of_function and known[0] == _signature(item.type)


def throws(module: wasmtime.Module) -> bool:
    """Whether a module has calls that may throw."""
    return any(is_thrower(item) for item in module.imports)


def adapter_text(module: wasmtime.Module) -> str:
    """The adapter as WAT. It exports the imports for which `in_adapter` is True."""
    small = [
        f'(func (export "{name.partition(".")[2]}") {signature} {body})'
        for name, (signature, body) in _SMALL.items()
    ]
    notes, parts = [], []
    if throws(module):
        cxx_throwers = [item for item in module.imports if _is_cxx_thrower(item)]
        notes = [_note_import(item) for item in cxx_throwers]
        parts = [*_catching(module), *map(_throwing, cxx_throwers)]
    second = "(global $second (mut i32) (i32.const 0))"
    return "\n".join(["(module", *notes, second, *small, *parts, ")"])


def _note_import(item: wasmtime.ImportType) -> str:
    """Imports the host's function that records an exception before it is thrown."""
    note = cxx.THROWERS[item.name or ""]
    return f'(import "host" "{note}" (func ${note} {_signature(item.type)}))'


def _throwing(item: wasmtime.ImportType) -> str:
    """A throwing import of C++: call the host, then throw."""
    kind: Any = item.type
    passed = " ".join(f"(local.get {i})" for i in range(len(kind.params)))
    call = f"(call ${cxx.THROWERS[item.name or '']} {passed})"
    return f'(func (export "{item.name}") {_signature(kind)} {call} (throw $thrown))'


def _catching(module: wasmtime.Module) -> list[str]:
    """The throwing import, and the `invoke_*` ones that catch."""
    exports = _exports(module)
    names = _names(exports)
    table = exports["__indirect_function_table"].limits
    width = "i64" if exports["memory"].is_64 else "i32"
    one, two = exports[names.threw].params
    parts = [
        "(tag $thrown)",
        f'(table $functions (export "functions") {table.min} funcref)',
        '(table $helpers (export "helpers") 4 funcref)',
        f"(type $copy (func (param {width} {width} {width})))",
        *(
            f"(type ${name} (func {_signature(exports[export])}))"
            for name, export in (
                ("save", names.save),
                ("restore", names.restore),
                ("threw", names.threw),
            )
        ),
        f'(func (export "{THROW}") (throw $thrown))',
    ]
    for item in module.imports:
        if is_invoke(item):
            parts += _invoke(item, width, f"({one}.const 1) ({two}.const 0)")
        elif is_copy(item):
            passed = " ".join(f"(local.get {i})" for i in range(3))
            call = f"(call_indirect $helpers (type $copy) {passed} (i32.const 3))"
            parts.append(f'(func (export "{item.name}") (type $copy) {call})')
    return parts


def _invoke(item: wasmtime.ImportType, width: str, threw: str) -> list[str]:
    """An `invoke_*`: save the stack pointer, and call inside a try.

    When that throws: restore the pointer, call `setThrew` and return zeros, as emscripten's own
    JavaScript does. The module looks at what `setThrew` stored after each call.
    """
    kind: Any = item.type
    index, *params = kind.params
    results = kind.results
    inner = "".join(f"(param {p})" for p in params) + "".join(f"(result {r})" for r in results)
    passed = " ".join(f"(local.get {i + 1})" for i in range(len(params)))
    which = "(local.get 0)" if str(index) == "i32" else "(i32.wrap_i64 (local.get 0))"
    zeros = " ".join(f"({r}.const 0)" for r in results)
    return [
        f"(type $of_{item.name} (func {inner}))",
        f'(func (export "{item.name}") {_signature(kind)} (local $stack {width})',
        "(local.set $stack (call_indirect $helpers (type $save) (i32.const 0)))",
        "(block $caught (try_table (catch $thrown $caught)",
        f"{passed} {which} (call_indirect $functions (type $of_{item.name})) (return)))",
        "(call_indirect $helpers (type $restore) (local.get $stack) (i32.const 1))",
        f"(call_indirect $helpers (type $threw) {threw} (i32.const 2)) {zeros})",
    ]


def linker_text(module: wasmtime.Module) -> str:
    """A third module as WAT: it copies the module's function table into the adapter's, once.

    The adapter exists before the module, so it cannot import the table. The linker also holds the
    copy function, which needs the module's memory.
    """
    if not throws(module):
        return "(module)"
    exports = _exports(module)
    names = _names(exports)
    limits = exports["__indirect_function_table"].limits
    imports = "".join(
        f'(import "module" "{name}" (func ${name} {_signature(exports[name])}))'
        for name in (names.save, names.restore, names.threw)
    )
    return f"""(module
      (import "adapter" "functions" (table $to {limits.min} funcref))
      (import "adapter" "helpers" (table $helpers 4 funcref))
      (import "module" "__indirect_function_table"
        (table $from {limits.min} {"" if limits.max is None else limits.max} funcref))
      {imports}
      {_clamped_copy(exports["memory"].is_64)}
      (elem (table $helpers) (i32.const 0)
        func ${names.save} ${names.restore} ${names.threw} $memcpy)
      (func $copy
        (table.copy $to $from (i32.const 0) (i32.const 0) (i32.const {limits.min})))
      (start $copy))"""


def _clamped_copy(wide: bool) -> str:
    """`Guest.copy` in WASM: bytes beyond the end of memory are left out, as copyWithin does."""
    pointer, narrow = ("i64", "") if wide else ("i32", "i32.wrap_i64")
    to, start, count = (
        f"(local.get {i})" if wide else f"(i64.extend_i32_{sign} (local.get {i}))"
        for i, sign in enumerate("uus")
    )
    size = f"({narrow} (local.get $size))" if narrow else "(local.get $size)"
    pages = "(memory.size)" if wide else "(i64.extend_i32_u (memory.size))"
    return f"""
      (import "module" "memory" (memory {"i64" if wide else ""} 0))
      (func $memcpy (param {pointer} {pointer} {pointer}) (local $size i64) (local $room i64)
        (local.set $room (i64.sub (i64.shl {pages} (i64.const 16))
          (select {to} {start} (i64.gt_u {to} {start}))))
        (local.set $size {count})
        (if (i64.gt_s (local.get $size) (local.get $room))
          (then (local.set $size (local.get $room))))
        (if (i64.gt_s (local.get $size) (i64.const 0))
          (then (memory.copy (local.get 0) (local.get 1) {size}))))"""


def needs_adapter(module: wasmtime.Module) -> bool:
    """Whether the adapter provides an import of a module."""
    return any(in_adapter(item, throws(module)) for item in module.imports)


@dataclass(frozen=True, slots=True)
class Adapter:
    """The two generated modules, compiled."""

    bridge: wasmtime.Module
    linker: wasmtime.Module


def instantiate(
    guest: Guest,
    module: wasmtime.Module,
    adapter: Adapter | None,
    imports: Callable[[wasmtime.ImportType], Any],
) -> wasmtime.Instance:
    """The module, linked with its adapter where it needs one.

    The order is fixed: the adapter provides imports of the module, and the linker needs both.

    Args:
        imports: returns the value of an import that the adapter does not provide.
    """
    store, throwing = guest.store, throws(module)
    mine: Any = {}
    if adapter:
        provided = [imports(item) for item in adapter.bridge.imports]
        mine = wasmtime.Instance(store, adapter.bridge, provided).exports(store)

    def given(item: wasmtime.ImportType) -> Any:
        if adapter and in_adapter(item, throwing):
            return mine[item.name or ""]
        return imports(item)

    instance = wasmtime.Instance(store, module, [given(item) for item in module.imports])
    if adapter and throwing:
        exports = instance.exports(store)
        names = _names(_exports(module))
        helpers = [exports[name] for name in (names.save, names.restore, names.threw)]
        tables = [mine["functions"], mine["helpers"], exports["__indirect_function_table"]]
        wasmtime.Instance(store, adapter.linker, [*tables, *helpers, exports["memory"]])
    return instance
