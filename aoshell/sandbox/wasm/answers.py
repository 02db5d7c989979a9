"""The host's functions for the imports of modules built with emscripten.

Time is the message's, randomness is seeded from the message, standard output is what the process
prints. There are no files, no time zones, no system. The names and signatures are those of
emscripten's JavaScript library; versions differ in underscores and in types, so both are matched
loosely.
"""

from __future__ import annotations

import calendar
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import wasmtime

from aoshell.sandbox.wasm import cxx
from aoshell.sandbox.wasm.guest import Guest, GuestError

# Emscripten's system calls return negative error numbers, numbered as in WASI.
ENOSYS, ENOENT = -52, -44
EBADF = 8  # WASI's own calls return positive ones
_TM = struct.Struct("<9i")  # the fields of struct tm that are the same on wasm32 and wasm64

# Modules whose imports are emscripten's; "host" is the adapter's.
MODULES = ("env", "wasi_snapshot_preview1", "wasi_unstable", "metering", "host")

Host = Callable[..., Any]


class GuestExitError(Exception):
    """The guest asked to end, with that exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"it called exit({code})")
        self.code = code


def provide_imports(guest: Guest) -> Callable[[wasmtime.ImportType], Any]:
    """A function that returns the host's value for an import that the adapter does not provide."""
    known = host_functions(guest) | stream_functions(guest) | cxx.host_functions(guest)

    def give(item: wasmtime.ImportType) -> Any:
        if not isinstance(item.type, wasmtime.FuncType):
            raise GuestError(f"it imports {item.module}.{item.name}, which is no function")
        name = item.name or ""
        call = known.get(name.lstrip("_")) or default_function(name, item.type)
        if item.module not in MODULES:
            call = partial(_lacking, f"{item.module}.{name}")
        return wasmtime.Func(guest.store, item.type, _fitting(call, item.type))

    return give


def stream_functions(guest: Guest) -> dict[str, Host]:
    """Standard output is what the process prints; there are no files."""

    def fd_write(fd: int, vectors: int, count: int, written: int) -> int:
        total = 0
        for at in range(count):
            pointer, length = guest.words(vectors + 2 * at * guest.word, 2)
            total += length
            if fd in (1, 2) and length:
                guest.span(pointer, length)
                guest.printed([(pointer, length)])
        guest.put_word(written, total)
        return 0

    def fd_read(_fd: int, _vectors: int, _count: int, read: int) -> int:
        guest.put_word(read, 0)
        return 0

    return {"fd_write": fd_write, "fd_read": fd_read}


def _fitting(call: Host, kind: wasmtime.FuncType) -> Host:
    """The call, returning the type that the import declares, which differs between versions."""
    results = [str(result) for result in kind.results]

    def fitted(*args: Any) -> Any:
        answer = call(*args)
        if not results:
            return None
        number = 0 if answer is None else answer
        return float(number) if results[0] in ("f32", "f64") else int(number)

    return fitted


def host_functions(guest: Guest) -> dict[str, Host]:
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


def default_function(name: str, kind: wasmtime.FuncType) -> Host:
    """A function for any other import: ENOSYS for system calls, 0 elsewhere, as in the ao loader.

    Imports of C++ exceptions fail instead: going on as if nothing was thrown would be worse.
    """
    if name.startswith("__cxa_"):
        return partial(_lacking, name)
    if "_syscall_" in name:
        return lambda *_args: ENOSYS
    if not kind.results:
        return lambda *_args: None
    zero: int | float = 0.0 if str(kind.results[0]) in ("f32", "f64") else 0
    return lambda *_args: zero


def _lacking(name: str, *_args: int) -> None:
    raise GuestError(f"it calls {name}, which this node has not")


class _Host:
    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    def copy(self, target: int, source: int, length: int) -> None:
        self._guest.copy(target, source, length)

    def resize(self, size: int) -> int:
        return int(self._guest.grow(size))

    def heap_max(self) -> int:
        # Independent of `.limits memory`: at the real limit `resize` fails.
        return 1 << (33 if self._guest.wide else 31)

    def now(self) -> float:
        return float(self._guest.look_at_clock())

    def clock(self, _clock: int, _precision: int, target: int) -> int:
        self._guest.put(target, self._guest.look_at_clock() * 1_000_000, 8)
        return 0

    def random(self, target: int, size: int) -> int:
        # At most as much as its memory holds.
        self._guest.put_random(target, min(size, self._guest.size))
        return 0

    def abort(self, *_what: int) -> None:
        raise GuestError("it called abort()")

    def exit(self, code: int = 0) -> None:
        raise GuestExitError(code)

    def assertion(self, condition: int, file: int, line: int, _function: int) -> None:
        what, place = (
            self._guest.text(pointer, 4096).decode("utf-8", "replace")
            for pointer in (condition, file)
        )
        raise GuestError(f"assertion failed: {what} ({place}:{line})")

    def no_system(self, _command: int) -> int:
        return ENOSYS

    def no_entry(self, *_args: int) -> int:
        return ENOENT

    def utc(self, *given: int) -> None:
        """`gmtime` and `localtime`: a process knows no time zone.

        The arguments are seconds and a struct tm. On wasm64 the seconds are one i64; on wasm32 they
        are two words, low and high, or before emscripten3 a pointer to one word.
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
        # An i64 is returned as its low word, and the high word by `tempret`: emscripten's calling
        # convention for 64-bit results in a 32-bit module.
        if self._guest.has("_emscripten_tempret_set"):
            self._guest.call("_emscripten_tempret_set", seconds >> 32)
        return (seconds & 0xFFFF_FFFF) - ((seconds & 0x8000_0000) << 1)

    def strftime(self, target: int, room: int, form: int, source: int, *_locale: int) -> int:
        sec, minute, hour, day, month, year, weekday, yearday, _dst = self._tm(source)
        moment = (year + 1900, month + 1, day, hour, minute, sec, (weekday - 1) % 7, yearday + 1, 0)
        pattern = self._guest.text(form, 4096).decode("latin-1")
        try:
            shown = time.strftime(pattern, moment).encode("latin-1", "replace") + b"\0"
        except (ValueError, OverflowError):
            return 0
        if len(shown) > room:
            return 0
        self._guest.write(target, shown)
        return len(shown) - 1
