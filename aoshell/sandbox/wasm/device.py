"""Device `wasm-64@1.0`: one WASM instance that holds the state of one process.

The interface is `runtime.Runtime`, with the flat lists of `sandbox.lua`. The worker's parked forks
do the roll-back; nothing has to be undone here.

Three kinds of module; their exports decide which one it is (`binary.describe_module`):

    json    `handle(message, environment)`, two C strings of JSON; the result is one
    plain   a message with Action=ExecuteFunction calls the export that its tag Function names
    wasi    `_start` runs anew for each message, which is its stdin; its files are the state
"""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import wasmtime

from aoshell.sandbox.runtime import OutOfMemoryError
from aoshell.sandbox.wasm import answers, emscripten
from aoshell.sandbox.wasm.binary import ModuleError
from aoshell.sandbox.wasm.budget import Budget
from aoshell.sandbox.wasm.describe import MAX_ENTRIES
from aoshell.sandbox.wasm.engine import Compiled, compile_module, new_engine
from aoshell.sandbox.wasm.functions import Functions
from aoshell.sandbox.wasm.guest import MAX_TEXT, PAGE, Guest, GuestError
from aoshell.sandbox.wasm.interface import JsonInterface
from aoshell.sandbox.wasm.messages import Delivered, GuestResult, ProcessDefinition, exact
from aoshell.sandbox.wasm.programs import Programs

RESERVED = 4 << 30  # bytes of address space that wasmtime reserves for a memory
_ZEROS = bytes(PAGE)
# How wasmtime's error begins if there is no memory for a table, or for exceptions.
_NO_ROOM = ("out of memory (failed to allocate", "GC heap out of memory")


class ModuleKind(Protocol):
    """Runs the modules of one kind."""

    def start(self) -> None:
        """Called once, before the first message."""

    def deliver(self, message: Delivered) -> GuestResult:
        """Run a message. Any exception is a failure of the message."""


class WasmHost:
    """See `runtime.Host`. Code is what `Compiled.dump` returns."""

    runtime = None  # no code is built in
    headroom = 1  # a guest can observe how far its memory grows

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        # strftime must not depend on the node's time zone.
        os.environ["TZ"] = "UTC"
        time.tzset()
        self._engines = {metered: new_engine(fuel=metered) for metered in (False, True)}

    def room(self, memory: int) -> int:
        # A memory that outgrows its reserved space is copied, so for a moment there are two.
        return memory if memory <= RESERVED else 2 * memory

    def load(self, code: bytes, gas: int, memory: int) -> WasmRuntime:
        del memory  # nothing of the guest runs yet
        return WasmRuntime(self._engines[gas > 0], Compiled.load(code), self._emit, gas)

    def compile(self, source: bytes, gas: int) -> bytes:
        try:
            return compile_module(source, self._engines[gas > 0]).dump()
        except ModuleError as error:
            raise ValueError(error.what) from error


