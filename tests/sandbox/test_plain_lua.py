"""The core's functions give the same texts and places as plain Lua 5.3.

The oracle is lupa's Lua without our guards. `DIFFERENT` has what is another on purpose; each name
in it stands in docs/environment.md.
"""

# ruff: noqa: E501 — a call reads best in one piece

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from lupa import lua53
from sandbox_guest import Guest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "environment.md"

# Functions of plain Lua that a script does not find.
_MISSING = """
    dofile loadfile io.close io.flush io.input io.lines io.open io.output io.popen io.read
    io.tmpfile io.type io.write os.execute os.exit os.remove os.rename os.setlocale os.tmpname
    string.dump debug.debug debug.gethook debug.getlocal debug.getmetatable debug.getregistry
    debug.getupvalue debug.getuservalue debug.sethook debug.setlocal debug.setmetatable
    debug.setupvalue debug.setuservalue debug.upvalueid debug.upvaluejoin package.loadlib
    package.searchpath
"""
MISSING = frozenset(_MISSING.split())
# Functions that answer otherwise, and are not asked here.
DIFFERENT = {
    "collectgarbage": "reports 0",
    "coroutine.isyieldable": "is true: a handling is a coroutine",
    "coroutine.yield": "yields: a handling is a coroutine",
    "debug.getinfo": "takes functions only",
    "math.random": "is aos's own",
    "math.randomseed": "does nothing",
    "os.clock": "is 0",
    "os.time": "is the message's",
    "print": "is aos's own",
}
# Calls that end otherwise: the function, and a pattern of what plain Lua says.
OTHERWISE = {
    # Nothing is called, and that fails.
    ("pcall", r"bad argument #1 to '\w+' \(value expected\)"),
    ("xpcall", r"bad argument #2 to '\w+' \(function expected, got nil\)"),
    ("next", r"invalid key to 'next'"),  # goes on behind its place
    # A level beyond a pcall, which counts twice.
    ("error", r"^(true )?false (\[string \"aos\"\]:\d+: )?(%d|x)$"),
    ("getmetatable", r"^true$"),  # that of texts is false
    ("setmetatable", r"\(nil or table expected\)"),  # an argument that is missing is nil
}

VALUES = ("nil", "true", "5", "-1", "1.5", "'x'", "'%d'", "{}", "function() end", "thread")
ARGUMENTS = (
    "",
    *VALUES,
    *(", ".join(two) for two in itertools.product(VALUES[:1] + VALUES[2:9:2], VALUES)),
    *(", ".join(three) for three in itertools.product(("{}", "'x'", "5"), ("nil", "1", "'%s'"), VALUES)),
)  # fmt: skip
FORMS = (
    "return {name}({arguments})",  # a tail call, as a typed line is one
    "local x = {name}({arguments})",
    "local function f() return {name}({arguments}) end\n\nlocal y = f()",
    "local f = {name}\nlocal y = f({arguments})",
    "return pcall({name}{behind})",
    "local t = {{ f = {name} }}\nfor _ = 1, 1 do local x = t.f({arguments}) end",
    "return coroutine.wrap(function() return {name}({arguments}) end)()",
    "return coroutine.resume(coroutine.create({name}){behind})",
    "return select(2, xpcall(function() {name}({arguments}) end, function(m) return 'h: ' .. m end))",
)
PREAMBLE = """
local thread = coroutine.create(function() end)
local said = {}
local function told(...)
  local parts = table.pack(...)
  for i = 1, parts.n do
    local kind = type(parts[i])
    parts[i] = (kind == "string" or kind == "boolean") and tostring(parts[i]) or kind
  end
  -- What a call that went well gives is not the question here, but for calls of pcall.
  if parts[1] == "true" and parts[2] ~= "false" then parts.n = 1 end
  return table.concat(parts, " ", 1, parts.n)
end
local function try(code)
  local f = assert(load("local thread = ... " .. code, "=script"))
  said[#said + 1] = told(pcall(f, thread))
end
"""


