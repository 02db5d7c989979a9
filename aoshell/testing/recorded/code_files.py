"""The files with the code of a recorded session, by their names in the test.

Code is written to a new file next to the test if its own file has changed since, is gone, or is
where tests may not read: the test runs the code that the session ran.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aoshell.blueprints import SHIPPED
from aoshell.bounded.files import is_file, real
from aoshell.errors import AoError
from aoshell.sandbox import environment
from aoshell.shell.attached.past import Past
from aoshell.shell.code.bundle import bundle, unbind_module
from aoshell.shell.code.files import read_file

_SHORT = 8  # characters of an id in a file's name
_WASM = b"\0asm"


@dataclass(frozen=True, slots=True)
class Load:
    """A message that evaluates a file: the verb for it in a test, and the file's name."""

    verb: str
    file: str


class CodeFiles:
    """The files of one record.

    Attributes:
        beside: files to write next to the test: name → bytes.
    """

    def __init__(self, past: Past) -> None:
        self._past = past
        self.beside: dict[str, bytes] = {}
        self._made_of = cache(_made_of)

    def file_of(self, module: str, data: bytes | None) -> str:
        """The name of a file with the code of this module; "" if the code is not available."""
        path = self._past.journal.files.get(module)
        if path is not None and self._made_of(path) == module and (name := self.path(path)):
            return name
        if data is None:
            return ""
        suffix = ".wasm" if data.startswith(_WASM) else ".lua"
        name = f"{path.stem if path else 'module'}-{module[:_SHORT]}{suffix}"
        self.beside[name] = data
        return name

    def path(self, path: Path) -> str:
        """A file's path from the test's folder; "" if tests may not read it."""
        with suppress(OSError, ValueError):
            folder = real(self._past.folder)
            found = real(path)
            if is_file(found) and any(found.is_relative_to(at) for at in (folder, Path.cwd())):
                return Path(os.path.relpath(found, folder)).as_posix()
        return ""

    def copy(self, path: Path) -> str:
        """The name of a copy next to the test; "" if the file cannot be read."""
        try:
            self.beside[path.name] = read_file(path)
        except AoError:
            return ""
        return path.name

    def loaded_module(self, code: bytes) -> str:
        """The module that a message of `.load` loads, "" for any other message."""
        found = unbind_module(code)
        if found is None or environment.module_id(found[1]) != found[0]:
            return ""
        return found[0]

    def find_load(self, code: bytes) -> Load | None:
        """The `Load` for a message whose code came from a file, None for any other message."""
        if module := self.loaded_module(code):
            found = unbind_module(code)
            assert found is not None
            return Load("load", self.file_of(module, found[1]))
        path = self._past.journal.files.get(environment.module_id(code))
        if path is None:
            return None
        if path.parent == SHIPPED and self._made_of(path) == environment.module_id(code):
            return Load("blueprint", path.stem)
        return Load("blueprint", self.file_of(environment.module_id(code), code))


def _made_of(path: Path) -> str:
    """The id of a module made from the file now, "" if it cannot be read."""
    try:
        data = read_file(path)
        return environment.module_id(data if data.startswith(_WASM) else bundle(path).source)
    except AoError:
        return ""
