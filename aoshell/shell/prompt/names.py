"""The names that a process has, for completion.

A dry run reads them: it sees a copy of the process, leaves no trace, and calls no metamethod. A
process of the built-in node is read after each line, while nothing else runs there; a process of
another node is read by `.names` only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aoshell.errors import AoError
from aoshell.lua.lexer import Token, tokens
from aoshell.shell.attached.questions import query

if TYPE_CHECKING:
    from aoshell.shell.attached.session import Session

MOST = 20_000  # names of one reading
PAUSE = 0.15  # seconds without a line before the process is read
_CALM = 20  # pause before the next reading, as a multiple of the last one's duration
_PROCESSES = 50  # processes whose names are kept

# Types are written as their first letters.
_READ = r"""local from, most, out, left = {%s}, %d, {}, %d
local find, sub, concat = string.find, string.sub, table.concat
local function fine(key)
  return type(key) == "string" and #key <= 64 and not find(key, '[%%c"\\\128-\255]')
end
local queue, seen = {}, {}
local function note(names, table, path, depth)
  local count = 0
  for key, value in next, table do
    if left <= 0 or count >= most then break end
    if fine(key) then
      left, count = left - 1, count + 1
      names[#names + 1] = '"' .. key .. '":"' .. sub(type(value), 1, 1) .. '"'
      local plain = type(value) == "table" and not seen[value] and find(key, "^[%%a_][%%w_]*$")
      if plain and depth > 0 then
        seen[value] = true
        queue[#queue + 1] = {path == "" and key or path .. "." .. key, value, depth - 1}
      end
    end
  end
end
local function list(path, table, depth)
  local names = {}
  note(names, table, path, depth)
  local meta = getmetatable(table)
  local index = type(meta) == "table" and rawget(meta, "__index")
  if type(index) == "table" then note(names, index, path, 0) end
  local first = rawget(table, 1)
  if type(first) == "table" then queue[#queue + 1] = {path .. "[]", first, 0} end
  out[#out + 1] = '"' .. path .. '":{' .. concat(names, ",") .. "}"
end
local at = _ENV
for i = 1, #from do
  at = type(at) == "table" and rawget(at, from[i] == "[]" and 1 or from[i])
end
seen[_ENV], seen[package or 0] = true, true
if type(at) == "table" then
  list(concat(from, "."), at, #from == 0 and 2 or 1)
  most = 500
  local done = 0
  while done < #queue and left > 0 do
    done = done + 1
    list(queue[done][1], queue[done][2], queue[done][3])
  end
end
local tags, actions, messages = {}, {}, rawget(_ENV, "Inbox")
local last = type(messages) == "table" and rawlen(messages) or 0
for i = math.max(1, last - 49), last do
  local m = rawget(messages, i)
  local t = type(m) == "table" and rawget(m, "Tags")
  if type(t) == "table" then
    for key, value in next, t do
      if fine(key) then tags[key] = true end
      if key == "Action" and fine(value) then actions[value] = true end
    end
  end
end
local handlers = rawget(_ENV, "Handlers")
local records = type(handlers) == "table" and rawget(handlers, "list")
for i = 1, type(records) == "table" and rawlen(records) or 0 do
  local record = rawget(records, i)
  local pattern = type(record) == "table" and rawget(record, "pattern")
  if type(pattern) == "table" then pattern = rawget(pattern, "Action") end
  if fine(pattern) then actions[pattern] = true end
end
local function keys(set)
  local found = {}
  for key in next, set do found[#found + 1] = '"' .. key .. '"' end
  return concat(found, ",")
end
return '{"at":{' .. concat(out, ",") .. '},"tags":[' .. keys(tags) .. '],"actions":['
  .. keys(actions) .. "]}"
"""

_DOTS = (".", ":")
_LONGEST = 65_536  # characters of a line that is searched for definitions


@dataclass(slots=True)
class ProcessNames:
    """The known names of one process.

    Attributes:
        fields: first letters of types by name, by the path of their table ("" for globals).
        tags, actions: of messages seen.
        calls: arguments of functions defined in lines typed here, by name.
        read: whether the process was read.
        deaf: whether reading it failed: it runs another environment, or broke its own.
            Only `.names` reads it again.
    """

    fields: dict[str, dict[str, str]] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    actions: set[str] = field(default_factory=set)
    calls: dict[str, str] = field(default_factory=dict)
    read: bool = False
    deaf: bool = False

    def at(self, path: Iterable[str]) -> dict[str, str]:
        """The known fields of a table, by name."""
        return self.fields.get(join_path(path), {})

    def learn(self, line: str) -> None:
        """Add what a line of Lua defines: some processes cannot be read."""
        for name, arguments in find_definitions(line[:_LONGEST]):
            if arguments is not None:
                self.calls[name] = f"({arguments})"
            path, _, last = name.rpartition(".")
            if not self.read:
                kind = "v" if arguments is None else "f"
                self.fields.setdefault(path, {}).setdefault(last, kind)

    def take(self, answer: object, *, whole: bool = True) -> None:
        """Add the answer to `names_query`; other values are ignored."""
        if not isinstance(answer, dict):
            return
        fields = answer.get("at")
        if isinstance(fields, dict):
            found = {join_path([str(path)]): dict(names) for path, names in fields.items()}
            self.fields = found if whole else self.fields | found
        self.tags |= {str(tag) for tag in answer.get("tags") or ()}
        self.actions |= {str(action) for action in answer.get("actions") or ()}
        self.read = True


def find_definitions(code: str) -> Iterator[tuple[str, str | None]]:
    """The globals and fields that Lua code sets, each with its arguments if it is a function."""
    found = list(tokens(code))
    for at, token in enumerate(found):
        before = found[at - 1].text if at else ""
        if token.kind != "name" or before in (*_DOTS, "local", "for"):
            continue
        name, end = token.text, at + 1
        while end + 1 < len(found) and found[end].text in _DOTS and found[end + 1].kind == "name":
            name, end = f"{name}.{found[end + 1].text}", end + 2
        if before == "function" and at > 1 and found[at - 2].text == "local":
            continue
        ahead = [found[end + i].text if end + i < len(found) else "" for i in range(3)]
        if before == "function" and ahead[0] == "(":
            yield name, _arguments(found, end + 1)
        elif ahead[0] == "=" and before not in ("{", ","):
            is_function = ahead[1:] == ["function", "("]
            yield name, _arguments(found, end + 3) if is_function else None


def _arguments(found: list[Token], at: int) -> str:
    parts = []
    while at < len(found) and found[at].text != ")":
        parts.append(found[at].text)
        at += 1
    return "".join(parts).replace(",", ", ")


def join_path(path: Iterable[str]) -> str:
    """A path as text: `Handlers.list[]`."""
    return ".".join(path).replace(".[]", "[]")


def names_query(path: tuple[str, ...] = ()) -> str:
    """Lua for `questions.query` that returns the names below a path."""
    return _READ % (", ".join(f'"{name}"' for name in path), MOST, MOST)


class Keeper:
    """Keeps the names of attached processes.

    Args:
        idle: whether nothing runs; only then is a process read.
    """

    def __init__(self, idle: Callable[[], bool]) -> None:
        self._idle = idle
        self._known: dict[str, ProcessNames] = {}
        self._task: asyncio.Task[None] | None = None
        self._quiet_until = 0.0

    def of(self, session: Session | None) -> ProcessNames:
        """The known names of the attached process."""
        id = session.process.id if session and session.process else ""
        if id not in self._known:
            while len(self._known) >= _PROCESSES:
                del self._known[next(iter(self._known))]
            self._known[id] = ProcessNames()
        return self._known[id]

    def later(self, session: Session) -> None:
        """Read the attached process after a pause without lines."""
        self.stop()
        if _readable(session) and not self.of(session).deaf:
            self._task = asyncio.create_task(self._soon(session))

    def stop(self) -> None:
        """Cancel a reading that has not begun, because a line is about to run."""
        if self._task:
            self._task.cancel()
            self._task = None

    async def below(self, session: Session, path: tuple[str, ...]) -> None:
        """Read the fields of one table that is not known yet."""
        if not path or not _readable(session) or not self._idle():
            return
        names = self.of(session)
        with suppress(AoError):  # then there is nothing to offer
            names.take(await query(session, names_query(path)), whole=False)

    async def _soon(self, session: Session) -> None:
        await asyncio.sleep(max(PAUSE, self._quiet_until - time.monotonic()))
        if not self._idle():
            return
        begun, names = time.monotonic(), self.of(session)
        try:
            await read_names(session, names)
        except AoError:
            names.deaf = True
        end = time.monotonic()
        self._quiet_until = end + _CALM * (end - begun)


async def read_names(session: Session, names: ProcessNames) -> None:
    """Read all names of the attached process.

    Raises:
        AoError: it cannot be asked.
    """
    names.take(await query(session, names_query()))
    names.deaf = False


def _readable(session: Session) -> bool:
    return session.process is not None and session.node.local is not None