class WasmRuntime:
    """A process's instance.

    Args:
        emit: called with each text that the guest writes to stdout or stderr.
        gas: fuel that one message may use, 0 where it is not counted.
    """

    def __init__(
        self,
        on: wasmtime.Engine,
        compiled: Compiled,
        emit: Callable[[str], None],
        gas: int = 0,
    ) -> None:
        self._engine = on
        self._compiled = compiled
        self._emit = emit
        self._printed = ""  # by the running message; its error shows it, if it fails
        self._gas = gas
        self._limit = 0
        self._budget = Budget()
        self._budget.count("prints", lambda: len(self._printed))
        self._about: ProcessDefinition
        self._guest: Guest | None = None  # made with the first message
        self._kind: ModuleKind
        self.gas_used = 0
        self.failure = "error"

    def limit_memory(self, size: int, *, judged: bool = True) -> None:
        """Let the guest's memory grow to `size` bytes; `budget` bounds the rest."""
        self._limit = self._budget.limit = size
        self._budget.judged = judged
        if self._guest is not None:
            self._bound(self._guest.store)
            if isinstance(self._kind, Programs):
                self._kind.limit(size)

    @property
    def memory(self) -> int:
        """Bytes of its memory, and of its files."""
        if self._guest is None:
            return 0
        files = self._kind.size if isinstance(self._kind, Programs) else 0
        return files + (self._guest.size if self._guest.has_memory else 0)

    def boot(self, definition: Sequence[Any]) -> None:
        """Note which process it is.

        The instance is made at the first message, as its start runs guest code, which must be
        within that message's limits.
        """
        self._about = ProcessDefinition.of(definition)

    def _started(self) -> Guest:
        """The instance; made by the first call. Raises GuestError where it does not start."""
        if self._guest is None:
            try:
                self._load(self._new_store())
                self._kind.start()
            except Exception as error:
                self._guest = None
                _raise_out_of_memory(error)
                raise GuestError(f"the module does not start: {reason(error)}") from error
        assert self._guest is not None
        return self._guest

    def _print(self, text: str, head: str) -> None:
        self._emit(head or text)
        if len(self._printed) < MAX_TEXT:
            # Keep one character above MAX_TEXT, which shows later that it is too much.
            self._printed = (self._printed + text)[-MAX_TEXT - 1 :]

    def _bound(self, store: wasmtime.Store) -> None:
        store.set_limits(memory_size=self._limit, table_elements=MAX_ENTRIES)

    def _new_store(self) -> wasmtime.Store:
        store = wasmtime.Store(self._engine)
        self._bound(store)
        if self._gas:
            store.set_fuel(self._gas)
        return store

    def _load(self, store: wasmtime.Store) -> None:
        code, about = self._compiled, self._about
        module = wasmtime.Module.deserialize(self._engine, code.module)
        exports = {item.name: item.type for item in module.exports}
        memory = exports.get("memory")
        wide = isinstance(memory, wasmtime.MemoryType) and memory.is_64
        guest = self._guest = Guest(store, wide, self._print, self._budget, code.hidden)
        adapter = None
        if code.bridge:
            adapter = emscripten.Adapter(
                wasmtime.Module.deserialize(self._engine, code.bridge),
                wasmtime.Module.deserialize(self._engine, code.linker),
            )
        if self._compiled.kind == "wasi":
            self._kind = Programs(guest, module, about, self._new_store)
            self._kind.limit(self._limit)
            return
        instance = emscripten.instantiate(guest, module, adapter, answers.provide_imports(guest))
        guest.attach(instance.exports(store))
        self._kind = (JsonInterface if self._compiled.kind == "json" else Functions)(guest, about)

    def deliver(self, message: Sequence[Any]) -> tuple[Any, ...]:
        """Run one message, flat in and flat out; see `sandbox.lua`. Raises OutOfMemoryError."""
        delivered = Delivered.of(message)
        self._printed, self.failure = "", "error"
        # Whatever error a guest causes, also in this code, its message fails, not its worker.
        try:
            guest = self._started()
            counts = delivered.signature is not None
            guest.begin(delivered.timestamp, delivered.identity, counts=counts)
            if self._gas:
                guest.store.set_fuel(self._gas)
            reply = self._kind.deliver(delivered)
            self._budget.check()
            if not isinstance(self._kind, Programs):  # their standard output is the answer
                reply.show(exact(self._printed))
            flat = reply.flat()
        except Exception as error:
            _raise_out_of_memory(error)
            flat = GuestResult(error=reason(error), output=exact(self._printed)).flat()
            self.failure = "gas" if _is_out_of_gas(error) else "error"
        if self._gas and self._guest is not None:
            self.gas_used = self._gas - int(self._guest.store.get_fuel())
        return flat

    def failed(self, text: str) -> None:
        """Does nothing: a WASM process keeps no record of messages that failed."""

    def print_places(self) -> None:
        """Does nothing: a WASM guest has no lines."""

    # State ------------------------------------------------------------------------------------

    def image(self) -> bytes:
        """The whole state: globals, and the pages of memory that are not all zeros."""
        if self._guest is None:
            raise ValueError("it has not started")
        if isinstance(self._kind, Programs):
            return self._kind.image()
        if self._compiled.unsaved:
            raise ValueError(self._compiled.unsaved)
        guest = self._guest
        values = [_bits(guest.global_value(name)) for name in self._compiled.saved]
        pages = guest.size // PAGE if guest.has_memory else 0
        head = json.dumps({"globals": values, "pages": pages}).encode() + b"\n"
        parts = [head]
        for number in range(pages):
            page = guest.read(number * PAGE, PAGE)
            if page != _ZEROS:
                parts += (struct.pack("<Q", number), page)
        return b"".join(parts)

    def restore(self, image: bytes) -> None:
        """Take over the state of an image. Raises ValueError; discard the runtime then."""
        try:
            self._started()
        except GuestError as error:
            raise ValueError(str(error)) from error
        if isinstance(self._kind, Programs):
            self._kind.restore(image)
            return
        head, _, rest = image.partition(b"\n")
        try:
            facts = json.loads(head)
            values, pages = facts["globals"], facts["pages"]
            # A memory from another node comes without globals: they keep their values of the start.
            whole = values is None or len(values) == len(self._compiled.saved)
            if not whole or len(rest) % (8 + PAGE):
                raise ValueError("it is of another module")
            self._fill(values, pages, rest)
        except (KeyError, TypeError, GuestError, wasmtime.WasmtimeError) as error:
            raise ValueError(f"the image is damaged: {error}") from error

    def _fill(self, values: list[Any] | None, pages: int, rest: bytes) -> None:
        guest = self._guest
        assert guest is not None
        if pages:
            if not guest.grow(pages * PAGE):
                raise ValueError("its memory cannot grow to the image's size")
            guest.clear()
        for at in range(0, len(rest), 8 + PAGE):
            (number,) = struct.unpack_from("<Q", rest, at)
            guest.write(number * PAGE, rest[at + 8 : at + 8 + PAGE])
        saved = self._compiled.saved if values is not None else ()
        for name, value in zip(saved, values or (), strict=True):
            if isinstance(value, str):
                (value,) = struct.unpack("<d", bytes.fromhex(value))
            guest.set_global(name, value)


