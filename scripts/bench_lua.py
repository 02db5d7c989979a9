"""The section "lua" of `bench.py`: the same work in a process and in plain Lua 5.3.

It shows what the guards cost and what the host saves. The two take turns, and each is timed over a
loop in Lua. Plain Lua is lupa's runtime without changes. There, work that the environment does
(dispatch, json, .bint) is done by the environment's files, and work that the host does (sha2_256)
by an implementation in Lua.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from lupa import lua53

from aoshell.sandbox import environment
from aoshell.sandbox.lua import LuaRuntime

PROCESS, OWNER = "p" * 43, "o" * 43
RUNS = 7

# Loads the environment's files without the host, so without guards. Lua alone sorts the keys: both
# must write the same text, or it would not be the same work.
PLAIN = """
local sources = ...
local function keys_of(t)
  local keys, n, list = {}, 0, true
  for key in next, t do
    n = n + 1
    keys[n] = key
    list = list and key == n
  end
  if list then return false, n end
  table.sort(keys)
  return keys
end
print, io, dofile, loadfile = nil, nil, nil, nil
local raw_load, getinfo = load, debug.getinfo
local loaded = { [".host"] = {
  emit = function() end,
  parameters = function(f) return getinfo(f, "u").nparams end,
  keys = keys_of,
} }
for _, name in ipairs { "string", "table", "math", "os", "coroutine", "utf8", "debug", "_G" } do
  loaded[name] = _G[name]
end
package = { loaded = loaded }
function require(name)
  if loaded[name] == nil then
    local module = assert(raw_load(assert(sources[name], name), "@" .. name))(name)
    if loaded[name] == nil then loaded[name] = module == nil and true or module end
  end
  return loaded[name]
end
return require(".process").handle
"""

SHA256 = """
local K, H = {}, {}
local function fraction(x) return math.floor((x - math.floor(x)) * 4294967296) end
local found, n = 0, 2
while found < 64 do
  local prime = true
  for d = 2, math.floor(n ^ 0.5) do if n % d == 0 then prime = false break end end
  if prime then
    found = found + 1
    K[found] = fraction(n ^ (1 / 3))
    if found <= 8 then H[found] = fraction(n ^ 0.5) end
  end
  n = n + 1
