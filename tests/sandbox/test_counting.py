"""Code with added counters counts the same lines as the interpreter's line hook."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import pytest
from lupa import lua53
from test_watch import lines_of, runtime

from aoshell.lua.compiled import read_dump, write_dump
from aoshell.lua.linetable import compiled
from aoshell.sandbox import counting
from aoshell.sandbox.counting import make_counting

FLOW = Path(__file__).resolve().parents[1] / "lua" / "data" / "flow.lua"

# Runs a text with a hook; tells each step of it in "@file", as "first last from to", and what came
# of it. An error leaves functions without a return, so functions are known by their depth.
HOOKED = """
local text, step = ...
local create, sethook, getinfo = coroutine.create, debug.sethook, debug.getinfo
local function depth(co)
  local n = 3
  while getinfo(co, n, "l") do n = n + 1 end
  return n
end
local function hook()
  local lasts = {}
  return function(event, line)
    local co = coroutine.running()
    local deep, info = depth(co), getinfo(2, "S")
    if event == "call" then lasts[deep] = 0
    elseif event == "tail call" then lasts[deep - 1] = 0  -- its frame is moved after that
    elseif event == "line" and info.source == "@file" then
      step(info.linedefined .. " " .. info.lastlinedefined, lasts[deep] or 0, line)
      lasts[deep] = line
    end
  end
end
function coroutine.create(f)
  local co = create(f)
  sethook(co, hook(), "cl")
  return co
end
function coroutine.wrap(f)
  local co = coroutine.create(f)
  return function(...)
    local ok, value = coroutine.resume(co, ...)
    if not ok then error(value, 0) end
    return value
  end
end
local main = load(text, "@file", "t")
sethook(hook(), "cl")
local ok, err = pcall(main)
sethook()
return type(err) == "string" and err or type(err)
"""
COUNTED = """
local text, make, counted = ...
local wrap = coroutine.wrap
function coroutine.wrap(f)  -- errors as the other has them
  local co = coroutine.create(f)
  return function(...)
    local ok, value = coroutine.resume(co, ...)
    if not ok then error(value, 0) end
    return value
  end
end
local code, count = make(string.dump(load(text, "@file", "t")))
local main, counters = load(code, "@file", "b"), {}
for i = 1, count do counters[i] = 0 end
debug.setupvalue(main, debug.getinfo(main, "u").nups, counters)
local ok, err = pcall(main)
for i = 1, count do counted(i, counters[i]) end
return type(err) == "string" and err or type(err)
"""
Steps = Counter[tuple[str, int, int]]


def hooked(text: bytes) -> tuple[Steps, bytes]:
    """Each step that a hook is told of, with its function's lines; and the error."""
    steps: Steps = Counter()

    def step(place: bytes, start: int, to: int) -> None:
        steps[place.decode(), start, to] += 1

    lua = lua53.LuaRuntime(encoding=None, register_builtins=False)
    return steps, lua.globals()[b"load"](HOOKED.encode(), b"=run")(text, step)


def counted(text: bytes) -> tuple[Steps, bytes]:
    """The same from code that counts."""
    tables: list[bytes] = []

    def make(dump: bytes) -> tuple[bytes, int]:
        made = make_counting(dump)
        tables.append(made.counters)
        return made.code, len(kinds(made.counters))

    counts: dict[int, int] = {}
    lua = lua53.LuaRuntime(encoding=None, register_builtins=False, unpack_returned_tuples=True)
    run = lua.globals()[b"load"](COUNTED.encode(), b"=run")
    error = run(text, make, counts.__setitem__)
    steps: Steps = Counter()
    for number, (place, start, to, _cost) in enumerate(kinds(tables[0]), 1):
        if to and counts[number]:
            steps[place, start, to] += counts[number]
    return steps, error


def kinds(table: bytes) -> list[tuple[str, int, int, int]]:
    """What each counter counts."""
    (functions,) = struct.unpack_from("<I", table)
    at, found = 4 + 12 * functions, []
    for number in range(functions):
        first, last, count = struct.unpack_from("<III", table, 4 + 12 * number)
        for _ in range(count):
            found.append((f"{first} {last}", *struct.unpack_from("<III", table, at)))
            at += 12
    assert at == len(table)
    return found


