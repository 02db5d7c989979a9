"""Places in errors name the script's files, never aoshell's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sandbox_guest import Guest, message

from aoshell.sandbox import environment
from aoshell.sandbox.lua import CHUNKS
from aoshell.shell.code.bundle import bundle

OURS = re.compile(r"\bhost:\d+|(?<![\w/])\.[a-z][\w.-]*:\d+|\[string \"=?host|=sized|=code|=image")


@pytest.fixture
def guest() -> Guest:
    return Guest(memory=256 << 20)


LINES = {
    'string.format("%d", "x")': "1: bad argument #2 to 'format' (number expected, got string)",
    "('%d'):format('x')": "1: bad argument #1 to 'format' (number expected, got string)",
    "setmetatable(nil, {})": "1: bad argument #1 to 'setmetatable' (table expected, got nil)",
    "coroutine.resume(nil)": "1: bad argument #1 to 'resume' (thread expected)",
    'os.date("%Y", "x")': "1: bad argument #2 to 'date' (number expected, got string)",
    "load(nil)": "1: bad argument #1 to 'load' (function expected, got nil)",
    'require("nope")': "1: module 'nope' not found:\n\tno field package.preload['nope']",
    'error("x", 2)': "1: x",
    'Send("x")': "1: msg should be a table",
    "table.sort({1, {}})": None,  # the core tells no place there
    "\n\nlocal f = function() return tostring() end f()":
        "3: bad argument #1 to 'tostring' (value expected)",
    "local t = {}\nfunction t.f()\n  return require('none.at.all')\nend\nreturn t.f()":
        "3: module 'none.at.all' not found:\n\tno field package.preload['none.at.all']",
    "\nlocal ok, err = pcall(error, 'x', 2) error(err, 0)": "2: x",
    "local function deep() error('x', 2) end\n\nlocal function f() deep() end f()": "3: x",
    "return json.decode('[1,')": "1: unexpected character '' at line 1 col 4",
    "return base64.encode(nil)": "1: attempt to get length of a nil value (local 'text')",
    "coroutine.wrap(function()\n  error('in') end)()": '1: [string "aos"]:2: in',
    "debug.traceback('x', {})": "1: bad argument #2 to 'traceback' (number expected, got table)",
}  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_typed_line_fails_where_it_is(guest: Guest, line: str) -> None:
    reason = guest.eval(line).error.rpartition("\x1b[0m")[2]
    due = LINES[line]
    assert reason == (f'[string "aos"]:{due}' if due else "attempt to compare table with number")


def test_a_handler_fails_where_it_is(guest: Guest) -> None:
    guest.eval(
        "Handlers.add('bad', 'Bad', function(m)\n  return string.format('%d', 'x')\nend)\n"
        "Handlers.add('two', 'Two', function(m) error('x', 2) end)\n"
        "Handlers.add('told', 'Told', function(m)\n  print(debug.traceback('here'))\nend)"
    )
    bad = guest.runtime.deliver(message("bad", "", "Action", "Bad"))
    assert bad[0].endswith("[string \"aos\"]:2: bad argument #2 to 'format' (number expected, got "
                           "string)")  # fmt: skip
    assert 'stack traceback:\n\t[string "aos"]:2: in function <[string "aos"]:1>' in bad[0]
    two = guest.runtime.deliver(message("two", "", "Action", "Two"))
    assert two[0].endswith('[string "aos"]:4: x')
    told = guest.runtime.deliver(message("told", "", "Action", "Told"))
    assert told[1] == 'here\nstack traceback:\n\t[string "aos"]:6: in function <[string "aos"]:5>'
    assert not OURS.search(bad[0] + two[0] + told[1])


def test_recursion_by_tail_calls_has_no_end(guest: Guest) -> None:
    code = (
        "local function loop(n) if n == 0 then return tostring('done') end return loop(n - 1) end\n"
        "return loop(1000000)"
    )
    assert guest.eval(code).output == "done"


def test_a_stack_that_overflows_is_an_error_at_the_scripts_place(guest: Guest) -> None:
    answer = guest.eval("local function f() return 1 + f() end\nreturn f()")
    assert '[string "aos"]:1: stack overflow' in answer.error
    lines = answer.error.count("\n\t")
    assert lines < 40 and not OURS.search(answer.error)
    assert guest.is_well()


def test_any_number_of_values_passes_through_protected_calls(guest: Guest) -> None:
    many = 10**6 - 1000
    for call in (
        f"pcall(table.unpack, {{}}, 1, {many})",
        f"xpcall(table.unpack, print, {{}}, 1, {many})",
    ):
        assert guest.eval(f"return select('#', {call})").output == str(many + 1), call
    few = 400_000  # they lie on two stacks at once
    resumed = f"coroutine.resume(coroutine.create(table.unpack), {{}}, 1, {few})"
    assert guest.eval(f"return select('#', {resumed})").output == str(few + 1)
    wrapped = f"coroutine.wrap(table.unpack)({{}}, 1, {few})"
    assert guest.eval(f"return select('#', {wrapped})").output == str(few)
    too_many = "return tostring(pcall(table.unpack, {}, 1, 1e8))"
    assert guest.eval(too_many).output == "false"
    assert guest.is_well()


# Everything of the environment ------------------------------------------------------------------

# They stop what handles the message, or take the place of the process.
NOT_CALLED = (
    ".process",
    ".waiting",
    ".update",
    ".kept",
    ".host",
    ".handlers.receive",
    "Receive",
    ".verbs",
)
CALL_ALL = """
local texts, seen = {}, {}
local values = { {}, { nil }, { true }, { 5 }, { "x" }, { {} }, { function() error("own", 0) end },
  { {}, "x" }, { "x", {} }, { 5, 5, 5 }, { "x", "x", "x" }, { function() end, {}, {} } }
