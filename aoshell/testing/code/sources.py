"""The code of processes in tests: files, or text."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aoshell.bounded.files import path_of, real
from aoshell.errors import AoError
from aoshell.protocol.message import raw
from aoshell.shell.code.bundle import ProgramBundle, bundle, long_string, refuse_unloadable
from aoshell.shell.code.files import read_file
from aoshell.shell.code.program import Program, read_program
from aoshell.testing.code.stamps import FilesRead

INLINE = "inline.lua"  # the name in errors for source without a file
WASM = b"\0asm"

Source = Path | str | bytes
"""A file (a Path, or its name where that ends in .lua or .wasm), or else the source itself."""


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """The bytes of a module.

    Attributes:
        files: the texts of its files, by the names that errors use.
        program: the files themselves; None if it is not made from files.
        path: of a WebAssembly file; None for others.
    """

    data: bytes
    files: dict[str, str]
    program: Program | None = None
    path: Path | None = None


def source_file(source: Source) -> Path | None:
    """The file that a source names, None if it is the code itself."""
    if isinstance(source, Path):
        return source
    named = isinstance(source, str) and "\n" not in source and source.endswith((".lua", ".wasm"))
    return Path(str(source)) if named else None


def read_source(source: Source, folder: Path | None = None) -> ModuleSource:
    """The code of a source.

    Args:
        folder: where relative file names start; the current one by default.

    Raises:
        AoError: stage "load".
    """
    path = source_file(source)
    if path is not None:
        return _file((folder or Path()) / path_of(str(path)))
    data = source if isinstance(source, bytes) else raw(str(source))
    if data.startswith(WASM) or not data:
        return ModuleSource(data, {})
    wrapped = b'local f, why = load(%s, "@%s", "t")\nif not f then error(why, 0) end\nreturn f()\n'
    text = data.decode("utf-8", "surrogateescape")
    return ModuleSource(wrapped % (long_string(data), INLINE.encode()), {INLINE: text})


def refuse_outside(name: str, path: Path, roots: Iterable[Path]) -> None:
    """Raises AoError, stage "load", if a file (links resolved) is outside all roots."""
    if not any(real(path).is_relative_to(root) for root in roots):
        raise AoError(
            f"{name} is outside of the folder that tests may read",
            stage="load",
            hint="start aoshell test in a folder above it",
        )


def note_parts(path: Path, roots: Sequence[Path], reads: FilesRead) -> None:
    """Note a Lua file, what it requires, and where missing modules may appear, before it is read.

    Raises:
        AoError: stage "load"; it cannot be read, or a part (links resolved) is outside all roots.
    """
    reads.add([path])
    program = read_program(path)
    reads.add(path.parent / name for name in program.absent)
    for part in program.files[:-1]:
        reads.add([path.parent / part.path])
        refuse_outside(part.path, path.parent / part.path, roots)


def bundle_file(path: Path) -> ProgramBundle:
    """The program of a file. What may surprise its author is shown as a UserWarning.

    Raises:
        AoError: stage "load".
    """
    found = bundle(path)
    for note in found.program.notes:
        warnings.warn(note, stacklevel=2)
    return found


def _file(path: Path) -> ModuleSource:
    if path.suffix == ".wasm":
        return ModuleSource(read_file(path), {}, path=path)
    found = bundle_file(path)
    refuse_unloadable(found)
    return ModuleSource(found.source, found.files, found.program)