PROGRAMS = {
    "flow": FLOW.read_text(),
    "a condition in several lines": """
for i = 1, 4 do
  local a = i > 1
    and i < 4
    or i == 3
  local b = i ==
    2
  local c = not (a
    or b)
  X = { a, b,
    c, i
      > 2 }
end""",
    "loops within loops": """
local n = 0
for i = 1, 3 do for j = 1, 3 do
  if j == 2 then goto continue end
  n = n + 1
  ::continue::
end end
while n > 0 do n = n - 1 if n == 3 then break end end
repeat n = n + 1 until n > 5
repeat
  local f = function() return n end
  n = f() + 1
until n > 8
while true do
  n = n - 1
  if n < 0 then
    break
  end
end
for k, v in next, { 1, x = 3 } do local g = function() return k end n = n + v + #tostring(g()) end
""",
    "values on their way": """
local function two(...) return ..., 2 end
local function all(...) return select("#", ...) end
local function nest(a,
  b)
  return all(
    a,
    two(
      b,
      two(1,
        2))
  ), all(two(
    1))
end
X = { nest(1, 2), two(
  3,
  4),
  nest(
    5, 6) }
local function tail(n, ...)
  if n == 0 then
    return all(
      ...
    )
  end
  return tail(
    n - 1,
    ...)
end
X[#X + 1] = tail(3, 1, 2, 3)
print = print or all
local t = setmetatable({}, { __index = function(_, k)
  return k
end, __concat = function(a, b)
  return "c"
end })
X[#X + 1] = t.a .. t
  .. "b"
""",
    "parameters and nil": """
local function f(a, b, ...)
  a = nil
  local c, d
  local e, g = ...
  b = b or
    e
  return function(x)
    a = x
    c = (c or 0) + 1
    return a, b,
      c, d, g
  end
end
local g = f(1, nil, 3, 4)
g(1) g(2)
X = g(3)""",
    "an error in the middle": """
local t = {}
local function f(x)
  local y = x
  return y.a.b
    .c
end
X = pcall(f, {})
X = select(2, pcall(f, {}))
f(
  t)""",
    "many constants": "local t = {}\n"
    + "".join(f"t[{i}.5] = 'x{i}'\nif #t > {i} then t = {{}} end\n" for i in range(300)),
    "many counters": "local n = 0\n" + "n = n + 1\n" * 300,
    "methods and upvalues": """
local A = {}
A.__index = A
function A.new(n) return setmetatable({ n = n }, A) end
function A:add(m)
  self.n = self.n + m
  return self
end
for i = 1, 3 do
  A.new(i):add(1)
    :add(2)
  :add(i)
end
A.new(1).missing
  :add(1)""",
}


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_it_counts_what_a_hook_is_told_of(text: str) -> None:
    by_hook, error = hooked(text.encode())
    by_itself, same = counted(text.encode())
    assert by_itself == by_hook
    assert error == same
    assert sum(by_hook.values()) > 10


def test_what_another_process_has_made_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "local function f() return tostring(1) end\nX = 1\nreturn f()"
    monkeypatch.setattr(counting, "_given", {})
    dump = compiled(text.encode(), b"@x.lua")
    made = counting.make_counting(dump)
    packed = counting.pack_counting(dump, made)
    counting.take_counting(packed)
    monkeypatch.setattr(counting, "_make_counting", None)  # nobody makes it again
    assert counting.make_counting(dump) == made
    guest = runtime(True)
    told = lines_of(guest, f"load({text!r}, '@x.lua')()")
    assert "@x.lua" in told and told.endswith("\0\0\0\0")


