"""`host/image.lua`: what is read back is what was saved, to the length of a table with holes."""

from __future__ import annotations

import random
import time
import zlib
from pathlib import Path

import pytest
from replay_harness import Harness
from replay_programs import evaluation, first
from replay_runner import DEFINITION

from aoshell.nodes.local.log.checkpoint import Checkpoint, Checkpoints
from aoshell.nodes.local.log.sealed import DamagedFileError
from aoshell.sandbox import environment, lua
from aoshell.sandbox.lua import LuaRuntime


class Guest:
    """A process in this operating system process."""

    def __init__(self, image: bytes | None = None) -> None:
        self.runtime = LuaRuntime(environment.read_sources(), lambda _text: None)
        self.runtime.boot(DEFINITION)
        if image is None:
            self.runtime.deliver(first())
        else:
            self.runtime.restore(image)
        self._count = 0

    def run(self, code: str) -> str:
        self._count += 1
        error, output, *_ = self.runtime.deliver(evaluation(self._count, code))
        assert not error, error
        return str(output)

    def reopened(self) -> Guest:
        return Guest(self.runtime.image())


def test_state_survives() -> None:
    guest = Guest()
    guest.run("x = { 1, 2, a = { 'deep' } } function double(n) return 2 * n end")
    again = guest.reopened().reopened()
    assert again.run("return x[2] .. x.a[1] .. double(4)") == "2deep8"


