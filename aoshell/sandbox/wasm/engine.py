"""Configures wasmtime, and compiles modules to machine code.

A module is compiled once, in a worker of its own; the workers of processes only load the result. A
`Compiled` holds the machine code of the module and of its adapter. Loading it runs native code, so
only what this program has compiled itself may be loaded: see `nodes.local.workers.code`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import wasmtime

from aoshell.sandbox.wasm import emscripten
from aoshell.sandbox.wasm.binary import Description, ModuleError, describe_module, prepare_module
from aoshell.sandbox.wasm.describe import Extern
from aoshell.sandbox.wasm.expose import SAVED_TYPES


def new_engine(*, fuel: bool) -> wasmtime.Engine:
    """The engine. `fuel`: gas is counted. No epochs: time is limited from outside.

    NaNs are made canonical and relaxed SIMD is deterministic, so that the same log gives the same
    state on any machine. Threads are off for the same reason.
    """
    config = wasmtime.Config()
    config.wasm_memory64 = True
    config.wasm_exceptions = True
    config.wasm_threads = False
    config.wasm_relaxed_simd_deterministic = True
    config.cranelift_nan_canonicalization = True
    config.consume_fuel = fuel
    # Workers fork, which threads do not survive. Workers may not open files either, and
    # copy-on-write memory needs one (memfd_create).
    config.parallel_compilation = False
    config.memory_init_cow = False
    return wasmtime.Engine(config)


@dataclass(frozen=True, slots=True)
class Compiled:
    """Machine code of a module and, where it has one, of its adapter and linker."""

    module: bytes
    bridge: bytes
    linker: bytes
    saved: tuple[str, ...]  # exports that hold its mutable globals
    kind: str  # "json", "plain" or "wasi"
    unsaved: str  # why its state cannot be saved, "" where it can
    hidden: tuple[str, ...]  # exported functions whose types are not all numbers

    def dump(self) -> bytes:
        """All of it as bytes: a line of JSON, then the three parts."""
        parts = (self.module, self.bridge, self.linker)
        facts = (self.saved, self.kind, self.unsaved, self.hidden)
        head = json.dumps({"facts": facts, "parts": [len(part) for part in parts]})
        return head.encode() + b"\n" + b"".join(parts)

    @classmethod
    def load(cls, data: bytes) -> Compiled:
        """The inverse of `dump`. Raises ValueError."""
        end = data.index(b"\n")
        head = json.loads(data[:end])
        at, parts = end + 1, []
        for size in head["parts"]:  # copied once only: they have megabytes
            parts.append(data[at : at + size])
            at += size
        module, bridge, linker = parts
        saved, kind, unsaved, hidden = head["facts"]
        return cls(module, bridge, linker, tuple(saved), kind, unsaved, tuple(hidden))


def compile_module(data: bytes, on: wasmtime.Engine) -> Compiled:
    """Machine code for a module's bytes.

    Raises:
        ModuleError: it is malformed, refused, or of no known kind.
    """
    about = describe_module(data)
    if about.problem:
        raise ModuleError(about.problem, 0)
    for item in about.imports:
        if _is_opaque(item):
            what = f"it imports {item.module}.{item.name} {item.signature}"
            raise ModuleError(what, 0, "only functions on numbers can be imported")
    exposed, saved = prepare_module(data)
    hidden = tuple(item.name for item in about.exports if _is_opaque(item))
    facts = (saved, about.kind, _unsaved(about), hidden)
    try:
        module = wasmtime.Module(on, exposed)
        if not emscripten.needs_adapter(module):
            return Compiled(bytes(module.serialize()), b"", b"", *facts)
        if lacks := emscripten.missing_exports(module):
            what = f"its calls that may throw need the exports {', '.join(lacks)}"
            raise ModuleError(
                what, 0, "build it with these exports (emscripten: EXPORTED_FUNCTIONS)"
            )
        bridge = wasmtime.Module(on, bytes(wasmtime.wat2wasm(emscripten.adapter_text(module))))
        linker = wasmtime.Module(on, bytes(wasmtime.wat2wasm(emscripten.linker_text(module))))
    except wasmtime.WasmtimeError as error:
        raise ModuleError(_reason(error), 0) from error
    code = [bytes(part.serialize()) for part in (module, bridge, linker)]
    return Compiled(code[0], code[1], code[2], *facts)


def _is_opaque(item: Extern) -> bool:
    """Whether it is a function on vectors or references: asking wasmtime for its type aborts."""
    words = set(re.findall(r"\w+", item.signature))
    return item.kind == "function" and not words <= SAVED_TYPES


def _unsaved(about: Description) -> str:
    if about.unsaved:
        return "it keeps state in globals of references or vectors"
    return "its code may change its function tables" if about.moves_tables else ""


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "it cannot be compiled"
