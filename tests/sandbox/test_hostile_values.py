"""Values that a guest leaves for the host to read, and deep nesting and recursion."""

# ruff: noqa: E501 — an attack reads best in one piece
from __future__ import annotations

import contextlib

import pytest
from sandbox_guest import Cut, Guest

from aoshell.nodes.local.log.form import FlatResult, check_result
from aoshell.sandbox.frames import FrameError

# Errors -----------------------------------------------------------------------------------------

ERROR_OBJECTS = {
    "__tostring raises": "setmetatable({}, {__tostring = function() error('deep') end})",
    "__tostring raises itself": "(function() local e e = setmetatable({}, {__tostring = "
    "function() error(e) end}) return e end)()",
    "__tostring is no text": "setmetatable({}, {__tostring = function() return {} end})",
    "__tostring is no function": "setmetatable({}, {__tostring = 5})",
    "__index raises": "setmetatable({}, {__index = function() error('x') end})",
    "__pairs raises": "setmetatable({}, {__pairs = function() error('x') end})",
    "__pairs is nothing": "setmetatable({}, {__pairs = function() end})",
    "__name": "setmetatable({}, {__name = ('n'):rep(1e5)})",
    "__name is a table": "setmetatable({}, {__name = {}})",
    "hidden metatable": "setmetatable({}, {__metatable = false})",
    "metatable of its own": "(function() local t = {} return setmetatable(t, t) end)()",
    "circle": "(function() local t = {} t[1] = t return t end)()",
    "nil": "nil",
    "function": "print",
    "coroutine": "coroutine.create(print)",
    "number": "0/0",
    "long": "('x'):rep(20 << 20)",
    "bytes": "'\\0\\255\\27[2J'",
}


@pytest.mark.parametrize("raised", ERROR_OBJECTS)
def test_whatever_is_raised_becomes_text(raised: str) -> None:
    guest = Guest(memory=256 << 20)
    for code in (
        f"error({ERROR_OBJECTS[raised]}, 0)",
        f"coroutine.wrap(function() error({ERROR_OBJECTS[raised]}, 0) end)()",
        f"ao.outbox.Error = {ERROR_OBJECTS[raised]} or 'nothing'",
        f"Prompt = function() error({ERROR_OBJECTS[raised]}, 0) end error('prompt')",
    ):
        assert guest.eval(code).error, code
    assert guest.is_well()


def test_control_the_text_of_an_error_runs_its_own_code() -> None:
    """Unguarded, what __tostring raises takes the place of the result."""
    cut: Cut = (
        "local ok, text = pcall(own and tostring or stringify.format, value)",
        "local ok, text = true, tostring(value)",
    )
    code = f"error({ERROR_OBJECTS['__tostring raises']})"
    assert "cannot be shown" in Guest().eval(code).error
    assert "cannot be shown" not in Guest(cut).eval(code).error


# The outbox -------------------------------------------------------------------------------------

LENGTHS = ["1e9", "0/0", "-5", "'x'", "math.huge", "2^53", "{}"]
LIST = (
    "setmetatable({{}}, {{__len = function() return {} end, __index = function() return {{}} end}})"
)
RISING = (
    "(function() local n = 0 return setmetatable({}, {__len = function() n = n + 1 return n end,"
    " __index = function() return {Target = 'a', name = 'n', value = 'v'} end}) end)()"
)
OUTBOXES = [
    *(f"ao.outbox.{part} = {LIST.format(n)}" for n in LENGTHS for part in ("Messages", "Spawns")),
    *(f"ao.outbox.Assignments = {{{{Message = 'm', Processes = {LIST.format(n)}}}}}" for n in LENGTHS),
    *(f"ao.outbox.Messages = {{{{Tags = {LIST.format(n)}}}}}" for n in LENGTHS),
    f"ao.outbox.Messages = {RISING}",
    f"ao.outbox.Messages = {{{{Tags = {RISING}}}}}",
    f"ao.outbox.Assignments = {{{{Message = 'm', Processes = {RISING}}}}}",
    "ao.outbox.Messages = setmetatable({{}}, {__index = function() error('x') end})",
    "ao.outbox = setmetatable({}, {__index = function() return 5 end})",
    "ao.outbox = setmetatable({}, {__index = function() error('x') end})",
    "ao.outbox = nil",
    "ao.outbox = 5",
    "ao.outbox = print",
    "ao.outbox.Error = print",
    *(f"ao.outbox.Messages = {value}" for value in ("5", "'x'", "print", "{5}", "{{Tags = 5}}")),
    *(f"ao.outbox.Messages = {{{{Tags = {{{tag}}}}}}}" for tag in ("5", "{}", "{name = {}}")),
    *(
        f"ao.outbox.Messages = {{{{{field} = {value}}}}}"
        for field in ("Target", "Data", "Anchor")
        for value in ("{}", "print", "setmetatable({}, {__tostring = function() return 'x' end})")
    ),
    "ao.outbox.Messages = {{Target = 5, Data = 0/0, Anchor = true}}",
    "ao.outbox.Messages = {{Tags = {{name = 1, value = false}}}}",
    "ao.outbox.Assignments = {{Message = {}, Processes = {}}}",
    "ao.outbox.Assignments = {{Message = 'm', Processes = {{}}}}",
    "Prompt = function() return {} end",
    "Prompt = setmetatable({}, {__call = function() error('x') end})",
    "require('.process').handle = function() return 5 end",
    "require('.process').handle = function() return {Resumed = {{}}} end",
    "require('.process').handle = function() return {Output = {data = {}}} end",
    "require('.process').handle = function() error(setmetatable({}, {__tostring = error})) end",
    "require('.process').handle = nil",
]  # fmt: skip


