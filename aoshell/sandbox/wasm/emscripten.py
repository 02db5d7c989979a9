"""What modules built with emscripten import, and how Lua's errors cross them.

`setjmp` and `longjmp` become calls out of the module, `invoke_*`, that must come back when
something inside throws. Done in Python that is two orders of magnitude too slow and breaks on
nested coroutines; so a small module is generated for each module's own `invoke_*` types, which does
it in WASM with an exception, and is linked to the module's function table.
"""

from __future__ import annotations

import calendar
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import wasmtime

from aoshell.sandbox.wasm.guest import Guest, GuestFault

THROW = "_emscripten_throw_longjmp"
ENOSYS, ENOENT = -52, -44
_TM = struct.Struct("<9i")  # struct tm, as far as both widths agree


class Exit(Exception):
    """The guest asked to end, with that exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"it called exit({code})")
        self.code = code


@dataclass(frozen=True, slots=True)
class _Names:
    """What a module calls the three functions that the adapter needs."""

    save: str
    restore: str
    threw: str = "setThrew"


def _exports(module: wasmtime.Module) -> dict[str, Any]:
    return {item.name: item.type for item in module.exports}


def _names(exports: dict[str, Any]) -> _Names:
    save = "stackSave" if "stackSave" in exports else "emscripten_stack_get_current"
    restore = "stackRestore" if "stackRestore" in exports else "_emscripten_stack_restore"
    return _Names(save, restore)


def missing(module: wasmtime.Module) -> list[str]:
    """Exports that the adapter needs and the module lacks."""
    exports = _exports(module)
    names = _names(exports)
    wanted = ["__indirect_function_table", "memory", names.save, names.restore, names.threw]
    return [name for name in wanted if name not in exports]


def _signature(kind: Any) -> str:
    params = "".join(f"(param {p})" for p in kind.params)
    return params + "".join(f"(result {r})" for r in kind.results)


def is_invoke(item: wasmtime.ImportType) -> bool:
    """Whether an import is emscripten's way to call a function that may throw."""
    name = item.name or ""
    return name.startswith("invoke_") and isinstance(item.type, wasmtime.FuncType)


