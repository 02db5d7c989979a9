"""Watching a guest changes neither what it sees nor its results."""

from __future__ import annotations

import pytest
from sandbox_guest import definition, eval_message, first_message

from aoshell.sandbox import environment, lua, watch
from aoshell.sandbox.runtime import OutOfMemoryError

MEMORY = 128 << 20
MODES = [None, False, True]  # not made to be watched; instructions; lines too

SCRIPTS = [
    "local s = 0 for i = 1, 1000 do s = s + i end return s",
    "local function f(n) if n < 1 then error('x') end return 1 + f(n - 1) end return pcall(f, 9)",
    "return pcall(pcall)",
    "return pcall(xpcall, error)",
    "return xpcall(error, function(e) return tostring(e) end, 1)",
    "return pcall(coroutine.create, 1)",
    "return pcall(coroutine.resume, 1)",
    "return pcall(load, nil)",
    "return load('x = = 1', '@a.lua')",
    "return load('return 1', '@a.lua')()",
    "local co = coroutine.wrap(function() error('gone') end) return pcall(co)",
    "local co = coroutine.create(function() coroutine.yield(1) error({}) end) "
    "return coroutine.resume(co), coroutine.resume(co), coroutine.resume(co)",
    "local function tail(n) if n == 0 then return debug.traceback('a') end return tail(n - 1) end "
    "return tail(50)",
    "return tostring(coroutine.create), tostring(print), tostring(pcall)",
    "return debug.sethook, debug.gethook, debug.getregistry, debug.getupvalue",
    "local i = debug.getinfo(coroutine.create) return i.what .. i.source .. i.linedefined",
    "local t, n = {}, 0 for i = 1, 9 do t[{}] = i end for _, v in pairs(t) do n = n + v end "
    "return n",
    "local function f() return f() + 1 end return pcall(f)",
    "return select('#', pcall(table.unpack, {}, 1, 5000))",
    "local function f() return coroutine.create() end local y = f()",
    "local a = setmetatable({}, { __index = function() return coroutine.yield end }) return a.b",
    "return string.format('%d', 'x')",
    "local ok, e = pcall(string.rep) return e",
    "return (string.gsub('hello', 'l', function(c) return error('in gsub') end))",
    "table.sort({ 3, 2, 1 }, function() error('in sort') end)",
]


def runtime(mode: bool | None, memory: int = MEMORY) -> lua.LuaRuntime:
    made = lua.LuaRuntime(environment.read_sources(), lambda _text: None, watched=mode is not None)
    if mode is not None:
        made.watch(lines=mode)
    made.limit_memory(memory)
    made.boot(definition())
    made.deliver(first_message())
    return made


@pytest.mark.parametrize("code", SCRIPTS)
def test_a_guest_sees_the_same(code: str) -> None:
    message = eval_message(code)
    plain, counted, noted = (runtime(mode).deliver(message) for mode in MODES)
    assert plain == counted == noted


@pytest.mark.parametrize("code", SCRIPTS)
def test_instructions_are_the_same_in_each_run_with_and_without_lines(code: str) -> None:
    message = eval_message(code)
    counts = set()
    for mode in (False, False, True):
        made = runtime(mode)
        made.deliver(message)
        counts.add(made.gas_used)
    # How often keys are compared that are sorted depends on where they lie in memory; where a stack
    # is full, the hook needs room on it, too.
    assert len(counts) == 1 or "t[{}]" in code or "f() + 1" in code
    assert counts.pop() > 100


def test_as_many_calls_within_calls_fit_on_the_stack() -> None:
    """700 thousand calls of a function of one register; the stack holds a million values."""
    file = "local n = 0\nlocal function f()\n  n = n + 1\n  if n < 700000 then\n    return f() + 1 "
    file += "end\n  return n\nend\nreturn f()"
    message = eval_message(f"return load({file!r}, '@deep.lua')()")
    found = []
    for mode in MODES:
        made = runtime(mode)
        found.append((made.deliver(message), made.gas_used))
    plain, counted, noted = found
    assert plain[0] == counted[0] and counted == noted
    assert "1399999" in plain[0][1]


def test_a_loop_takes_three_instructions_a_turn_and_coroutines_count() -> None:
    """The instructions of a loop as luac lists them: two sums, and the loop."""

    def taken(code: str) -> int:
        made.deliver(eval_message(code))
        return made.gas_used

    made = runtime(False)
    loop = "local s, t = 0, 0 for i = 1, {} do s = s + i t = t + i end"
    assert 30_000 <= taken(loop.format(11_000)) - taken(loop.format(1_000)) < 30_200
    inside = f"local f = coroutine.wrap(function() {loop} end) f()"
    assert 30_000 <= taken(inside.format(11_000)) - taken(inside.format(1_000)) < 30_200
    many = "for i = 1, {} do coroutine.wrap(function() for i = 1, 100 do end end)() end"
    for count in (10, 2_000):  # more than are kept at a time
        each = (taken(many.format(2 * count)) - taken(many.format(count))) / count
        assert 100 < each < 400