local function try(f, name)
  for i = 1, #values do
    local ok, raised = xpcall(f, debug.traceback, table.unpack(values[i], 1, 3))
    if not ok and type(raised) == "string" then texts[#texts + 1] = name .. ": " .. raised end
  end
end
local skipped = {}
for name in string.gmatch([[NOT]], "%S+") do skipped[name] = true end
local function walk(t, path, depth)
  if seen[t] or depth > 4 or skipped[path] then return end
  seen[t] = true
  for key, value in pairs(t) do
    local name = path .. "." .. tostring(key)
    if not skipped[name] and not skipped[tostring(key)] then
      if type(value) == "table" then walk(value, name, depth + 1) end
      if type(value) == "function" then try(value, name) end
    end
  end
end
for _, name in ipairs { NAMES } do
  if not skipped[name] then
    local ok, module = pcall(require, name)
    if ok and type(module) == "table" then walk(module, name, 1) end
    if ok and type(module) == "function" and name ~= ".eval" then try(module, name) end
  end
end
return "\1" .. #texts .. " " .. table.concat(texts, "\\n")
"""


def test_no_function_of_the_environment_names_a_file_of_ours(guest: Guest) -> None:
    names = ", ".join(f'"{name}"' for name in environment.read_sources())
    code = CALL_ALL.replace("NAMES", names).replace("NOT", " ".join(NOT_CALLED))
    answer = guest.eval(code)
    assert not answer.error, answer.error[-500:]
    count, _, texts = answer.output.rpartition("\1")[2].partition(" ")
    assert int(count) > 500
    assert OURS.findall(texts) == []


def test_control_those_texts_would_name_them() -> None:
    """Version 1 says where in the environment an error is."""
    assert OURS.search(Guest(version=1).eval("return select(2, pcall(base64.encode))").output)
    assert OURS.search(Guest(version=1).eval("print(debug.traceback())").output)
    assert set(CHUNKS) > {"plain", "stack"}


# Scripts as people write them -------------------------------------------------------------------


def script(shared: Path, name: str) -> str:
    return (shared / "cases" / "scripts" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("preload.lua", "42"),
        ("json-empty.lua", "unexpected character '' at line 1 col 1"),
        # docs/environment.md says what is missing, and why
        ("libraries.lua", "nil function nil nil nil table table nil"),
    ],
)
def test_what_a_script_prints(guest: Guest, shared: Path, name: str, output: str) -> None:
    assert guest.eval(script(shared, name)).output == output


def test_a_traceback_begins_with_who_asked(guest: Guest, shared: Path) -> None:
    lines = guest.eval(script(shared, "traceback.lua")).output.split("\n\t")
    assert lines[0] == "x\nstack traceback:"
    assert re.fullmatch(r'\[string "aos"\]:\d+: in (local|function) \S+', lines[1])
    assert re.fullmatch(r'\[string "aos"\]:\d+: in main chunk', lines[2])
    assert len(lines) == 3


def test_a_module_that_is_missing_is_missed_where_it_is_asked_for(
    guest: Guest, shared: Path
) -> None:
    program = bundle(shared / "cases" / "scripts" / "tail-place" / "main.lua").source.decode(
        "latin-1"
    )
    assert "mid.lua:2: module 'zzz.none' not found:" in guest.eval(program).error


def test_what_goes_out_is_in_the_result(guest: Guest, shared: Path) -> None:
    for name in ("assignments.lua", "patch.lua"):
        assert not guest.eval(script(shared, name)).error
    started = guest.runtime.deliver(message("start", "", "Action", "Start"))
    at = started.index("Assignments")
    assert (started[0], started[at + 1]) == (False, '["p1","p2"]')
    moved = guest.runtime.deliver(message("move", "", "Action", "Move"))
    assert moved[5] == 2  # two messages
    assert "patch@1.0" in moved and '{"a":"1"}' in moved
    said = guest.eval(script(shared, "no-target.lua")).output
    assert said.startswith("WARN: No target specified for message. Data will be stored")


def test_lines_that_fail_say_where(guest: Guest, shared: Path) -> None:
    for line in script(shared, "places.txt").splitlines():
        assert '[string "aos"]:1: ' in guest.eval(line).error, line