@pytest.mark.parametrize("code", OUTBOXES)
def test_what_is_put_into_the_outbox_is_a_result_or_an_error(code: str) -> None:
    guest = Guest()
    guest.eval(code)
    guest.eval("return 1")


def test_control_a_list_can_lie_about_its_length() -> None:
    cut: Cut = ("local count = rawlen(value)", "local count = #value")
    result = Guest(cut).deliver("ao.outbox.Messages = " + LIST.format("-5"))
    with pytest.raises(FrameError):
        check_result(False, FlatResult.of(result))


BOMBS = {
    "messages": "for i = 1, 1e5 do ao.outbox.Messages[i] = {Target = 'x'} end",
    "spawns": "for i = 1, 1e5 do ao.outbox.Spawns[i] = {Data = 'x'} end",
    "assignments": "for i = 1, 2e5 do ao.outbox.Assignments[i] = {Message = 'm'} end",
    "one assignment": "local p = {} for i = 1, 1e6 do p[i] = 'p' end\n"
    "ao.outbox.Assignments[1] = {Message = 'm', Processes = p}",
    "tags": "local t = {} for i = 1, 2e5 do t[i] = {name = 'n', value = 'v'} end\n"
    "ao.outbox.Messages[1] = {Tags = t}",
    "data": "ao.outbox.Messages[1] = {Data = ('x'):rep((10 << 20) + 1)}",
    "data in all": "for i = 1, 4 do ao.outbox.Messages[i] = {Data = ('x'):rep(9 << 20)} end",
    "shared data": "local d = ('x'):rep(1 << 20)\n"
    "for i = 1, 1000 do ao.outbox.Messages[i] = {Data = d} end",
    "output": "print(('x'):rep(11 << 20))",
    "value": "return ('x'):rep(11 << 20)",
    "prompt": "Prompt = function() return ('x'):rep(11 << 20) end",
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_result_has_bounds(what: str) -> None:
    guest = Guest(memory=512 << 20)
    answer = guest.eval(BOMBS[what])
    assert "larger than" in answer.error or "too long" in answer.error
    assert len(answer.wire) == 5
    assert len(answer.error) < 200


def test_control_without_bounds_a_result_fills_memory() -> None:
    cuts: tuple[Cut, ...] = (
        ("MAX_TEXT, MAX_RESULT = 10 << 20, 32 << 20", "MAX_TEXT, MAX_RESULT = 1 << 62, 1 << 62"),
        ("MAX_FIELDS = 200000", "MAX_FIELDS = 1 << 62"),
    )
    guest = Guest(*cuts, memory=512 << 20)
    assert len(guest.eval(BOMBS["output"]).output) == 11 << 20
    assert len(guest.eval(BOMBS["messages"]).wire) > 200_000


def test_ten_megabytes_of_data_pass() -> None:
    guest = Guest(memory=512 << 20)
    answer = guest.eval(
        "Send({Target = 'x', Data = ('x'):rep(10 << 20)}) print(('y'):rep(9 << 20))"
    )
    assert not answer.error
    assert len(answer.output) >= 9 << 20


def test_an_error_behind_too_much_output_is_told() -> None:
    guest = Guest(memory=512 << 20)
    answer = guest.eval("print(('x'):rep(11 << 20)) error('the reason', 0)")
    assert answer.error.endswith("the reason")
    assert len(answer.error) == 10 << 20


def test_a_long_print_is_cut_before_it_leaves_lua() -> None:
    guest = Guest(memory=512 << 20)
    guest.deliver("print(('x'):rep(30 << 20))")
    assert [len(text) for text in guest.printed] == [1 << 20]
    uncut = Guest(("if #text > MAX_PRINT then", "if false then"), memory=512 << 20)
    uncut.deliver("print(('x'):rep(30 << 20))")
    assert [len(text) for text in uncut.printed] == [30 << 20]


# The guest's own world, taken apart ---------------------------------------------------------------

SABOTAGE = {
    "globals are gone": "local keys = {} for k in pairs(_G) do keys[#keys + 1] = k end\n"
    "local owner = Owner for i = 1, #keys do _G[keys[i]] = nil end Owner = owner",
    "globals raise": "local error = error local bad = function() error('mine') end\n"
    "for k, v in pairs(_G) do if type(v) == 'function' then _G[k] = bad end end",
    "libraries raise": "local error = error local bad = function() error('mine') end\n"
    "for _, lib in pairs({string, table, math, coroutine, utf8, os, debug}) do\n"
    "for k in pairs(lib) do lib[k] = bad end end",
    "libraries are gone": "string, table, math, coroutine, utf8, os, debug = nil",
    "modules are gone": "for k in pairs(package.loaded) do package.loaded[k] = nil end",
    "package is gone": "package = nil",
    "host is replaced": "package.loaded['.host'] = {} require = error",
    "host raises": "require('.host').emit = error",
    "_G refuses": "setmetatable(_G, {__index = function(_, k) error('no ' .. k) end, "
    "__newindex = function() error('no') end})",
    "Handlers and ao": "ao, Handlers, Utils, json, Inbox, Errors = nil",
    "ao is hostile": "for k in pairs(ao) do if k ~= 'id' then ao[k] = print end end",
    "Handlers are hostile": "Handlers.list = setmetatable({}, {__len = function() return -1 end})",
    "colours": "Colors.red = setmetatable({}, {__concat = error}) Colors.green = nil",
    "modules return": "for name in pairs(package.loaded) do\n"
    "if name:sub(1, 1) == '.' then package.loaded[name] = nil pcall(require, name) end end",
}


@pytest.mark.parametrize("what", SABOTAGE)
def test_a_process_that_is_taken_apart_still_gives_results(what: str) -> None:
    """Its answers may be wrong; the host gets results, and can save and undo."""
    guest = Guest()
    guest.eval(SABOTAGE[what])
    for code in ("return 1 + 1", "error('x')", "Send({Target = 'x'})", "print('y')"):
        guest.eval(code)
    guest.runtime.failed("what was undone")
    guest.runtime.image()


def test_a_healthy_process_survives_most_of_it() -> None:
    for what in ("libraries are gone", "modules are gone", "package is gone", "globals raise"):
        guest = Guest()
        guest.eval(SABOTAGE[what])
        assert guest.is_well(), what


# Where no time limit holds, no code of a guest's may run -------------------------------------------

HOOKS = {
    "Errors' length": "Errors = setmetatable({}, {__len = function() hit = true return 0 end})",
    "Errors' elements": "Errors = setmetatable({}, {__newindex = function() hit = true end})",
    "_G": "Errors = nil setmetatable(_G, {__index = function(_, k)\n"
    "if k == 'Errors' then rawset(_G, 'hit', true) end end})",
    "_G's new names": "Errors = nil setmetatable(_G, {__newindex = function(_, k)\n"
    "if k == 'Errors' then rawset(_G, 'hit', true) end end})",
    "process": "require('.process').failed = function() hit = true end",
    "failure": "require('.failure').reason = function(t) hit = true return t end",
    "string": "for k in pairs(string) do local f = string[k] string[k] = function(...)\n"
    "rawset(_G, 'hit', true) return f(...) end end",
    "table": "for k in pairs(table) do local f = table[k] table[k] = function(...)\n"
    "rawset(_G, 'hit', true) return f(...) end end",
    "tostring": "local f = tostring tostring = function(x) rawset(_G, 'hit', true) return f(x) end",
    "__tostring and __name": "x = setmetatable({}, {__tostring = function() hit = true return '' end})",
}
UNGUARDED: dict[str, tuple[Cut, ...]] = {
    "Errors' length": (("if type(errors) ~= \"table\" or getmetatable(errors) ~= nil then",
                        "if type(errors) ~= \"table\" then"),),
    "_G": (('local errors = rawget(_G, "Errors")', "local errors = Errors"),),
    "_G's new names": (('rawset(_G, "Errors", errors)', "Errors = errors"),),
    "process": (("function H.failed(text) failed(text) end",
                 "function H.failed(text) process.failed(text) end"),),
    "failure": (("append_bounded(errors, reason_of(text), MAX_ERRORS)",
                 "append_bounded(errors, failure.reason(text), MAX_ERRORS)"),),
    "string": (("put_table(object, sub(sizes, at, at + SIZE - 1))",
                "put_table(object, sizes:sub(at, at + SIZE - 1))"),),
}  # fmt: skip


def hit(guest: Guest, what: str) -> bool:
    guest.eval(HOOKS[what] + "\nhit = nil t = {1, 2, {3}}")
    guest.runtime.failed("what was undone")
    with contextlib.suppress(ValueError):
        guest.runtime.image()
    return guest.eval("return rawget(_G, 'hit') and 'hit' or 'nothing'").output == "hit"


@pytest.mark.parametrize("what", HOOKS)
def test_undoing_and_saving_run_no_code_of_the_guests(what: str) -> None:
    assert not hit(Guest(), what)


@pytest.mark.parametrize("what", UNGUARDED)
def test_control_unguarded_they_do(what: str) -> None:
    assert hit(Guest(*UNGUARDED[what]), what)


# Depth ------------------------------------------------------------------------------------------

DEEP = {
    "function": "local function f() depth = depth + 1 return 1 + f() end f()",
    "pcall": "local function f() depth = depth + 1 return pcall(f) end f() error('end')",
    "error in pcall": "local function f() depth = depth + 1 local ok, e = pcall(f) error(e) end f()",
    "xpcall": "local function f() depth = depth + 1 return xpcall(f, f) end f() error('end')",
    "handler": "xpcall(error, function(e) depth = depth + 1 error(e) end) error('end')",
    "gsub": "local function f() depth = depth + 1 return ('x'):gsub('.', f) end f()",
    "sort": "local function f() depth = depth + 1 table.sort({1, 2, 3}, f) end f()",
    "__index": "local t t = setmetatable({}, {__index = function(_, k) depth = depth + 1 "
    "return t[k + 1] end}) return t[1]",
    "__index chain": "local t = {} for i = 1, 5000 do depth = i t = setmetatable({}, {__index = t}) "
    "end return t.x",
    "__tostring": "local t t = setmetatable({}, {__tostring = function() depth = depth + 1 "
    "return tostring(t) end}) return tostring(t)",
    "__concat": "local t t = setmetatable({}, {__concat = function(a, b) depth = depth + 1 "
    "return a .. b end}) return t .. t",
    "__call": "local t = print for i = 1, 5000 do depth = i t = setmetatable({}, {__call = t}) end t()",
    "__len": "local t t = setmetatable({}, {__len = function() depth = depth + 1 return #t end}) return #t",
    "coroutines": "local function f() depth = depth + 1 return coroutine.wrap(f)() end f()",
    "coroutines in pcall": "local function f() depth = depth + 1 return pcall(coroutine.wrap(f)) end "
    "f() error('end')",
    "load": "local function f() depth = depth + 1 return load(f) end load(f) error('end')",
    "parser": "depth = 1e4 assert(load('return ' .. ('('):rep(1e4) .. '1' .. (')'):rep(1e4)))",
    "parser's blocks": "depth = 1e4 assert(load(('do '):rep(1e4) .. ('end '):rep(1e4)))",
    "pattern": "depth = 1e6 return (('x'):rep(1e6)):find(('(x'):rep(40) .. (')'):rep(40))",
    "pattern's recursion": "depth = 1e6 return (('x'):rep(1e6)):find('.-' .. ('x?'):rep(1e5) .. 'y')",
    "json": "depth = 1e5 return json.decode(('['):rep(1e5))",
    "json out": "local t = {} for i = 1, 1e5 do depth = i t = {t} end return json.encode(t)",
    "shown": "local t = {} for i = 1, 1e3 do depth = i t = {t} end error(t)",
    "unpack": "depth = 1e7 return select('#', table.unpack({}, 1, 1e7))",
    "arguments": "depth = 1e6 return string.char(table.unpack((function() local t = {}\n"
    "for i = 1, 1e6 do t[i] = 65 end return t end)()))",
    "concat of arguments": "depth = 1e6 return math.max(table.unpack({}, 1, 1e6))",
}  # fmt: skip


@pytest.mark.parametrize("what", DEEP)
def test_depth_is_an_error(what: str) -> None:
    guest = Guest(memory=256 << 20)
    guest.eval("depth = 0")
    assert guest.eval(DEEP[what]).error
    # The attack did get deep: more than the 200 C calls that Lua allows, or what they let through.
    assert float(guest.eval("return depth").output) > 20
    assert guest.is_well()
