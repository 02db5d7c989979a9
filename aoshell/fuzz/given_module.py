"""The module that `--module` names: a file, one of this home, or one that a gateway has."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from aoshell.bounded.files import is_file, path_of, real
from aoshell.errors import AoError
from aoshell.home.folders import Settings
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.modules import ENVIRONMENT
from aoshell.nodes.values import Module
from aoshell.protocol.aos_modules import AOS_MODULES, module_id
from aoshell.protocol.encoding import has_id_form
from aoshell.sandbox import environment
from aoshell.shell.code.files import read_file
from aoshell.testing.code.sources import WASM, read_source
from aoshell.testing.testbed.opening import quick_folder

Fetch = Callable[[Settings, str], Coroutine[object, object, Module]]
"""Gives the module of a transaction, verified."""
Run = Callable[[Coroutine[object, object, Module]], Module]

_SHORT = 8  # characters of an id in a file's name


def path_from(file: Path, folder: Path) -> str:
    """A file as tests in a folder name it."""
    return Path(os.path.relpath(real(file), real(folder))).as_posix()


@dataclass(frozen=True, slots=True)
class GivenModule:
    """A module into which a Lua file is loaded.

    Attributes:
        name: as it was given.
        file: its code.
        data: the bytes of the module that this file makes.
        is_passing: the file is gone after the run.
    """

    name: str
    file: Path
    data: bytes
    is_passing: bool = False

    @property
    def is_wasm(self) -> bool:
        """Whether making a process of it compiles it."""
        return self.data.startswith(WASM)

    def path_from(self, folder: Path) -> str:
        """Its file as tests in a folder name it."""
        return self.copy_for(folder) or path_from(self.file, folder)

    def copy_for(self, folder: Path) -> str:
        """The name of the copy that tests in a folder need; "" where they may read its file."""
        followed = real(self.file)
        roots = (real(folder), Path.cwd())
        if not self.is_passing and any(followed.is_relative_to(root) for root in roots):
            return ""
        short = environment.module_id(self.data)[:_SHORT]
        return f"{self.file.stem}-{short}{_suffix(self.data)}"


@contextmanager
def given_module(
    settings: Settings, reference: str, run: Run, fetch: Fetch | None
) -> Iterator[GivenModule | None]:
    """What `--module` names, while the block runs; None for the environment.

    It is found as `.spawn` finds it: a file, or a module of the home by its id or name, or one
    that is fetched by its id. The home is only read.

    Args:
        reference: "" for the environment.
        fetch: None where there is no network to ask.

    Raises:
        AoError: there is none, it cannot be fetched, or its file cannot be read.
    """
    path = path_of(reference)
    if is_file(path):
        data = _code(path)
        if path.suffix == _suffix(data):
            yield GivenModule(reference, path, data)
            return
        stem = path.stem
    else:
        found = _find(settings, module_id(reference or ENVIRONMENT), run, fetch)
        if found is None:
            yield None
            return
        data = found.data
        stem = "module" if has_id_form(reference) else re.sub(r"[^\w.@-]", "_", reference)
    folder = Path(tempfile.mkdtemp(prefix="aoshell-fuzz-", dir=quick_folder()))
    try:
        file = folder / f"{stem}{_suffix(data)}"
        file.write_bytes(data)
        yield GivenModule(reference, file, data, is_passing=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _find(settings: Settings, reference: str, run: Run, fetch: Fetch | None) -> Module | None:
    """A module by its id or name; None for the environment. Raises AoError."""
    if reference in (ENVIRONMENT, environment.built_in()[0]):
        return None
    found = _at_home(settings, reference)
    if found is None and fetch is not None and has_id_form(reference):
        return run(fetch(settings, reference))
    if found is None:
        raise AoError(
            f"no module {reference!r} is in this home",
            stage="module",
            hint=f"--module takes a file, the id or the name of a module, {', '.join(AOS_MODULES)}",
        )
    if found.kind == "environment":
        raise AoError(
            f"{reference} is the environment of another version of aoshell",
            stage="module",
            hint="leave --module out: handlers then run in the environment of this one",
        )
    return found


def _at_home(settings: Settings, reference: str) -> Module | None:
    if not settings.node_db.exists():
        return None
    with closing(Store.reading(settings.node_db)) as store:
        id = store.find_module(reference)
        found = store.module(id) if id else None
    return Module(id, found[0], reference, found[1]) if found else None


def _code(path: Path) -> bytes:
    """The bytes of a module that a file makes: WebAssembly as it is, Lua with what it requires."""
    data = read_file(path)
    return data if data.startswith(WASM) else read_source(path).data


def _suffix(code: bytes) -> str:
    return ".wasm" if code.startswith(WASM) else ".lua"
