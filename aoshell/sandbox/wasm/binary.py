"""WebAssembly modules as bytes: the functions with which other packages read and prepare them.

    describe_module(data)   what a module is, without running it
    prepare_module(data)    what the engine compiles: full names, current exceptions, state exported

and the three steps of `prepare_module`: `unminify`, `modernize`, `expose`. All are pure functions.
"""

from __future__ import annotations

from aoshell.sandbox.wasm.describe import (
    MAX_PAGES,
    Description,
    Extern,
    check_module,
    describe_module,
)
from aoshell.sandbox.wasm.expose import GLOBAL_PREFIX, expose
from aoshell.sandbox.wasm.legacy import modernize
from aoshell.sandbox.wasm.names import unminify
from aoshell.sandbox.wasm.reader import ModuleError
from aoshell.sandbox.wasm.sections import parse_module

__all__ = [
    "GLOBAL_PREFIX",
    "MAX_PAGES",
    "Description",
    "Extern",
    "ModuleError",
    "describe_module",
    "expose",
    "modernize",
    "parse_module",
    "prepare_module",
    "unminify",
]


def prepare_module(data: bytes, *, max_pages: int = MAX_PAGES) -> tuple[bytes, tuple[str, ...]]:
    """The module to compile for a module's bytes, and the names of the globals to save.

    Raises:
        ModuleError: it is malformed, or refused: see `describe_module()`.
    """
    full = unminify(data)
    check_module(parse_module(full), max_pages)
    return expose(modernize(full))
