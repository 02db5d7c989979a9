"""Attacks from a guest. Each returns "escaped" if it succeeds; its control shows that it can."""

# ruff: noqa: E501 — an attack reads best in one piece
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lupa import lua53
from sandbox_guest import Cut, Guest

from aoshell.sandbox.lua import VERSIONS
from aoshell.sandbox.runtime import OutOfMemoryError

# Guards, and what a control puts in their place ------------------------------------------------

OS: Cut = ("_G.os = {", "local _ = {")
IO: Cut = ('{ "python", "io", "dofile",', '{ "python", "dofile",')
FILES: Cut = ('"io", "dofile", "loadfile", "print" }', '"print" }')
PYTHON: Cut = ('{ "python", "io",', '{ "io",')
DEBUG: Cut = ("_G.debug = {", "local _ = {")
PACKAGE: Cut = ("_G.package = { loaded = loaded }", "package.loaded = loaded")
STRINGS: Cut = ('getmetatable("").__metatable = false', "")
DUMP: Cut = ("string.dump = nil", "")
TEXT_ONLY: Cut = ('raw_load(chunk, name, "t")', "raw_load(chunk, name)")
TEXT_ONLY_WITH_ENV: Cut = ('raw_load(chunk, name, "t", (...))', "raw_load(chunk, name, nil, (...))")
FINALIZERS: Cut = ('if rawget(meta, "__gc") ~= nil then rawset(meta, "__gc", nil) end', "")
WEAK: Cut = ('if rawget(meta, "__mode") ~= nil then rawset(meta, "__mode", nil) end', "")
COLLECTOR: Cut = ("function _G.collectgarbage() return 0 end", "")
ADDRESSES: Cut = ("_G.tostring = ordered_tostring", "")
FORMATTED: Cut = ("function string.format(pattern, ...)", "local function unused(pattern, ...)")
REQUIRE: tuple[Cut, ...] = (
    ("function _G.require(name)", "local plain = require\nfunction _G.require(name)"),
    ("if not source then error(\"module '\" .. tostring(name) .. \"' not found\", 2) end",
     "if not source then return plain(name) end"),
    PACKAGE,
)  # fmt: skip
WRAPPED: Cut = ("emit = told,", "emit = emit,")
CAUGHT: Cut = ("raw_pcall(emit, text)", "emit(text)")
# Version 2 of the host puts its own in the place of some of them.
GETENV: Cut = ("function os.getenv(...)", "local function unused(...)")
TEXT_ONLY_2: Cut = (
    'local f, err = load(text, name, "t", ...)',
    "local f, err = load(text, name, nil, ...)",
)
MODE_2: Cut = ("if mode ~= nil and not find(mode,", "if false and not find(mode,")
_SINCE_2: tuple[Cut, ...] = (
    ('return raiser.what == "C" and raiser.func', "return false and raiser.func"),
    ("if err == RAN_OUT or err == OUT_OF_MEMORY then run_out() end", ""),
)
SWALLOWING: dict[int, tuple[Cut, ...]] = {
    1: (("if not ok and ran_out((...)) then", "if false then"),),
    2: _SINCE_2,
    3: _SINCE_2,
    4: _SINCE_2,
}


def bytecode() -> str:
    """A compiled `return "escaped"` as a Lua string literal."""
    code: str = lua53.LuaRuntime(encoding="latin-1").eval("string.dump(load('return \"escaped\"'))")
    return '"' + "".join(f"\\{ord(byte):03d}" for byte in code) + '"'


@dataclass(frozen=True)
class Attack:
    """Lua that returns "escaped" where it succeeds, and the guards that keep it from doing so."""

    name: str
    code: str
    guards: tuple[Cut, ...]
    options: tuple[tuple[str, Any], ...] = ()