def test_of_what_others_have_made_the_newest_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch sends new code at each save, all day."""
    monkeypatch.setattr(counting, "_given", {})
    dumps = [compiled(f"return {at}".encode(), b"@x.lua") for at in range(100)]
    made = [counting.make_counting(dump) for dump in dumps]
    size = len(made[0].code) + len(made[0].counters)
    monkeypatch.setattr(counting, "MOST_GIVEN", 10 * size)
    for dump, one in zip(dumps, made, strict=True):
        counting.take_counting(counting.pack_counting(dump, one))
    assert list(counting._given.values()) == made[-10:]


@pytest.mark.parametrize("lines", range(246, 258))
def test_what_counting_takes_is_told_for_each_counter(lines: int) -> None:
    """Also where constants must be brought in by registers: 256 fit into an instruction."""
    text = "local n = 0\nfunction f()\n" + "n = n + 1\n" * lines + "end"
    dump = compiled(text.encode())
    made = make_counting(dump)
    before, after = (read_dump(code).inner[0] for code in (dump, made.code))
    of_f = f"{before.first} {before.last}"
    costs = [cost for place, *_way, cost in kinds(made.counters) if place == of_f]
    assert sum(costs) == len(after.code) - len(before.code)
    assert set(costs) == {3 if after.constant_count <= 256 else 5}


def test_what_jumps_over_a_counter_is_told_too() -> None:
    made = make_counting(compiled(b"local n = 0\nwhile n < 3 do\n n = n + 1\nend\nreturn n"))
    assert {cost for *_way, cost in kinds(made.counters)} == {3, 4}


def test_code_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    dump = compiled(b"return 'of a size that no other text here has'")
    monkeypatch.setattr(counting, "LARGEST", len(dump) - 1)
    with pytest.raises(ValueError, match="too large"):
        make_counting(dump)
    monkeypatch.setattr(counting, "LARGEST", len(dump))
    make_counting(dump)


def test_what_the_compiler_allows_may_be_used_to_the_last() -> None:
    """One more of each is taken for counting, and no more."""
    names = ", ".join(f"a{at}" for at in range(199))
    for arguments, fits in ((49, True), (50, False)):
        text = f"local {names}\nreturn f({', '.join(names.split(', ')[:arguments])})"
        dump = compiled(text.encode())
        assert read_dump(dump).registers == 200 + arguments
        if fits:
            make_counting(dump)
        else:
            with pytest.raises(ValueError, match="registers"):
                make_counting(dump)
    outer, inner = (
        tuple(f"{name}{at}" for at in range(many)) for name, many in (("a", 150), ("b", 104))
    )
    text = "".join(f"local {name}\n" for name in outer) + "local function f()\n"
    text += "".join(f"local {name}\n" for name in inner) + "return function()\n"
    text += "".join(f"{name} = 1\n" for name in outer + inner) + "end end\nreturn f"
    make_counting(compiled(text.encode()))


def test_the_limits_of_the_compiler_are_kept() -> None:
    names = [f"a{at}" for at in range(199)]
    text = f"local {', '.join(names)}\nreturn f({', '.join(names[:51])})"
    with pytest.raises(ValueError, match="registers"):
        counting.make_counting(compiled(text.encode()))
    outer = "".join(f"local {name}\n" for name in names[:150])
    more = "".join(f"local b{at}\n" for at in range(105))
    used = "".join(f"a{at} = 1\n" for at in range(150)) + "".join(
        f"b{at} = 1\n" for at in range(105)
    )
    text = f"{outer}local function f()\n{more}return function()\n{used}end end\nreturn f"
    with pytest.raises(ValueError, match="upvalues"):
        counting.make_counting(compiled(text.encode()))


@pytest.mark.parametrize(
    "text",
    [
        "local n = 0\nfor i = 1, 2 do\n" + "n = n + 1\n" * 27_000 + "end",
        "local n = 0\nif n then\n" + "n = n + 1\n" * 27_000 + "end",
        "local n = 0\nfor k in next, {} do\n" + "n = n + 1\n" * 27_000 + "end",
    ],
    ids=["for", "if", "in"],
)
def test_a_jump_that_would_become_longer_than_instructions_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="jump"):
        counting.make_counting(compiled(text.encode()))


def test_more_constants_than_instructions_name_are_refused() -> None:
    dump = compiled(b"local n = 1\nn = 2\nn = 3")
    main = read_dump(dump)
    main.constants *= 100_000
    main.constant_count *= 100_000
    with pytest.raises(ValueError, match="constants"):
        counting.make_counting(write_dump(dump, main))
