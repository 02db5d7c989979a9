"""Records which lines ran of the files that tests loaded."""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from aoshell.blueprints import SHIPPED
from aoshell.bounded.files import real
from aoshell.lua.linetable import LuaFunction, compiled, line_table
from aoshell.protocol.message import raw, text
from aoshell.sandbox.digests import text_digest
from aoshell.testing.code.sources import ModuleSource

_BREAK = re.compile(rb"\r\n|\n\r|\r")  # line breaks of Lua
_JUMP = struct.Struct("<IIQ")
_NAMES = 100  # most names of handlers that are kept for one function


class FunctionPlace(NamedTuple):
    """A function: the name and the digest of its file's text, its first and its last line."""

    name: str
    digest: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class CoveredFile:
    """A file that a test loaded.

    Attributes:
        path: of the file.
        name: in the messages of Lua.
        digest: of `loaded`.
        data: its bytes.
        loaded: the same in the form that Lua got.
        functions: its functions, from Lua's compiler.
    """

    path: Path
    name: str
    digest: str
    data: bytes
    loaded: bytes
    functions: tuple[LuaFunction, ...]


class Coverage:
    """Everything that ran, of all tests together.

    Attributes:
        files: by path.
        jumps: for each function, how often it went from one line to another; line 0: its beginning.
        handlers: for each function, the names of its handlers, in order.
        modules: WebAssembly files that were loaded.
        hand: called with the counting form of each file's code (`counting.pack_counting`).
    """

    def __init__(self) -> None:
        self.hand: Callable[[bytes], None] = lambda _packed: None
        self.files: dict[Path, CoveredFile] = {}
        self.jumps: dict[FunctionPlace, Counter[tuple[int, int]]] = {}
        self.handlers: dict[FunctionPlace, dict[str, None]] = {}
        self.modules: dict[Path, None] = {}
        self._known: dict[tuple[str, str], CoveredFile] = {}
        self._made: dict[Path, CoveredFile] = {}  # the newest; shared with copies from `fresh`
        # By name and digest, why the file cannot count, "" if it can; shared as well.
        self._handed: dict[tuple[str, str], str] = {}
        self._uncounted: dict[Path, str] = {}  # files that cannot, and why
        self._in_wasm: dict[Path, None] = {}  # files that were loaded into WebAssembly
        self._twins: dict[tuple[str, str], set[Path]] = {}
        self._left_out = False
        self._changed: dict[Path, None] = {}
        self._other_texts: dict[str, None] = {}  # names of files under which another text ran

    @property
    def notes(self) -> Iterator[str]:
        """Sentences about what the figures leave out."""
        for path in self.modules:
            yield f"{path} is WebAssembly, which has no line hook: it is left out"
        for path in self._in_wasm:
            there = "into WebAssembly, which has no line hook"
            also = "what ran of it there is left out" if path in self.files else "it is left out"
            yield f"{path} was loaded {there}: {also}"
        for path, why in self._uncounted.items():
            yield f"{path} is left out, as its lines cannot be counted: {why}"
        for path in self._changed:
            yield f"{path} changed between two tests: the figures are those of its last text"
        for twins in self._twins.values():
            if len(twins) > 1:
                names = " and ".join(map(str, sorted(twins)))
                yield f"{names} have one name and one text: which of them ran is not known"
        if self._left_out:
            yield "a message ran more functions than are noted: some lines are missing here"
        for name in self._other_texts:
            yield f"another text ran under the name {name}: its lines are left out"

    def fresh(self) -> Coverage:
        """A copy without counts."""
        other = Coverage()
        other.hand, other._made, other._handed = self.hand, self._made, self._handed
        return other

    # Files ------------------------------------------------------------------------------------

    def know(self, module: ModuleSource, *, in_wasm: bool = False) -> None:
        """Count the files of a module from now on, except blueprints that come with aoshell.

        Args:
            in_wasm: a WebAssembly process evaluates them, where nothing counts lines.
        """
        if module.path is not None:
            self.modules[real(module.path)] = None
        program = module.program
        if program is None or program.root == SHIPPED:
            return
        for file in program.files:
            path = real(program.root / file.path)
            if in_wasm:
                self._in_wasm[path] = None
                continue
            self._know_file(path, file.path, file.data, _BREAK.sub(b"\n", file.source))
            self._uncounted.pop(path, None)
            if why := self._handed[self.files[path].name, self.files[path].digest]:
                self._leave_out(path, why)

    def _know_file(self, path: Path, name: str, data: bytes, loaded: bytes) -> None:
        digest = text_digest(loaded)
        known = self.files.get(path)
        if known is None or known.digest != digest:
            if known is not None:
                self._changed[path] = None
            found = self._made.get(path)
            if found is None or (found.name, found.digest) != (name, digest):
                dump = compiled(loaded, b"@" + name.encode())
                found = CoveredFile(path, name, digest, data, loaded, line_table(dump))
                if (name, digest) not in self._handed:
                    self._handed[name, digest] = self._hand_code(dump)
            self._made[path] = found
            self.files[path] = self._known[name, digest] = found
        self._twins.setdefault((name, digest), set()).add(path)

    def _hand_code(self, dump: bytes) -> str:
        """Pass a file on. Returns why it cannot count, "" if it can."""
        from aoshell.sandbox.counting import (  # where lines are counted
            make_counting,
            pack_counting,
        )

        try:
            self.hand(pack_counting(dump, make_counting(dump)))
        except ValueError as error:
            return str(error)
        return ""

    def _leave_out(self, path: Path, why: str) -> None:
        self._uncounted[path] = why
        self.files.pop(path, None)

    # What workers tell ------------------------------------------------------------------------

    def lines_came(self, lines: str) -> None:
        """Count the lines of a message, as `sandbox/host/watch.lua` writes them.

        Raises:
            ValueError: no worker writes that.
        """
        if not lines:
            return
        parts = _Parts(lines.encode("latin-1"))
        for _ in range(parts.number()):
            place = self._place(parts)
            jumps = parts.jumps()
            if place is not None:
                self._count(place, jumps)
        for _ in range(parts.number()):
            name = parts.text()
            place = self._place(parts)
            if place is not None:
                self._name(place, name)
        self._left_out |= bool(parts.number())
        parts.end()

    def _place(self, parts: _Parts) -> FunctionPlace | None:
        """The next place; None if no test loaded its file."""
        name, digest = parts.text().removeprefix("@"), parts.text()
        place = FunctionPlace(name, digest, parts.number(), parts.number())
        if (name, digest) in self._known:
            return place if self._has(place) else None
        if place.first and any(name == known for known, _digest in self._known):
            self._other_texts[name] = None
        return None

    def _has(self, place: FunctionPlace) -> bool:
        functions = self._known[place.name, place.digest].functions
        return any((one.first, one.last) == (place.first, place.last) for one in functions)

    def _count(self, place: FunctionPlace, jumps: Mapping[tuple[int, int], int]) -> None:
        self.jumps.setdefault(place, Counter()).update(jumps)

    def _name(self, place: FunctionPlace, name: str) -> None:
        names = self.handlers.setdefault(place, {})
        if len(names) < _NAMES:
            names[name] = None

    # From process to process ------------------------------------------------------------------

    def packed(self) -> dict[str, Any]:
        """All data as a value for JSON, for the process that reports."""
        files = [
            [str(file.path), file.name, text(file.data), text(file.loaded)]
            for file in self.files.values()
        ]
        return {
            "files": files,
            "jumps": [
                [*place, [[*jump, times] for jump, times in jumps.items()]]
                for place, jumps in self.jumps.items()
            ],
            "handlers": [[*place, list(names)] for place, names in self.handlers.items()],
            "modules": [str(path) for path in self.modules],
            "in_wasm": [str(path) for path in self._in_wasm],
            "others": list(self._other_texts),
            "uncounted": [[str(path), why] for path, why in self._uncounted.items()],
            "left_out": self._left_out,
        }

    def add(self, packed: Mapping[str, Any]) -> None:
        """Add the `packed` data of another process of the same run."""
        for path, name, data, loaded in packed["files"]:
            self._know_file(Path(path), name, raw(data), raw(loaded))
        for *place, jumps in packed["jumps"]:
            self._count(FunctionPlace(*place), {(one, other): times for one, other, times in jumps})
        for *place, names in packed["handlers"]:
            for name in names:
                self._name(FunctionPlace(*place), name)
        self.modules.update(dict.fromkeys(map(Path, packed["modules"])))
        self._in_wasm.update(dict.fromkeys(map(Path, packed["in_wasm"])))
        self._other_texts.update(dict.fromkeys(packed["others"]))
        for path, why in packed["uncounted"]:
            self._leave_out(Path(path), why)
        self._left_out |= packed["left_out"]


class _Parts:
    """Reads data from a worker. Raises ValueError if it is too short or too long."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self) -> int:
        (value,) = struct.unpack("<I", self._take(4))
        return int(value)

    def text(self) -> str:
        return text(self._take(self.number()))

    def jumps(self) -> dict[tuple[int, int], int]:
        found = self._take(_JUMP.size * self.number())
        return {(one, other): times for one, other, times in _JUMP.iter_unpack(found)}

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError("more than the lines of a message")

    def _take(self, size: int) -> bytes:
        data = self._data[self._at : self._at + size]
        if len(data) != size:
            raise ValueError("less than the lines of a message")
        self._at += size
        return data
