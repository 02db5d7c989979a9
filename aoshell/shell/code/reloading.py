"""`.watch`: loads files again whenever they are saved, and reports changes of the handlers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from aoshell.errors import AoError
from aoshell.lua.lexer import BREAK
from aoshell.shell.attached.questions import query
from aoshell.shell.attached.session import Session
from aoshell.shell.code.bundle import bundle
from aoshell.shell.code.loading import load_bundle
from aoshell.shell.code.program import read_program
from aoshell.shell.view.errors_view import failure_text

_EVERY = 0.25  # seconds between two checks

# The handlers in their order: name, pattern and handle. A function is shown as the place where it
# was written. Read raw; handlers of the environment itself begin with "_".
_HANDLERS = """
local getinfo = type(debug) == "table" and debug.getinfo
local function said(value, depth)
  local kind = type(value)
  if kind == "function" then
    local about = getinfo and getinfo(value, "S")
    if not about or about.what == "C" then return "function" end
    local first, last = about.linedefined, about.lastlinedefined
    return string.format("\\1%s:%d:%d\\1", about.short_src, first, last)
  end
  if kind ~= "table" or depth == 0 then return kind .. " " .. tostring(value) end
  local parts = {}
  for key, inner in next, value do
    parts[#parts + 1] = tostring(key) .. "=" .. said(inner, depth - 1)
  end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end
local rows, list = {}, type(Handlers) == "table" and rawget(Handlers, "list") or {}
for i = 1, rawlen(list) do
  local one = rawget(list, i)
  local name = type(one) == "table" and rawget(one, "name")
  if type(name) == "string" and string.sub(name, 1, 1) ~= "_" then
    rows[#rows + 1] = { name, said(rawget(one, "pattern"), 4), said(rawget(one, "handle"), 4) }
  end
end
return JSON.encode({ rows = rows })"""
_PLACE = re.compile("\1([^\1]*):(\\d+):(\\d+)\1")

Handlers: TypeAlias = Mapping[str, str]
"""The text of each handler by its name, as far as it is known."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of handlers that a reload changed.

    Attributes:
        left: still in the process, though the files no longer name them.
    """

    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def __str__(self) -> str:
        marks = (("+", self.added), ("~", self.replaced), ("-", self.removed))
        lines = [f"  {mark} {name}" for mark, names in marks for name in names]
        lines += [
            f'  ! {name} is still there: Handlers.remove("{name}") removes it' for name in self.left
        ]
        return "\n".join(lines)


def compare_handlers(
    before: Handlers, after: Handlers, old: Mapping[str, str], new: Mapping[str, str]
) -> Changes:
    """What a reload changed.

    Args:
        old, new: text of the files by name, before and after.
    """
    was, now = "\n".join(old.values()), "\n".join(new.values())
    kept = [name for name in after if name in before]
    left = [name for name in kept if _names(was, name) and not _names(now, name)]
    return Changes(
        tuple(name for name in after if name not in before),
        tuple(name for name in kept if name not in left and before[name] != after[name]),
        tuple(name for name in before if name not in after),
        tuple(left),
    )


def _names(source: str, name: str) -> bool:
    return f'"{name}"' in source or f"'{name}'" in source


class Reloader:
    """Loads files, one by one, into the process that is attached at that time.

    Follows each file that was loaded once.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seen: dict[Path, dict[Path, tuple[int, int]]] = {}

    async def load(self, file: Path) -> str:
        """Load a file; returns what happened, for a person."""
        # Stamps are taken before reading, so a save in between loads the file once more.
        self._seen[file] = {path: _stamp(path) for path in _parts(file)}
        session = self._session
        old = dict(session.sources)
        before = await self._handlers(old)
        try:
            bundled = bundle(file)
            reply = await load_bundle(session, bundled)
        except AoError as error:
            return f"{file.name}: {error}"
        answer = reply.answer
        assert answer is not None
        if not answer.ok:
            return f"{file.name} failed:\n{failure_text(answer.last, answer.sources)}"
        head = f"{file.name} loaded, slot {answer.last.slot}, {answer.last.milliseconds:.1f} ms"
        notes = [f"  {note}" for note in bundled.program.notes]
        after = await self._handlers(session.sources)
        if before is None or after is None:
            return "\n".join([head, *notes])
        was = {name: text for name, text in old.items() if name in bundled.files}
        changes = str(compare_handlers(before, after, was, bundled.files))
        return "\n".join(
            [head if changes else f"{head}; no handler changed", *notes, *filter(None, [changes])]
        )

    def saved(self) -> list[Path]:
        """The files that were saved since they were loaded, or whose required files were."""
        return [
            file
            for file, stamps in self._seen.items()
            if any(_stamp(path) != stamp for path, stamp in stamps.items())
        ]

    async def follow(self, turn: AbstractAsyncContextManager[object]) -> None:
        """Load saved files until cancelled; hold `turn` while loading."""
        while True:
            await asyncio.sleep(_EVERY)
            for file in self.saved():
                async with turn:
                    note = await self.load(file)
                self._session.feed.release()
                self._session.front.note(note)

    async def _handlers(self, sources: Mapping[str, str]) -> Handlers | None:
        """The handlers; None if the process cannot be asked."""
        try:
            found = await query(self._session, _HANDLERS)
        except AoError:
            return None
        rows = found.get("rows") if isinstance(found, dict) else None
        return {
            name: "\0".join(_PLACE.sub(lambda place: _text(place, sources), part) for part in rest)
            for name, *rest in rows or ()
        }


def _text(place: re.Match[str], sources: Mapping[str, str]) -> str:
    """The lines of a function, or where they are."""
    chunk, first, last = place[1], int(place[2]), int(place[3])
    if chunk not in sources:
        return place[0]
    return "\n".join(BREAK.split(sources[chunk])[first - 1 : last])


def _parts(file: Path) -> list[Path]:
    """The file, those that it requires, and the paths at which missing ones may appear."""
    try:
        found = read_program(file)
    except AoError:
        return [file]
    return [file.parent / name for name in (*(part.path for part in found.files), *found.absent)]


def _stamp(path: Path) -> tuple[int, int]:
    """Time of the last change, and size; zeros if there is no such file."""
    try:
        about = path.stat()
    except OSError:
        return 0, 0
    return about.st_mtime_ns, about.st_size