end
local function turn(x, by) return x >> by | x << 32 - by & 0xFFFFFFFF end
function sha256(text)
  text = text .. "\\x80" .. ("\\0"):rep((55 - #text) % 64) .. (">I8"):pack(8 * #text)
  local state = { table.unpack(H) }
  for at = 1, #text, 64 do
    local w = { (">I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4"):unpack(text, at) }
    for i = 17, 64 do
      local x, y = w[i - 15], w[i - 2]
      w[i] = w[i - 16] + w[i - 7] + (turn(x, 7) ~ turn(x, 18) ~ x >> 3)
        + (turn(y, 17) ~ turn(y, 19) ~ y >> 10) & 0xFFFFFFFF
    end
    local a, b, c, d, e, f, g, h = table.unpack(state)
    for i = 1, 64 do
      local p = h + (turn(e, 6) ~ turn(e, 11) ~ turn(e, 25)) + (e & f ~ ~e & g) + K[i] + w[i]
      local q = (turn(a, 2) ~ turn(a, 13) ~ turn(a, 22)) + (a & b ~ a & c ~ b & c)
      h, g, f, e, d, c, b, a = g, f, e, d + p & 0xFFFFFFFF, c, b, a, p + q & 0xFFFFFFFF
    end
    for i, word in ipairs { a, b, c, d, e, f, g, h } do
      state[i] = state[i] + word & 0xFFFFFFFF
    end
  end
  return ("%08x"):rep(8):format(table.unpack(state))
end
"""

HANDLERS = """
hits = 0
for i = 1, 100 do
  Handlers.add("h" .. i, { Action = "Action-" .. i }, function() hits = hits + 1 end)
end
message = { Action = "Action-100", From = "F", Owner = "F", Tags = {}, Id = "i", Timestamp = 1 }
"""
DOCUMENT = """
document = {}
for i = 1, 9000 do
  document[i] = { id = i, name = "name " .. i, amount = i / 7, tags = { "a", "b\\n" }, flag = true }
end
text = json.encode(document)
"""
BINT = """
bint = require(".bint")(256)
a, b = bint("123456789012345678901234567890123456789"), bint("987654321098765432109876543210987")
"""

# name → (code that prepares, the work, how often one measurement repeats it, what both must give)
SAME = {
    "dispatch_100_handlers": (HANDLERS, "Handlers.evaluate(message, ao.env)", 2000, ""),
    "json_encode_1_mb": (DOCUMENT, "json.encode(document)", 1, "return text"),
    "json_decode_1_mb": (DOCUMENT, "json.decode(text)", 1, "return #json.decode(text)"),
    "bint_multiplication": (BINT, "local _ = a * b", 20_000, "return tostring(a * b)"),
}
STREAM = "stream = require('.crypto').utils.stream sha = require('.crypto').digest.sha2_256 "
MEGABYTE = "text = ('x'):rep(1 << 20)"


class Guarded:
    """A process as it runs in a worker, with guards."""

    def __init__(self) -> None:
        self._runtime = LuaRuntime(environment.read_sources(), lambda _text: None)
        self._runtime.boot([PROCESS, OWNER, "m" * 43, None, None, None])
        self._deliver(PROCESS, "", "Type", "Process")

    def _deliver(self, identity: str, data: str, *tags: str) -> str:
        place = [1, 1, 1, "h" * 43, False, False]
        message = [identity, OWNER, OWNER, PROCESS, data, "", *place, *tags]
        error, output, *_ = self._runtime.deliver(message)
        assert not error, error
        return str(output)

    def run(self, code: str) -> str:
        return self._deliver("i" * 43, code, "Action", "Eval")


class Plain:
    """The same files in plain Lua."""

    def __init__(self) -> None:
        self._lua = lua53.LuaRuntime(encoding="latin-1", source_encoding="latin-1")
        table = self._lua.table_from
        handle = self._lua.execute(PLAIN, table(environment.read_sources()))
        process = {"Id": PROCESS, "Owner": OWNER, "Tags": table([])}
        env = table({"Process": table(process), "Module": table({"Id": "m"})})
        first = {"Id": PROCESS, "From": OWNER, "Owner": OWNER, "Target": PROCESS, "Timestamp": 1}
        handle(table({**first, "Tags": table([]), "Block-Height": 1, "Module": "m"}), env)

    def run(self, code: str) -> str:
        return str(self._lua.execute(code))


def _timed(call: Callable[[], Any], repetitions: int) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) / repetitions


def _compare(
    ours: Callable[[], Any], theirs: Callable[[], Any], repetitions: int
) -> dict[str, Any]:
    """Medians in microseconds of calls in turns, and our speed as a multiple of plain Lua's."""
    pairs = [(_timed(ours, repetitions), _timed(theirs, repetitions)) for _ in range(RUNS + 1)][1:]
    mine, plain = (statistics.median(times) for times in zip(*pairs, strict=True))
    return {
        "us": round(1e6 * mine, 2),
        "plain_lua_us": round(1e6 * plain, 2),
        "speed_to_plain_lua": round(plain / mine, 2),
    }


def lua() -> dict[str, Any]:
    """The section of `bench.py`."""
    report = {}
    for name, (prepare, work, repetitions, check) in SAME.items():
        both = Guarded(), Plain()
        loop = f"for _ = 1, {repetitions} do {work} end"
        for side in both:
            side.run(prepare)
        if check:
            assert both[0].run(check) == both[1].run(check)
        calls = [lambda side=side, loop=loop: side.run(loop) for side in both]
        report[name] = _compare(calls[0], calls[1], repetitions)
    guarded, plain = Guarded(), Plain()
    guarded.run(STREAM + MEGABYTE)
    plain.run(SHA256 + MEGABYTE)
    ours, theirs = "return sha(stream.fromString(text)).asHex()", "return sha256(text)"
    assert guarded.run(ours) == plain.run(theirs)
    report["sha2_256_1_mb"] = _compare(lambda: guarded.run(ours), lambda: plain.run(theirs), 1)
    return report


if __name__ == "__main__":
    print(json.dumps(lua(), indent=2))
