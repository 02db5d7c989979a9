"""The files of a Lua program: the main one, and the local ones that it requires at any depth.

The name of a module is a path from the main file's folder, as for the loader of aos: each dot or
slash leads one folder down, so `a.b`, `.a.b` and `a/b` are one file, a/b.lua; without that file it
is a/b/init.lua, as for Lua itself. No name leads out of the folder, except through a link.

Files have the order in which aos runs them: depth first, a required file before the one that
requires it. Files of a circle, which aos cannot load, have the order in which Lua would start them.
Only literal names count. A module without a file is assumed to be in the process already.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

from aoshell.errors import AoError
from aoshell.lua.compiling import find_requires, without_tail_calls
from aoshell.protocol.message import raw, text
from aoshell.shell.code.files import read_text

MOST_FILES = 1_000  # files of one program
MOST_BYTES = 64 << 20  # bytes of all its files together
MOST_NAMES = 10_000  # names that its files require, counted once a file; calls of one file
DRAWN_LEVELS = 24  # levels of the tree that are shown
_SIMILAR = 20  # names with different capitals that notes mention
_LISTED = 10_000  # names in one folder among which a misspelt one is looked for

_STEP = re.compile(r"[./]+")


@dataclass(slots=True, eq=False)
class File:
    """A file of a program.

    Attributes:
        path: from the main file's folder, with "/"; the name that Lua's messages use.
        data: its bytes, without a byte order mark.
        source: as Lua reads files, a first line `#!…` a comment; and
            as errors need it.
        needs: what it requires, in the order of its text, each name once.
        names: the spellings by which the program's files require it, in the order of the walk.
        by, line: the file and its line that require it first; "" and 0 for the main file.
    """

    path: str
    data: bytes
    source: bytes
    needs: list[Need] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    by: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Need:
    """A module that a file requires; `file` is None where it has no local file."""

    name: str
    file: File | None


@dataclass(frozen=True)
class Program:
    """A main file and what it requires.

    Attributes:
        root: the main file's folder.
        files: in the order in which they run, the main one last.
        circular: whether files require each other in a circle, wherever in their text.
    """

    root: Path
    files: tuple[File, ...]
    circular: bool

    @property
    def main(self) -> File:
        return self.files[-1]

    @property
    def modules(self) -> dict[str, str]:
        """The file of each module, by every name that the program requires it by."""
        return {name: file.path for file in self.files for name in file.names}

    @property
    def absent(self) -> Iterator[str]:
        """The paths at which files of missing modules would stand."""
        needs = {need.name for file in self.files for need in file.needs if need.file is None}
        return (path for name in sorted(needs) for path in _candidates(name))

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Notes on what may surprise the user, one sentence each."""
        from aoshell.check.known import AOS_MODULES

        notes = [
            f"{file} takes the place of aos's own module '{name}'"
            for name, file in self.modules.items()
            if name in AOS_MODULES
        ]
        absent = {need.name for file in self.files for need in file.needs if need.file is None}
        folders: dict[Path, dict[str, str]] = {}
        similar = (
            (name, _similar(self.root, name, folders)) for name in sorted(absent - AOS_MODULES)
        )
        notes += [
            f"module '{name}' has no file: {file} has other capitals"
            for name, file in islice((pair for pair in similar if pair[1]), _SIMILAR)
        ]
        return tuple(notes)


def read_program(main: Path) -> Program:
    """The program whose main file is `main`.

    Raises:
        AoError: stage "load": a file cannot be read, or the program is too large.
    """
    return _Walk(main.parent).run(main.name)


def find(root: Path, name: str) -> str | None:
    """The file of a module, from `root`; None where there is none."""
    try:
        return next((path for path in _candidates(name) if (root / path).is_file()), None)
    except OSError:  # a name that no file can have
        return None


def tree_lines(program: Program) -> Iterator[str]:
    """The tree of files, one line each; a file's branches are drawn only once."""
    yield program.main.path
    drawn = {program.main.path}
    open_: list[tuple[str, Iterator[Need], Need]] = []  # indent, what follows, the last of it

    def branch(file: File, indent: str) -> None:
        if file.needs:
            open_.append((indent, iter(file.needs), file.needs[-1]))

    branch(program.main, "")
    while open_:
        indent, rest, last = open_[-1]
        need = next(rest, None)
        if need is None:
            open_.pop()
            continue
        below = indent + ("   " if need is last else "│  ")
        where = need.file.path if need.file else f"{need.name} (not a local file)"
        yield f"{indent}{'└─ ' if need is last else '├─ '}{where}"
        if need.file is None or need.file.path in drawn:
            continue
        drawn.add(need.file.path)
        if len(open_) < DRAWN_LEVELS:
            branch(need.file, below)
        elif need.file.needs:
            yield f"{below}└─ …"


