"""What modules built with emscripten import, and how Lua's errors cross them.

`setjmp` and `longjmp` become calls out of the module, `invoke_*`, that must come back when
something inside throws. Done in Python that is two orders of magnitude too slow and breaks on
nested coroutines; so a small module is generated for each module's own `invoke_*` types, which does
it in WASM with an exception, and is linked to the module's function table.
"""

from __future__ import annotations

import calendar
import re
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import wasmtime

from aoshell.sandbox.wasm.guest import Guest, GuestFault

THROW = "_emscripten_throw_longjmp"
ENOSYS, ENOENT = -52, -44
EBADF = 8  # as WASI numbers it
_INVOKE = re.compile(r"invoke_\w+", re.ASCII)  # it becomes part of a module's text
_TM = struct.Struct("<9i")  # struct tm, as far as both widths agree
_COPIES = frozenset({"emscripten_memcpy_js", "emscripten_memcpy_big"})
_COPIED = frozenset(f"(param {p})(param {p})(param {p})" for p in ("i32", "i64"))
# Called too often for Python: signature and body by import. The old formats keep the second word of
# an answer with the host, always set right before it is read, so it is no state; the metered ones
# report their own count of instructions, which nothing here needs.
_SMALL = {
    "env.setTempRet0": ("(param i32)", "(global.set $second (local.get 0))"),
    "env.getTempRet0": ("(result i32)", "(global.get $second)"),
    "metering.usegas": ("(param i32)", ""),
}


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
    """Whether an import throws or may have to catch."""
    return is_invoke(item) or item.name == THROW


def is_copy(item: wasmtime.ImportType) -> bool:
    """Whether an import copies memory."""
    name = (item.name or "").lstrip("_")
    of_function = isinstance(item.type, wasmtime.FuncType)
    return name in _COPIES and of_function and _signature(item.type) in _COPIED


def in_adapter(item: wasmtime.ImportType, throwing: bool) -> bool:
    """Whether an import is the adapter's to give, in a module with or without calls that throw."""
    if is_thrower(item) or (throwing and is_copy(item)):
        return True
    known = _SMALL.get(f"{item.module}.{item.name}")
    of_function = isinstance(item.type, wasmtime.FuncType)
    return known is not None and of_function and known[0] == _signature(item.type)


def throws(module: wasmtime.Module) -> bool:
    """Whether a module has calls that may throw."""
    return any(is_thrower(item) for item in module.imports)


def adapter(module: wasmtime.Module) -> str:
    """The adapter's text: its exports are the imports that `in_adapter` tells."""
    small = [
        f'(func (export "{name.partition(".")[2]}") {signature} {body})'
        for name, (signature, body) in _SMALL.items()
    ]
    parts = _catching(module) if throws(module) else []
    return "\n".join(["(module (global $second (mut i32) (i32.const 0))", *small, *parts, ")"])


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
    """The text of a module that copies the module's function table into the adapter's, once.

    It also has what the adapter needs of the module's memory.
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
    """`Guest.copy` in WASM: what lies beyond the end of memory is left out."""
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
    """Whether the adapter gives something to a module."""
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

    Args:
        imports: gives what is not the adapter's.
    """
    store, throwing = guest.store, throws(module)
    mine: Any = wasmtime.Instance(store, adapter.bridge, []).exports(store) if adapter else {}

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
        "proc_exit": host.exit,
        "clock_time_get": host.clock,
        "random_get": host.random,
        "fd_prestat_get": lambda *_args: EBADF,
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

    def clock(self, _clock: int, _precision: int, target: int) -> int:
        self._guest.put(target, self._guest.now * 1_000_000, 8)
        return 0

    def random(self, target: int, size: int) -> int:
        self._guest.write(target, self._guest.random(min(size, self._guest.size)))
        return 0

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

    def utc(self, *given: int) -> None:
        """`gmtime` and `localtime`: a process knows no time zone.

        Given are seconds and a struct tm; on wasm32 the seconds are two words, low and high, or in
        the formats before the third a pointer to one word.
        """
        *time_t, target = given
        if self._guest.wide:
            (seconds,) = time_t
        else:
            words = time_t if len(time_t) == 2 else self._guest.words(time_t[0], 1)
            raw = b"".join((word & 0xFFFF_FFFF).to_bytes(4, "little") for word in words)
            seconds = int.from_bytes(raw, "little", signed=True)
        self._break_down(seconds, target)

    def _break_down(self, seconds: int, target: int) -> None:
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
        try:
            seconds = calendar.timegm((year + 1900 + carry, month + 1, 1, 0, 0, 0))
        except (ValueError, OverflowError):
            return -1
        seconds += (day - 1) * 86400 + hour * 3600 + minute * 60 + sec
        self._break_down(seconds, source)
        if self._guest.wide:
            return seconds
        if self._guest.has("_emscripten_tempret_set"):  # where the caller finds the high word
            self._guest.call("_emscripten_tempret_set", seconds >> 32)
        return (seconds & 0xFFFF_FFFF) - ((seconds & 0x8000_0000) << 1)

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