def reachable() -> Iterator[str]:
    """Every function of plain Lua."""
    lua = lua53.LuaRuntime(register_eval=False, register_builtins=False)
    names: str = lua.execute("""
        local names = {}
        for name, value in pairs(_G) do
          if type(value) == "function" then names[#names + 1] = name end
          if type(value) == "table" and name ~= "_G" and name ~= "python" then
            for key, inner in pairs(value) do
              if type(inner) == "function" then names[#names + 1] = name .. "." .. key end
            end
          end
        end
        return table.concat(names, " ")
    """)
    yield from sorted(names.split())


@pytest.fixture(scope="module")
def guest() -> Guest:
    return Guest(memory=256 << 20)


def both(guest: Guest, program: str) -> tuple[str, str]:
    """What a program answers in a guest and in plain Lua."""
    plain = lua53.LuaRuntime(encoding="latin-1", register_eval=False, register_builtins=False)
    plain.execute("for name in pairs(package.loaded) do _ = name end python = nil")
    answer = guest.eval(program)
    assert not answer.error, answer.error
    ran = plain.eval("function(code) return select(2, pcall(load(code, 'aos'))) end")
    return answer.output, ran(program)


CALLED = [name for name in reachable() if name not in MISSING and name not in DIFFERENT]


def test_what_is_missing_is_what_is_said_to_be(guest: Guest) -> None:
    found = guest.eval(
        "local names = {} for _, name in ipairs({"
        + ", ".join(f"'{name}'" for name in reachable())
        + "}) do local value = _G for part in name:gmatch('[^.]+') do"
        " value = type(value) == 'table' and value[part] or nil end"
        " if value == nil then names[#names + 1] = name end end return table.concat(names, ' ')"
    ).output.split()
    assert set(found) == MISSING


def calls_of(name: str) -> list[str]:
    """Calls of a function with arguments of all kinds, in all forms."""
    return [
        form.format(name=name, arguments=given, behind=f", {given}" if given else "")
        for given in ARGUMENTS
        for form in FORMS
    ]


def answers(guest: Guest, calls: list[str]) -> tuple[list[str], list[str]]:
    """What each call comes to in a guest and in plain Lua."""
    program = PREAMBLE + "".join(f"try([==[{call}]==])\n" for call in calls)
    ours, plain = both(guest, program + "return table.concat(said, '\\1')")
    return _at_home(ours).split("\1"), [_at_home(text) for text in plain.split("\1")]


@pytest.mark.parametrize("name", CALLED)
def test_bad_arguments_are_told_as_plain_lua_tells_them(guest: Guest, name: str) -> None:
    calls = calls_of(name)
    differing = [
        (call, said, due)
        for call, said, due in zip(calls, *answers(guest, calls), strict=True)
        if said != due and not any(name == of and re.search(what, due) for of, what in OTHERWISE)
    ]
    assert differing == []


def _at_home(text: str) -> str:
    """The text without the files that plain Lua searches, and without the asking program."""
    text = re.sub(r"\n\tno file '[^']*'", "", text)
    text = re.sub(r"\n\t\[C\]: in function 'pcall'\n\t\[string \"<python>\"\].*", "", text)
    return text.replace("got no value", "got nil")


def test_the_page_has_what_is_missing_and_what_is_different() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    for name in MISSING:
        library, dot, function = name.rpartition(".")
        head = f"| `{library}` |" if dot else "| (basic) |"
        assert any(row.startswith(head) and f"`{function}`" in row for row in rows), name
    told = {name for row in rows for name in re.findall(r"`([\w.]+)(?:\(\))?`", row)}
    assert set(DIFFERENT) <= told, set(DIFFERENT) - told
    assert {name for name, _pattern in OTHERWISE} - {"xpcall"} <= told | {"error"}


WALK = """
local said = {}
for k, v in next, %s do said[#said + 1] = tostring(k) .. "=" .. tostring(v) end
table.sort(said)
return table.concat(said, " ") .. " " .. select("#", next({}))
"""
TABLES = (
    "{}", "{ false }", "{ 1, false, 3 }", "{ a = false, b = 1 }", "{ [false] = false, [true] = 0 }",
    "{ false, x = false, [2.5] = false }",
)  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_next_gives_what_the_table_holds(guest: Guest, table: str) -> None:
    ours, plain = both(guest, WALK % table)
    assert ours == plain
    # In version 2 false came as nil, and logs may hold what scripts made of that.
    assert Guest(version=2).eval(WALK % table).output == plain.replace("=false", "=nil")