VALUES = [
    "nil", "true", "false", "0", "-1", "math.maxinteger", "math.mininteger", "2^53", "0.1", "1e308",
    "5e-324", "1/0", "-1/0", "''", "'\\0\\255'", "('x'):rep(40)", "('x'):rep(41)",
    "('y'):rep(70000)", "-0.0", "3", "3.0",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_values(value: str) -> None:
    guest = Guest()
    guest.run(f"v = {value} t = {{ v, key = v }} if v ~= nil then t[v] = 'under' end")
    show = (
        "local v2 = %s return tostring(v == v2 and t[1] == v2 and t.key == v2 "
        "and (v == nil or t[v2] == 'under') and math.type(v) == math.type(v2) "
        "and string.format('%%s', v) == string.format('%%s', v2))"
    )
    assert guest.reopened().run(show % value) == "true"


def test_not_a_number() -> None:
    guest = Guest()
    guest.run("v = 0/0")
    assert guest.reopened().run("return tostring(v ~= v)") == "true"


SHARED = {
    "a circle": ("t = {} t.t = t t[t] = t", "t.t == t and t[t] == t"),
    "one table by two names": ("a = {} b = { a }", "b[1] == a"),
    "a circle through metatables": (
        "t = {} setmetatable(t, t) t.__index = t",
        "getmetatable(t) == t",
    ),
    "a metatable of many": (
        "m = { __index = function() return 7 end } l = {} "
        "for i = 1, 9 do l[i] = setmetatable({}, m) end",
        "getmetatable(l[9]) == m and l[3].x == 7",
    ),
    "two functions and a variable": (
        "local n = 1 up = function() n = n + 1 return n end get = function() return n end up()",
        "up() == 3 and get() == 3",
    ),
    "a variable of three floors": (
        "local n = 0 function outer() local k = 0 return function() k = k + 1 n = n + 1 "
        "return n * 100 + k end end one, two = outer(), outer() one() two() two()",
        "one() == 402 and two() == 503",
    ),
    "a function that is its own variable": (
        "local function f(n) return n == 0 and 1 or n * f(n - 1) end factorial = f",
        "factorial(5) == 120",
    ),
    "functions as keys": ("k = function() end t = { [k] = 'v' }", "t[k] == 'v' and next(t) == k"),
    "functions of the environment": (
        "p = print t = { [p] = Send }",
        "p == print and t[print] == Send",
    ),
    "a dead coroutine": (
        "c = coroutine.create(print) coroutine.resume(c)",
        "coroutine.status(c) == 'dead' and not coroutine.resume(c)",
    ),
    "a function without an environment": ("f = load('return x', 'f', 't', { x = 5 })", "f() == 5"),
    "varargs and constants": (
        "f = function(...) return select('#', ...) .. 'k' .. 1.5 end",
        "f(1, nil) == '2k1.5'",
    ),
    "255 upvalues": (
        "f = load((function() local s = {} for i = 1, 180 do s[i] = 'local v' .. i .. '=' .. i end "
        "local r = {} for i = 1, 180 do r[i] = 'v' .. i end return table.concat(s, ' ') .. "
        "' return function() return ' .. table.concat(r, '+') .. ' end' end)())()",
        "f() == 16290",
    ),
    "the globals' own metatable": (
        "setmetatable(_G, { __index = function(_, k) return k .. '?' end })",
        "missing == 'missing?'",
    ),
}


@pytest.mark.parametrize("what", SHARED)
def test_what_is_shared_stays_shared(what: str) -> None:
    code, check = SHARED[what]
    guest = Guest()
    guest.run(code)
    again = guest.reopened().reopened()
    assert again.run(f"return tostring({check})") == "true"


HOSTILE = "function() error('hostile') end"
METHODS = ["__index", "__newindex", "__len", "__tostring", "__pairs", "__eq", "__call"]


@pytest.mark.parametrize("where", ["{}", "_G", "Handlers", "Inbox", "string", "ao"])
def test_metamethods_do_not_run_while_it_is_saved(where: str) -> None:
    guest = Guest()
    fields = ", ".join(f"{name} = {HOSTILE}" for name in METHODS)
    guest.run(
        f"mine = {where} M = {{ {fields}, __metatable = 'locked', __name = 'x 0xff' }} "
        "Checks = { raw = rawlen, get = rawget, t = setmetatable } rawset(mine, 'own', 1) "
        "Checks.t(mine, M)"
    )
    again = guest.reopened()
    assert again.run("return getmetatable(mine) .. Checks.get(mine, 'own')") == "locked1"


def test_scripts_do_not_run_while_it_is_saved() -> None:
    guest = Guest()
    guest.run(
        "ran = 0 local function bad() ran = ran + 1 error('no') end "
        "for _, library in pairs { string, table, math } do "
        "for name in pairs(library) do library[name] = bad end end "
        "tostring, next, type, error, load = bad, bad, bad, bad, bad"
    )
    assert guest.reopened().run("return ran") == "0"


def test_a_finalizer_that_was_none_is_none() -> None:
    """`__gc` put into a metatable later has no effect in Lua; nor may it have any afterwards."""
    guest = Guest()
    guest.run("ran = 0 m = {} t = setmetatable({}, m) m.__gc = function() ran = ran + 1 end")
    again = guest.reopened()
    again.run("t = nil")
    again.runtime._host.raw.collectgarbage()
    assert again.run("return ran") == "0"


TAKEN_APART = {
    "Handlers": "Handlers = nil",
    "math": "math = nil",
    "ao.send": "ao.send = function() return 'mine' end",
    "string.upper": "string.upper = nil string.mine = 1",
    "Inbox": "Inbox = nil Errors = nil",
    "modules": "for k in pairs(package.loaded) do package.loaded[k] = nil end package = nil",
    "print": "print = nil Prompt = nil Colors = nil",
}


@pytest.mark.parametrize("what", TAKEN_APART)
def test_a_changed_environment_stays_changed(harness: Harness, what: str) -> None:
    codes = [TAKEN_APART[what], "x = (x or 0) + 1", "return x", "return tostring(ao and ao.send)"]
    messages = [first(), *(evaluation(at, code) for at, code in enumerate(codes, 1))]
    live = harness.agree(messages, [1, 2, 3])
    assert all(live.images.values())


# Sizes of tables ---------------------------------------------------------------------------------


HOLED = [
    "{ 1, nil, 3 }", "{ nil, nil, 3 }", "{ n = 1, 1, nil, nil, 4 }", "table.pack(1, nil, 3, nil)",
    "table.pack(table.unpack({}, 1, 19))", "{ table.unpack({ 1, nil, 3 }, 1, 33) }",
    "(function() local t = {} for i = 1, 16 do t[i] = i end for i = 5, 16 do t[i] = nil end "
    "return t end)()",
    "(function() local t = {} for i = 16, 1, -1 do t[i] = i end t[8] = nil return t end)()",
    "(function() local t = {} for i = 1, 100 do t[i] = i end for i = 2, 100, 3 do t[i] = nil end "
    "return t end)()",
    "(function() local t = { 1, 2, 3, 4 } t[4] = nil t[3] = nil t.x = 1 t.y = 2 return t end)()",
    "{ [1] = 1, [2] = 2, [4] = 4 }", "{ [2^40] = 1, [1] = 1 }", "{}", "{ nil }", "{ a = nil }",
]  # fmt: skip


def test_lengths_with_holes(harness: Harness) -> None:
    """As saved, and as they go on when the tables grow further."""
    each = "for n, t in ipairs(all) do %s print(n .. ': ' .. #t) end"
    grow = "for i = 1, 60 do t[i * 7 % 61] = i if i % 4 == 0 then t['k' .. i] = i end print(#t) end"
    made = f"all = {{}} {' '.join(f'all[#all + 1] = {holed}' for holed in HOLED)} "
    steps = (grow, "t[#t + 1] = 'end'")
    codes = [made + each % "", each % "", *(each % step for step in steps)]
    messages = [first(), *(evaluation(at, code) for at, code in enumerate(codes, 1))]
    live = harness.agree(messages, [1, 2, 3])
    assert all(live.images.values())
    assert f"{len(HOLED)}: " in live.slots[2][1][1]


def test_lengths_of_the_environments_tables(harness: Harness) -> None:
    """They existed in the fresh runtime, with other sizes."""
    names = ["Inbox", "Errors", "Handlers.list", "ao.assignables", "Colors"]
    fills = {"Handlers.list": "{ name = 'n', pattern = function() end }"}
    said = " ".join(f"print(#{name})" for name in names)
    longer = (
        f"t = {name} for i = #t + 1, 12 do t[i] = {fills.get(name, repr('x'))} end"
        for name in names
    )
    shorter = (f"t = {name} for i = 4, 12 do t[i] = nil end t[2] = nil" for name in names)
    codes = [f"local t {' '.join(longer)} {said}", f"local t {' '.join(shorter)} {said}", said]
    messages = [first(), *(evaluation(at, code) for at, code in enumerate(codes, 1))]
    live = harness.agree(messages, [1, 2, 3])
    assert all(live.images.values())


def test_sizes_are_read_as_lua_makes_them() -> None:
    """What `lua._table_sizes` reads out of memory, against tables of known sizes."""
    guest = Guest()
    host = guest.runtime._host
    made = {
        "{}": (0, 0),
        "{ 1, 2, 3 }": (3, 0),
        "{ a = 1 }": (0, 1),
        "{ 1, 2, a = 1, b = 2, c = 3 }": (2, 3),
        "{ nil, nil }": (2, 0),
        "setmetatable({ 1 }, {})": (1, 0),
    }
    for text, (slots, nodes) in made.items():
        table = host.raw.load(f"return {text}")()
        name = host.raw.tostring(table)
        data = lua._table_sizes(name).encode("latin-1")
        assert (int.from_bytes(data[:4], "little"), data[4]) == (slots, nodes), text


# What cannot be saved ----------------------------------------------------------------------------


REFUSED = {
    "a coroutine is suspended": [
        "c = coroutine.create(function() coroutine.yield() end) coroutine.resume(c)",
        "c = coroutine.create(print)",
        "Receive({ Action = 'Never' })",
        "coroutine.yield()",
    ],
    "a function of the host is part of the state": [
        "f = pairs({})", "f = ipairs({})", "f = coroutine.wrap(print)", "f = ('x'):gmatch('.')",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "reason"), [(code, why) for why, codes in REFUSED.items() for code in codes]
)
def test_what_cannot_be_saved_is_refused(code: str, reason: str) -> None:
    guest = Guest()
    guest.run(code)
    with pytest.raises(ValueError, match=reason):
        guest.runtime.image()


def test_what_is_over_can_be_saved_again() -> None:
    guest = Guest()
    guest.run("c = coroutine.create(function() coroutine.yield() end) coroutine.resume(c)")
    with pytest.raises(ValueError, match="suspended"):
        guest.runtime.image()
    guest.run("coroutine.resume(c)")
    assert guest.reopened().run("return coroutine.status(c)") == "dead"


# Damage ------------------------------------------------------------------------------------------


def test_a_truncated_image_is_refused() -> None:
    guest = Guest()
    guest.run("x = { 1, 2, { a = 'b' } } f = function() return x end")
    image = guest.runtime.image()
    for length in [*range(0, 64), *range(64, len(image), 997), len(image) - 1]:
        with pytest.raises(ValueError):
            Guest(image[:length])


def test_a_checkpoint_that_has_changed_is_refused(tmp_path: Path) -> None:
    """Images hold bytecode, which nothing checks: the file's digest stands before them."""
    guest = Guest()
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    image = zlib.compress(guest.runtime.image(), 1)
    checkpoints.write("P", "E", Checkpoint(3, 2, "mark", image))
    (file,) = (tmp_path / "checkpoints").iterdir()
    good = file.read_bytes()
    draw = random.Random(1)
    for _ in range(200):
        bad = bytearray(good)
        bad[draw.randrange(len(bad))] ^= 1 << draw.randrange(8)
        file.write_bytes(bad)
        try:
            read = checkpoints.read("P", "E")
        except DamagedFileError:
            continue
        # What is left is a number in the header that nothing depends on but where replay begins.
        assert read is not None and read.image == image, bytes(bad[:200])
    file.write_bytes(good)
    found = checkpoints.read("P", "E")
    assert found is not None and (found.seq, found.slot, found.image) == (3, 2, image)


def test_an_image_of_another_environment_is_refused() -> None:
    image = Guest().runtime.image()
    sources = environment.read_sources()
    again = sources[".process"].replace(
        'kept.module(".process", {', 'kept.module(".process", { more = function() end,', 1
    )
    assert again != sources[".process"]
    sources[".process"] = again
    runtime = LuaRuntime(sources, lambda _text: None)
    runtime.boot(DEFINITION)
    with pytest.raises(ValueError, match="another environment"):
        runtime.restore(image)


# Size --------------------------------------------------------------------------------------------


def test_a_large_state(capsys: pytest.CaptureFixture[str]) -> None:
    guest = Guest()
    guest.run(
        "rows = {} for i = 1, 50000 do rows['key' .. i] = { id = i, name = 'name ' .. i, "
        "amount = i / 7, tags = { 'a', 'b' } } end"
    )
    start = time.perf_counter()
    image = guest.runtime.image()
    saved = time.perf_counter()
    again = Guest(image)
    restored = time.perf_counter()
    with capsys.disabled():
        print(
            f"\n50,000 rows: {len(image) >> 10} KB, saved in {1000 * (saved - start):.0f} ms, "
            f"read in {1000 * (restored - saved):.0f} ms"
        )
    assert again.run("return rows.key777.name .. rows.key50000.tags[2]") == "name 777b"


def test_a_process_near_its_memory_limit_can_be_reopened() -> None:
    """Reading may use twice the limit, as the worker allows it."""
    limit = 24 << 20
    guest = Guest()
    guest.runtime.limit_memory(limit)
    guest.run("t = {}")
    while guest.runtime.memory < 0.9 * limit:
        guest.run("for i = 1, 2000 do t[#t + 1] = { a = i, b = 'text ' .. #t } end")
    rows = guest.run("return #t")
    image = guest.runtime.image()
    runtime = LuaRuntime(environment.read_sources(), lambda _text: None)
    runtime.boot(DEFINITION)
    runtime.limit_memory(2 * limit)
    runtime.restore(image)
    runtime.limit_memory(limit)
    assert runtime.deliver(evaluation(1, "return #t"))[1] == rows