def adapter(module: wasmtime.Module) -> str:
    """The adapter's text: its exports are the module's `invoke_*` imports and the throwing one."""
    exports = _exports(module)
    names = _names(exports)
    table = exports["__indirect_function_table"].limits
    width = "i64" if exports["memory"].is_64 else "i32"
    one, two = exports[names.threw].params
    parts = [
        "(module (tag $thrown)",
        f'(table $functions (export "functions") {table.min} funcref)',
        '(table $helpers (export "helpers") 3 funcref)',
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
    return "\n".join([*parts, ")"])


def _invoke(item: wasmtime.ImportType, width: str, threw: str) -> list[str]:
    """Save the stack pointer, call inside a try; when it throws, restore, note it, answer zeros."""
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


def linker(module: wasmtime.Module) -> str:
    """The text of a module that copies the module's function table into the adapter's, once."""
    exports = _exports(module)
    names = _names(exports)
    limits = exports["__indirect_function_table"].limits
    imports = "".join(
        f'(import "module" "{name}" (func ${name} {_signature(exports[name])}))'
        for name in (names.save, names.restore, names.threw)
    )
    return f"""(module
      (import "adapter" "functions" (table $to {limits.min} funcref))
      (import "adapter" "helpers" (table $helpers 3 funcref))
      (import "module" "__indirect_function_table"
        (table $from {limits.min} {"" if limits.max is None else limits.max} funcref))
      {imports}
      (elem (table $helpers) (i32.const 0) func ${names.save} ${names.restore} ${names.threw})
      (func $copy
        (table.copy $to $from (i32.const 0) (i32.const 0) (i32.const {limits.min})))
      (start $copy))"""


def needs_adapter(module: wasmtime.Module) -> bool:
    """Whether a module has calls that may throw."""
    return any(is_invoke(item) or item.name == THROW for item in module.imports)


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

    Args:
        imports: gives what is not the adapter's.
    """
    store = guest.store
    mine: Any = wasmtime.Instance(store, adapter.bridge, []).exports(store) if adapter else {}

    def given(item: wasmtime.ImportType) -> Any:
        if adapter and (is_invoke(item) or item.name == THROW):
            return mine[item.name or ""]
        return imports(item)

    instance = wasmtime.Instance(store, module, [given(item) for item in module.imports])
    if adapter:
        exports = instance.exports(store)
        names = _names(_exports(module))
        helpers = [exports[name] for name in (names.save, names.restore, names.threw)]
        tables = [mine["functions"], mine["helpers"], exports["__indirect_function_table"]]
        wasmtime.Instance(store, adapter.linker, [*tables, *helpers])
    return instance


# Imports that are calls of the host ---------------------------------------------------------------

Host = Callable[..., Any]


def answers(guest: Guest) -> dict[str, Host]:
    """The host's functions by import name, without the underscores that versions differ in."""
    host = _Host(guest)
    return {
        "emscripten_memcpy_js": host.copy,
        "emscripten_memcpy_big": host.copy,
        "emscripten_resize_heap": host.resize,
        "emscripten_get_heap_max": host.heap_max,
        "emscripten_date_now": host.now,
        "emscripten_get_now": host.now,
        "emscripten_get_now_is_monotonic": lambda: 1,
        "abort_js": host.abort,
        "abort": host.abort,
        "exit": host.exit,
        "assert_fail": host.assertion,
        "system": host.no_system,
        "emscripten_system": host.no_system,
        "gmtime_js": host.utc,
        "localtime_js": host.utc,
        "mktime_js": host.since_epoch,
        "strftime": host.strftime,
        "syscall_unlinkat": host.no_entry,
    }


def default(name: str, kind: wasmtime.FuncType) -> Host:
    """What suffices for everything else: ENOSYS for system calls, 0 elsewhere."""
    if "_syscall_" in name:
        return lambda *_args: ENOSYS
    if not kind.results:
        return lambda *_args: None
    zero: int | float = 0.0 if str(kind.results[0]) in ("f32", "f64") else 0
    return lambda *_args: zero


class _Host:
    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    def copy(self, target: int, source: int, length: int) -> None:
        self._guest.copy(target, source, length)

    def resize(self, size: int) -> int:
        return int(self._guest.grow(size))

    def heap_max(self) -> int:
        return 1 << (33 if self._guest.wide else 31)

    def now(self) -> float:
        return float(self._guest.now)

    def abort(self, *_what: int) -> None:
        raise GuestFault("it called abort()")

    def exit(self, code: int = 0) -> None:
        raise Exit(code)

    def assertion(self, condition: int, file: int, line: int, _function: int) -> None:
        said = self._guest.text(condition, 4096), self._guest.text(file, 4096)
        place = said[1].decode("utf-8", "replace")
        raise GuestFault(f"assertion failed: {said[0].decode('utf-8', 'replace')} ({place}:{line})")

    def no_system(self, _command: int) -> int:
        return ENOSYS

    def no_entry(self, *_args: int) -> int:
        return ENOENT

    def utc(self, seconds: int, target: int) -> None:
        """`gmtime` and `localtime`: a process knows no time zone."""
        try:
            moment = time.gmtime(seconds)
        except (OverflowError, ValueError, OSError):
            moment = time.gmtime(0)
        self._put_tm(target, moment)

    def _put_tm(self, target: int, t: time.struct_time) -> None:
        fields = (
            t.tm_sec, t.tm_min, t.tm_hour, t.tm_mday, t.tm_mon - 1, t.tm_year - 1900,
            (t.tm_wday + 1) % 7, t.tm_yday - 1, 0,
        )  # fmt: skip
        self._guest.write(target, _TM.pack(*fields))

    def _tm(self, source: int) -> tuple[int, ...]:
        return _TM.unpack(self._guest.read(source, _TM.size))

    def since_epoch(self, source: int) -> int:
        sec, minute, hour, day, month, year, *_rest = self._tm(source)
        carry, month = divmod(month, 12)
        seconds = calendar.timegm((year + 1900 + carry, month + 1, 1, 0, 0, 0))
        seconds += (day - 1) * 86400 + hour * 3600 + minute * 60 + sec
        self.utc(seconds, source)
        return seconds

    def strftime(self, target: int, room: int, form: int, source: int, *_locale: int) -> int:
        sec, minute, hour, day, month, year, weekday, yearday, _dst = self._tm(source)
        moment = (year + 1900, month + 1, day, hour, minute, sec, (weekday - 1) % 7, yearday + 1, 0)
        pattern = self._guest.text(form, 4096).decode("latin-1")
        try:
            said = time.strftime(pattern, moment).encode("latin-1", "replace") + b"\0"
        except (ValueError, OverflowError):
            return 0
        if len(said) > room:
            return 0
        self._guest.write(target, said)
        return len(said) - 1


def plain_name(name: str) -> str:
    """An import's name as `answers` knows it."""
    return name.lstrip("_")


def imports(guest: Guest) -> Callable[[wasmtime.ImportType], Any]:
    """What a module is given for each import that is not the adapter's."""
    known = answers(guest)
    known |= streams(guest)

    def give(item: wasmtime.ImportType) -> Any:
        if not isinstance(item.type, wasmtime.FuncType):
            raise GuestFault(f"it imports {item.module}.{item.name}, which is no function")
        name = item.name or ""
        call = known.get(plain_name(name)) or default(name, item.type)
        return wasmtime.Func(guest.store, item.type, _fitting(call, item.type))

    return give


def streams(guest: Guest) -> dict[str, Host]:
    """Standard output is what the process prints; there are no files."""

    def fd_write(fd: int, vectors: int, count: int, written: int) -> int:
        total = 0
        for at in range(count):
            pointer, length = guest.words(vectors + 2 * at * guest.word, 2)
            total += length
            if fd in (1, 2) and length:
                guest.emit(guest.read(pointer, length).decode("latin-1"))
        guest.put_word(written, total)
        return 0

    def fd_read(_fd: int, _vectors: int, _count: int, read: int) -> int:
        guest.put_word(read, 0)
        return 0

    return {"fd_write": fd_write, "fd_read": fd_read}


def _fitting(call: Host, kind: wasmtime.FuncType) -> Host:
    """The call, its answer in the type that the import declares: versions differ in it."""
    results = [str(result) for result in kind.results]

    def fitted(*args: Any) -> Any:
        answer = call(*args)
        if not results:
            return None
        number = 0 if answer is None else answer
        return float(number) if results[0] in ("f32", "f64") else int(number)

    return fitted
