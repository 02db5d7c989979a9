"""WebAssembly modules as bytes: the door to reading, judging and rewriting them.

    describe(data)    what a module is, without running it
    prepare(data)     what the engine compiles: full names, current exceptions, state in reach

and the steps of the latter: `unminify`, `modernize`, `expose`. All are pure functions of the bytes.
"""

from __future__ import annotations

from aoshell.sandbox.wasm.describe import MAX_PAGES, Description, Extern, describe, refuse
from aoshell.sandbox.wasm.expose import GLOBAL_PREFIX, expose
from aoshell.sandbox.wasm.legacy import modernize
from aoshell.sandbox.wasm.names import unminify
from aoshell.sandbox.wasm.reader import ModuleError
from aoshell.sandbox.wasm.sections import parse

__all__ = [
    "GLOBAL_PREFIX",
    "MAX_PAGES",
    "Description",
    "Extern",
    "ModuleError",
    "describe",
    "expose",
    "modernize",
    "parse",
    "prepare",
    "unminify",
]


def prepare(data: bytes, *, max_pages: int = MAX_PAGES) -> tuple[bytes, tuple[str, ...]]:
    """The module to compile for a module's bytes, and the names of the globals to save.

    Raises:
        ModuleError: it is malformed, or wants what no process may have: see `describe()`.
    """
    full = unminify(data)
    refuse(parse(full), max_pages)
    return expose(modernize(full))
