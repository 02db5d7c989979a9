"""A process in plain Lua: the environment's files in a bare runtime, messages driven by hand.

Facts under test are those of public aos (process 2.0.4 and its tests), and what this environment
adds.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from lupa import lua53

from aoshell.sandbox import environment
from aoshell.sandbox.digests import Digests, pbkdf2

# What the host leaves to the environment, without its guards: those have tests of their own.
HOST = """
local sources, host = ...
local emitted = {}
print, io, dofile, loadfile = nil, nil, nil, nil
local getinfo = debug.getinfo
local function keys_of(t)
  local meta = getmetatable(t)
  if meta and meta.__pairs then return nil end
  local keys, list = {}, true
  for key in next, t do
    keys[#keys + 1] = key
    list = list and key == #keys
  end
  if list then return false, #keys end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end
debug = { traceback = debug.traceback }
local raw_load = load
local loaded = {
  [".host"] = {
    emit = function(text) emitted[#emitted + 1] = text end,
    digest = function(name, text, size, key)
      return host.digest(name, text, size or 0, key or "")
    end,
    pbkdf2 = function(...) return host.pbkdf2(...) end,
    parameters = function(f) return getinfo(f, "u").nparams end,
    keys = keys_of,
  },
}
for _, name in ipairs { "string", "table", "math", "os", "coroutine", "utf8", "debug", "_G" } do
  loaded[name] = _G[name]
end
package = { loaded = loaded }
function require(name)
  if loaded[name] == nil then
    local source = sources[name]
    if not source then error("module '" .. tostring(name) .. "' not found", 2) end
    local module = assert(raw_load(source, "@" .. name, "t"))(name)
    if loaded[name] == nil then loaded[name] = module == nil and true or module end
  end
  return loaded[name]
end
local process = require(".process")
return process, emitted
"""

OWNER = "OWNER-ADDRESS-of-43-characters-0123456789ab"
PROCESS = "PROCESS-ID-of-43-characters-0123456789abcde"

Tags = Mapping[str, str] | Sequence[tuple[str, str]]


def digest(name: str, text: str, size: int, key: str) -> str:
    digests = Digests()
    digests.begin(name, size, key)
    digests.add(text)
    return digests.end()


def plain(value: Any) -> Any:
    """A Lua value as Python: tables that are 1..n as lists, others as dicts."""
    if lua53.lua_type(value) != "table":
        return value
    items = {key: plain(item) for key, item in value.items()}
    if list(items) == list(range(1, len(items) + 1)):
        return list(items.values())
    return items


class Process:
    """One process with the environment in it; each method is a message or reads a result."""

    id = PROCESS

    def __init__(
        self,
        tags: Tags = (("Name", "Thomas"),),
        *,
        owner: str = OWNER,
        code: str | None = None,
        boot: tuple[str, str] | None = None,
        boots: bool = True,
        **first: Any,
    ) -> None:
        self.lua = lua53.LuaRuntime(
            encoding="latin-1",
            source_encoding="latin-1",
            unpack_returned_tuples=True,
            max_memory=256 << 20,
        )
        sources = self.lua.table()
        for name, source in environment.read_sources().items():
            sources[name] = source
        host = self.lua.table_from({"digest": digest, "pbkdf2": pbkdf2})
        self.host, self._emitted = self.lua.execute(HOST, sources, host)
        self._tags = list(tags.items()) if isinstance(tags, Mapping) else list(tags)
        self.owner = owner
        self._ids = itertools.count(1)
        self.env: Any = self.lua.table_from(
            {
                "Process": self.lua.table_from(
                    {"Id": PROCESS, "Owner": owner, "Tags": self._tag_list(self._tags)}
                ),
                "Module": self.lua.table_from(
                    {"Id": "MODULE-ID", "Tags": self.lua.table(), "Code": code}
                ),
            }
        )
        if boot:
            self.env["Boot"] = self.lua.table_from({"Id": boot[0], "Data": boot[1]})
        self.first: dict[str, Any] = {}
        if boots:
            self.first = self.send(
                tags=[*self._tags, ("Type", "Process")],
                **{"id": PROCESS, "from_": owner, "height": 999, **first},
            )

    def _tag_list(self, tags: Sequence[tuple[str, str]]) -> Any:
        table = self.lua.table_from
        return table([table({"name": name, "value": value}) for name, value in tags])

    def send(
        self,
        action: str | None = None,
        data: str | None = None,
        *,
        tags: Tags = (),
        id: str | None = None,
        from_: str = "FRED",
        owner: str | None = None,
        target: str = PROCESS,
        height: int = 1000,
        **fields: Any,
    ) -> dict[str, Any]:
        """Handle one message; its result as Python."""
        pairs = list(tags.items()) if isinstance(tags, Mapping) else list(tags)
        if action is not None:
            pairs.insert(0, ("Action", action))
        msg = {
            "Id": id or f"message-{next(self._ids)}",
            "From": from_,
            "Owner": owner or from_,
            "Target": target,
            "Data": data,
            "Tags": self._tag_list(pairs),
            "Timestamp": 1_700_000_000_000,
            "Block-Height": height,
            "Module": "WOOPAWOOPA",
            "Cron": False,
            **fields,
        }
        result: dict[str, Any] = plain(self.host.handle(self.lua.table_from(msg), self.env))
        return result

    def eval(self, text: str, **fields: Any) -> dict[str, Any]:
        return self.send("Eval", text, **{"from_": self.owner, **fields})

    def run(self, text: str) -> str:
        """Output of an Eval that must succeed."""
        result = self.eval(text)
        assert "Error" not in result, result["Error"]
        output: str = result["Output"]["data"]
        return output

    def value(self, expression: str) -> Any:
        """A value out of the process, past its handlers."""
        return plain(self.lua.eval(expression))

    @staticmethod
    def tags(message: Mapping[str, Any]) -> dict[str, str]:
        return {tag["name"]: tag["value"] for tag in message["Tags"]}

    @property
    def waits(self) -> list[dict[str, str]]:
        return list(plain(self.host.waits()) or [])

    @property
    def emitted(self) -> list[str]:
        return list(plain(self._emitted) or [])


@pytest.fixture(scope="session")
def new() -> type[Process]:
    """To make a process that is not the usual one."""
    return Process


@pytest.fixture
def process() -> Process:
    return Process()