def _bits(value: float) -> int | str:
    """A global's value for an image. Floats are kept as bits: JSON would lose those of a NaN."""
    return struct.pack("<d", value).hex() if isinstance(value, float) else value


def _is_out_of_gas(error: BaseException | None) -> bool:
    """Whether an error, or a cause of it, is the trap for used up fuel."""
    while error is not None:
        if isinstance(error, wasmtime.Trap):
            return error.trap_code is wasmtime.TrapCode.OUT_OF_FUEL
        error = error.__cause__
    return False


def _raise_out_of_memory(error: Exception) -> None:
    """Raise OutOfMemoryError if an error means that memory ran out; else do nothing."""
    if isinstance(error, (OutOfMemoryError, MemoryError)):
        raise OutOfMemoryError from error
    lines = str(error).splitlines() if isinstance(error, wasmtime.WasmtimeError) else []
    if any(line.strip().startswith(_NO_ROOM) for line in lines):
        raise OutOfMemoryError from error


def reason(error: Exception) -> str:
    """Why a call failed, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, wasmtime.Trap):
        if _is_out_of_gas(error):
            return "out of gas: it used all that a message may (.limits gas)"
        return lines[-1].removeprefix("wasm trap: ") if lines else "it trapped"
    text = lines[0] if lines else type(error).__name__
    if isinstance(error, (GuestError, answers.GuestExitError, wasmtime.WasmtimeError)):
        return text
    return f"the host cannot do what it asks for: {text}"