def test_what_a_coroutine_of_an_earlier_message_does_counts() -> None:
    made = runtime(False)
    made.deliver(
        eval_message(
            "co = coroutine.create(function() for i = 1, 3 do coroutine.yield() "
            "for j = 1, 10000 do end end end) coroutine.resume(co)"
        )
    )
    made.deliver(eval_message("return 1"))
    least = made.gas_used
    made.deliver(eval_message("coroutine.resume(co)"))
    assert 10_000 < made.gas_used - least < 11_000


def lines_of(made: lua.LuaRuntime, code: str) -> str:
    made.deliver(eval_message(code))
    return made.watched_lines()


def test_lines_of_a_message_are_told_once() -> None:
    made = runtime(True)
    file = "load('local a = 1\\nfunction g()\\n  return a\\nend', '@x.lua')()"
    assert "@x.lua" in lines_of(made, file)
    assert "@x.lua" not in lines_of(made, "return 1")
    assert "@x.lua" in lines_of(made, "return g()")


def test_code_without_a_file_is_not_told() -> None:
    made = runtime(True)
    for name in ("=x.lua", "x.lua", "@.handlers", "@.process"):
        code = f"load('function g() return 1 end g()', {name!r})()"
        assert lines_of(made, code) == "", name
    long = "'@' .. string.rep('x', 501)"
    assert lines_of(made, f"load('function g() return 1 end g()', {long})()") == ""


def test_more_than_is_noted_is_said() -> None:
    made = runtime(True)
    code = "for i = 1, {} do load('function g() end', '@' .. i)() end"
    assert lines_of(made, code.format(100))[-4:] == "\0\0\0\0"
    assert lines_of(made, code.format(6_000))[-4:] == "\1\0\0\0"


@pytest.mark.parametrize("mode", MODES)
def test_memory_stays_bounded(mode: bool | None) -> None:
    made = runtime(mode, 16 << 20)
    with pytest.raises(OutOfMemoryError):
        made.deliver(
            eval_message("local t = {} for i = 1, 200 do t[i] = string.rep('x', i << 20) end")
        )
    assert made.memory <= (16 << 20) + watch.ROOM


def test_a_checkpoint_is_taken_over_by_a_runtime_that_is_not_watched() -> None:
    watched, other = runtime(True), runtime(None)
    watched.deliver(eval_message("N = 5 function double() return 2 * N end"))
    image = watched.image()
    for mode in MODES:
        fresh = lua.LuaRuntime(
            environment.read_sources(), lambda _text: None, watched=mode is not None
        )
        if mode is not None:
            fresh.watch(lines=mode)
        fresh.boot(definition())
        fresh.restore(image)
        assert fresh.deliver(eval_message("return double()"))[1] == "10"
    other.deliver(eval_message("return 1"))
    assert other.gas_used == 0


def test_what_an_image_brings_back_counts_again() -> None:
    made = runtime(True)
    file = "load('N = 0\\nfunction g()\\n  N = N + 1\\n  return N\\nend g()', '@x.lua')()"
    made.deliver(eval_message(file))
    made.deliver(eval_message("local t = { kinds = 'x' } function mine() return t.kinds end"))
    image = made.image()
    fresh = lua.LuaRuntime(environment.read_sources(), lambda _text: None, watched=True)
    fresh.watch(lines=True)
    fresh.boot(definition())
    fresh.restore(image)
    made.limit_memory(MEMORY)
    assert lines_of(fresh, "return g()") == lines_of(made, "return g()")
    assert fresh.deliver(eval_message("return N .. mine()"))[1] == "2x"


@pytest.mark.parametrize(
    "attack",
    [
        "string.unpack = nil string.pack = nil string.byte = error string.sub = error",
        "table.concat = error next = error type = error rawget = error tostring = error",
        "coroutine.create = error coroutine.resume = error coroutine.running = error",
        "Handlers = setmetatable({}, { __index = error })",
        "Handlers.list = setmetatable({}, { __len = error, __index = error })",
        "Handlers.list[1] = setmetatable({}, { __index = error })",
        "package.loaded['.handlers'] = nil",
        "debug = nil",
    ],
)
def test_a_guest_cannot_reach_what_watches_it(attack: str) -> None:
    made = runtime(True)
    made.deliver(eval_message(attack))
    made.watched_lines()
    steps = made.gas_used
    assert steps > 100
    code = "load('local a = 1\\nreturn a', '@y.lua')()"
    assert "@y.lua" in lines_of(made, code) or attack.startswith(("table", "string", "Handlers"))


def test_the_counter_is_found_not_assumed() -> None:
    assert watch._counter_offset() % 4 == 0