class _Walk:
    """The search for files, and their order: Tarjan's strongly connected components.

    These come as a depth-first walk leaves them, so that without circles the order is that of aos.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[str, File] = {}
        self._first: dict[str, int] = {}  # in the order in which they are met
        self._lowest: dict[str, int] = {}  # the first file that it leads back to
        self._pending: list[File] = []  # whose circle is not known yet
        self._order: list[File] = []
        self._circular = False
        self._bytes = self._names = 0

    def run(self, main: str) -> Program:
        open_ = [self._open(main)]  # from the main file down to the current one
        while open_:
            file, rest = open_[-1]
            wanted = next(rest, None)
            if wanted is None:
                open_.pop()
                self._leave(file, open_[-1][0] if open_ else None)
                continue
            self._names += 1
            if self._names > MOST_NAMES:
                raise _too_much(f"the files require more than {MOST_NAMES:,} names")
            name, line = wanted
            path = find(self._root, name)
            found = self._files.get(path) if path else None
            if path and found is None:
                open_.append(self._open(path))
                found = open_[-1][0]
                found.by, found.line = file.path, line
            elif found is not None and found in self._pending:
                self._circular = True
                self._lower(file, self._first[found.path])
            if found is not None and name not in found.names:
                found.names.append(name)
            file.needs.append(Need(name, found))
        # The main file comes last, also in a circle: it needs the others when it runs.
        main_file = self._files[main]
        files = [file for file in self._order if file is not main_file]
        return Program(self._root, (*files, main_file), self._circular)

    def _leave(self, file: File, above: File | None) -> None:
        """Called once all that a file requires is known. A circle is complete at its first file."""
        lowest = self._lowest[file.path]
        if above is not None:
            self._lower(above, lowest)
        if lowest == self._first[file.path]:
            at = self._pending.index(file)
            self._order += self._pending[at:]
            del self._pending[at:]

    def _lower(self, file: File, first: int) -> None:
        self._lowest[file.path] = min(self._lowest[file.path], first)

    def _open(self, path: str) -> tuple[File, Iterator[tuple[str, int]]]:
        """A file, and what it requires: each name once, with its line."""
        if len(self._files) == MOST_FILES:
            raise _too_much(f"the program has more than {MOST_FILES:,} files")
        data = read_text(self._root / path)
        self._bytes += len(data)
        if self._bytes > MOST_BYTES:
            raise _too_much(f"the program's files have more than {MOST_BYTES >> 20} MB together")
        source = text(_commented(data))
        calls = list(islice(find_requires(source), MOST_NAMES + 1))
        if len(calls) > MOST_NAMES:
            raise _too_much(f"{path} requires more than {MOST_NAMES:,} times")
        file = File(path, data, raw(without_tail_calls(source, calls)))
        self._first[path] = self._lowest[path] = len(self._files)
        self._files[path] = file
        self._pending.append(file)
        names: dict[str, int] = {}
        for call in calls:
            if call.name is not None:
                names.setdefault(call.name, call.line)
        return file, iter(names.items())


def _commented(data: bytes) -> bytes:
    """As Lua reads files: a first line `#!…` is a comment."""
    return b"--" + data if data.startswith(b"#") else data


def _too_much(what: str) -> AoError:
    return AoError(what, stage="load", hint="load a part of it first: what is loaded is there")


def _parts(name: str) -> list[str]:
    return [os.fsdecode(raw(part)) for part in _STEP.split(name) if part]


def _candidates(name: str) -> Iterator[str]:
    """The files that a module may be, from the main file's folder."""
    way = "/".join(_parts(name))
    if way:
        yield f"{way}.lua"
        yield f"{way}/init.lua"


def _similar(root: Path, name: str, folders: dict[Path, dict[str, str]]) -> str:
    """A file whose name differs from the module's in case only, "" for none."""
    parts = _parts(name)
    path = root
    for part in (*parts[:-1], f"{parts[-1]}.lua") if parts else ():
        found = _listed(path, folders).get(part.casefold())
        if found is None:
            return ""
        path /= found
    return path.relative_to(root).as_posix() if parts and path.is_file() else ""


def _listed(folder: Path, folders: dict[Path, dict[str, str]]) -> dict[str, str]:
    """The names in a folder, by their lower-case forms."""
    if folder not in folders:
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in islice(entries, _LISTED)]
        except OSError:
            names = []
        folders[folder] = {name.casefold(): name for name in sorted(names)}
    return folders[folder]