ATTACKS = [
    Attack("environment", "return os.getenv and os.getenv('AOSHELL_MARKER')", (OS,)),
    Attack("shell", "return os.execute and os.execute() and 'escaped'", (OS,)),
    Attack("exit", "return os.exit and 'escaped'", (OS,)),
    Attack("remove", "return os.remove and not os.remove('/nowhere/at/all') and 'escaped'", (OS,)),
    Attack("tmpname", "return os.rename and os.tmpname and 'escaped'", (OS,)),
    Attack("locale", "return os.setlocale and os.setlocale() and 'escaped'", (OS,)),
    Attack("clock", "return os.clock() > 0 and 'escaped'", (OS,)),
    Attack("open", "return io and io.open('/dev/null') and 'escaped'", (IO,)),
    Attack("popen", "return io and io.popen and 'escaped'", (IO,)),
    Attack("loadfile", "return loadfile and loadfile('FILE.lua')()", (FILES,)),
    Attack("dofile", "return dofile and dofile('FILE.lua')", (FILES,)),
    Attack("registry", "return debug.getregistry and debug.getregistry()[2] and 'escaped'", (DEBUG,)),
    Attack(
        "upvalues",
        "return debug.getupvalue and debug.getupvalue(setmetatable, 1) and 'escaped'",
        (DEBUG,),
    ),
    Attack(
        "hooks",
        "if debug.sethook then debug.sethook(function() hit = 'escaped' end, 'l') end\n"
        "local x = 1\nreturn hit",
        (DEBUG,),
    ),
    Attack("loadlib", "return package.loadlib and 'escaped'", (PACKAGE,)),
    Attack(
        "searchers",
        "package.path = 'FOLDER/?.lua'\n"
        "for _, searcher in ipairs(package.searchers or {}) do\n"
        "  local loader, file = searcher('FILE')\n"
        "  if type(loader) == 'function' then return loader('FILE', file) end\nend",
        (PACKAGE,),
    ),
    Attack("require by path", "package.path = 'FOLDER/?.lua' return require('FILE')", REQUIRE),
    Attack("require upwards", "package.path = 'FOLDER/x/../?.lua' return require('FILE')", REQUIRE),
    Attack(
        "string metatable",
        "getmetatable('').__index = function() return 'escaped' end return ('x').y",
        (STRINGS,),
    ),
    Attack("string.dump", "return string.dump and string.dump(print) and 'escaped'", (DUMP, WRAPPED)),
    Attack("bytecode", f"return load({bytecode()})()", (TEXT_ONLY,)),
    Attack("bytecode, mode b", f"return load({bytecode()}, 'x', 'b')()", (TEXT_ONLY,)),
    Attack("bytecode, env", f"return load({bytecode()}, 'x', 'b', {{}})()", (TEXT_ONLY_WITH_ENV,)),
    Attack(
        "bytecode, in pieces",
        f"local b, i = {bytecode()}, 0\n"
        "return load(function() i = i + 1 return b:sub(i, i) end, 'x', 'bt')()",
        (TEXT_ONLY,),
    ),
    Attack(
        "finalizer",
        "setmetatable({}, { __gc = function() hit = 'escaped' end })\n"
        "for i = 1, 2e5 do local t = {} end return hit",
        (FINALIZERS,),
    ),
    Attack(
        "weak table",
        "local w = setmetatable({}, { __mode = 'k' }) w[{}] = 1\n"
        "for i = 1, 2e5 do local t = {} end return next(w) == nil and 'escaped'",
        (WEAK,),
    ),
    Attack("heap size", "return collectgarbage('count') > 0 and 'escaped'", (COLLECTOR,)),
    Attack("address", "return #tostring({}) > #'table: 0x00000001' and 'escaped'", (ADDRESSES,)),
    Attack(
        "address by %s",
        "return #('%s'):format(load) > #'function: 0x00000001' and 'escaped'",
        (FORMATTED,),
    ),
    Attack("python", "return python and python.as_attrgetter and 'escaped'", (PYTHON,)),
    Attack(
        "builtins",
        "return python and python.builtins and python.builtins.len and 'escaped'",
        (PYTHON,),
        (("register_builtins", True), ("attribute_filter", None)),
    ),
    Attack(
        "python.eval",
        "return python and python.eval and python.eval('str(\"escaped\")')",
        (PYTHON,),
        (("register_eval", True),),
    ),
    Attack(
        "attributes",
        "local emit = require('.host').emit\n"
        "return python and python.as_attrgetter(emit).__self__ ~= nil and 'escaped'",
        (PYTHON, WRAPPED),
        (("attribute_filter", None),),
    ),
]  # fmt: skip


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What an attack would reach: a file, and a variable of the environment."""
    (tmp_path / "x").mkdir()
    (tmp_path / "FILE.lua").write_text('return "escaped"', encoding="ascii")
    monkeypatch.setenv("AOSHELL_MARKER", "escaped")
    os.environ["AOSHELL_MARKER"] = "escaped"  # for C as well
    return tmp_path


def placed(code: str, world: Path) -> str:
    return code.replace("FOLDER", str(world)).replace("'FILE.lua'", f"'{world}/FILE.lua'")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_fails(attack: Attack, world: Path, version: int) -> None:
    guest = Guest(version=version)
    answer = guest.eval(placed(attack.code, world))
    assert "escaped" not in answer.output
    assert guest.is_well()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_control_it_succeeds_without_its_guard(attack: Attack, world: Path) -> None:
    guest = Guest(*attack.guards, options=dict(attack.options), version=1)
    assert guest.eval(placed(attack.code, world)).output == "escaped"


GUARDS_2: dict[str, tuple[Cut, ...]] = {
    "environment": (OS, GETENV),
    "bytecode": (TEXT_ONLY_2,),
    "bytecode, mode b": (TEXT_ONLY_2, MODE_2),
    "bytecode, env": (TEXT_ONLY_2, MODE_2),
    "bytecode, in pieces": (TEXT_ONLY_2,),
}


# Its `require` knows no paths: there is no guard to take out.
ATTACKS_2 = [one for one in ATTACKS if one.guards != REQUIRE and one.name != "searchers"]


@pytest.mark.parametrize("attack", ATTACKS_2, ids=lambda attack: attack.name)
def test_control_it_succeeds_without_its_guard_in_version_2(attack: Attack, world: Path) -> None:
    guards = GUARDS_2.get(attack.name, attack.guards)
    guest = Guest(*guards, options=dict(attack.options))
    assert guest.eval(placed(attack.code, world)).output == "escaped"


# What holds where another guard has fallen ------------------------------------------------------

LAYERS = (
    "local function reach() return python.as_attrgetter(require('.host').emit).__self__ end\n"
    "return tostring((pcall(reach)))"
)


def test_the_filter_denies_attributes_of_an_object_that_leaked() -> None:
    leaky = Guest(PYTHON, WRAPPED)
    assert leaky.eval(LAYERS).output == "false"
    assert Guest(PYTHON, WRAPPED, options={"attribute_filter": None}).eval(LAYERS).output == "true"


def test_an_exception_of_ours_is_no_value_of_the_guests() -> None:
    def broken(_text: str) -> None:
        raise ValueError("a print that fails")

    code = "local ok, raised = pcall(print, 'x') return type(raised) == 'userdata' and 'escaped'"
    assert "escaped" not in Guest(emit=broken).eval(code).output
    assert "escaped" in Guest(CAUGHT, emit=broken).eval(code).output


def test_the_world_of_a_guest_is_this_and_no_more() -> None:
    """A name that is added to it has to be thought about."""
    names = set(Guest().eval("local t = {} for k in pairs(_G) do t[#t + 1] = k end "
                             "return table.concat(t, ' ')").output.split())  # fmt: skip
    lua = (
        "_G _VERSION assert collectgarbage coroutine debug error getmetatable ipairs load math next "
        "os package pairs pcall print rawequal rawget rawlen rawset require select setmetatable "
        "string table tonumber tostring type utf8 xpcall"
    )
    aos = (
        "Bell Colors Dump Errors Handlers Inbox Name Owner Prompt Receive Seeded Send Spawn Tab "
        "Utils Version ao apm base64 bit32 json spawn Assign"
    )
    assert names <= {*lua.split(), *aos.split()}


# Memory -----------------------------------------------------------------------------------------

BOMB = "local function bomb() local t = {} for i = 1, 1e9 do t[i] = i .. ('x'):rep(1000) end end\n"
BUFFER = "local function bomb() return ('x'):rep(1 << 30) end\n"

SWALLOWED = {
    "pcall": "pcall(bomb)",
    "nested pcall": "pcall(pcall, pcall, bomb)",
    "xpcall": "xpcall(bomb, function() end)",
    "xpcall that raises": "xpcall(bomb, function() error('x') end)",
    "in a handler of xpcall": "xpcall(error, function() bomb() end)",
    "resume": "coroutine.resume(coroutine.create(bomb))",
    "wrap": "pcall(coroutine.wrap(bomb))",
    "coroutine in a coroutine": "pcall(coroutine.wrap(function() coroutine.wrap(bomb)() end))",
    "pcall in a coroutine": "coroutine.wrap(function() pcall(bomb) end)()",
    "comparator": "pcall(table.sort, {3, 1, 2}, function() bomb() end)",
    "gsub": "pcall(string.gsub, 'x', '.', function() bomb() end)",
    "reader of load": "pcall(load, function() bomb() end)",
    "source without end": "pcall(load, function() return ('x'):rep(10000) end)",
    "__index": "pcall(function() return setmetatable({}, {__index = bomb}).x end)",
    "__index chain": "pcall(function() local t = setmetatable({}, {__index = bomb})\n"
    "for i = 1, 50 do t = setmetatable({}, {__index = t}) end return t.x end)",
    "__tostring": "pcall(tostring, setmetatable({}, {__tostring = function() bomb() end}))",
    "__concat": "pcall(function() return {} .. setmetatable({}, {__concat = bomb}) end)",
    "__pairs": "pcall(pairs, setmetatable({}, {__pairs = function() bomb() end}))",
    "iterator": "pcall(function() for _ in bomb do end end)",
    "module's json": "pcall(json.encode, setmetatable({}, {__pairs = function() bomb() end}))",
    "Prompt": "Prompt = function() bomb() end",
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("bomb", [BOMB, BUFFER], ids=["heap", "buffer"])
@pytest.mark.parametrize("place", SWALLOWED)
def test_who_swallows_running_out_of_memory_is_stopped(place: str, bomb: str, version: int) -> None:
    guest = Guest(memory=16 << 20, version=version)
    with pytest.raises(OutOfMemoryError):
        guest.eval(bomb + SWALLOWED[place] + "\nreturn 'escaped'")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("place", SWALLOWED)
def test_control_running_out_of_memory_can_be_swallowed(place: str, version: int) -> None:
    guest = Guest(*SWALLOWING[version], memory=16 << 20, version=version)
    assert guest.eval(BUFFER + SWALLOWED[place] + "\nreturn 'escaped'").output == "escaped"


FORGED = {
    "error": "error(text, 0)",
    "error with a place": "error(text)",
    "assert": "assert(false, text)",
    "a handler's answer": "error('x')",
    "buffer": "error(text .. ' for buffer allocation', 0)",
    "called by pcall": "return pcall(error, text, 0)",
    "by another coroutine": "coroutine.wrap(error)(text, 0)",
}
CATCHERS = {
    "pcall": "pcall(forge)",
    "xpcall": "xpcall(forge, function(raised) return text end)",
    "resume": "coroutine.resume(coroutine.create(forge))",
    "wrap": "pcall(coroutine.wrap(forge))",
    "reader": "load(forge)",
    "comparator": "pcall(table.sort, { 2, 1 }, forge)",
    "__index": "pcall(function() return setmetatable({}, { __index = forge }).x end)",
}


@pytest.mark.parametrize("catcher", CATCHERS)
@pytest.mark.parametrize("forged", FORGED)
def test_a_script_that_raises_the_text_of_it_has_not_run_out(forged: str, catcher: str) -> None:
    code = (
        "local text = 'not enough memory'\n"
        f"local function forge() {FORGED[forged]} end\n"
        f"local ok, raised = {CATCHERS[catcher]}\n"
        "return 'went on, ' .. tostring(raised)"
    )
    assert Guest().eval(code).output.startswith("went on, ")
    # Nobody catches it: the message fails, with that error.
    alone = Guest().eval("local text = 'not enough memory'\nerror(text, 0)")
    assert alone.error.endswith("not enough memory")


@pytest.mark.parametrize(
    "bomb",
    [
        "('x'):rep(1 << 30)",
        "error(('x'):rep(1 << 23) .. ('y'):rep(1 << 23))",
        "error(setmetatable({}, { __tostring = function() return ('x'):rep(1 << 30) end }))",
    ],
)
def test_running_out_in_a_coroutine_that_raises_is_known(bomb: str) -> None:
    guest = Guest(memory=16 << 20)
    code = f"coroutine.resume(coroutine.create(function() tostring({bomb}) end)) return 'went on'"
    if "__tostring" in bomb:  # raised as it is, nobody asks for its text
        assert guest.eval(code).output == "went on"
        return
    with pytest.raises(OutOfMemoryError):
        guest.eval(code)


def test_a_string_of_one_gigabyte() -> None:
    with pytest.raises(OutOfMemoryError):
        Guest().eval("return #('x'):rep(1 << 30)")
    assert Guest(memory=3 << 30).eval("return #('x'):rep(1 << 27)").output == str(1 << 27)


@pytest.mark.parametrize(
    "code",
    ["return ('x'):rep(1 << 62)", "return ('xy'):rep(math.maxinteger)", "return ('x'):rep(1e300)"],
)
def test_a_length_beyond_all_bounds_is_an_error(code: str) -> None:
    guest = Guest()
    assert guest.eval(code).error
    assert guest.is_well()
