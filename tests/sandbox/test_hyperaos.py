"""The environment for HyperBEAM, in a Lua that lacks what the device's Lua lacks.

It was run on real nodes of September and November 2025 besides; their Lua is written in Erlang, so
it is not at hand here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lupa import lua53

from aoshell.sandbox import hyperaos

# What luerl has not got, and functions that do what luerl's do: gmatch fails, pcall gives texts
# only, assert adds to them, the compiler breaks at a label, format loses backslashes, and what
# tonumber reads is a float.
LACKING = """
coroutine, debug, xpcall, table.move = nil, nil, nil, nil
local pcall_, type_, text_, error_ = pcall, type, tostring, error
local pack, unpack = table.pack, table.unpack
function pcall(...)
  local found = pack(pcall_(...))
  if found[2] == BROKEN then error_(BROKEN) end
  if not found[1] then found[2] = type_(found[2]) == "string" and found[2] or text_(found[2]) end
  return unpack(found, 1, found.n)
end
function assert(value, text, ...)
  if value then return value, text, ... end
  error_(type_(text) == "string" and text .. "!" or "error object is a " .. type_(text) .. "!", 0)
end
BROKEN = {}
local load_code, gsub, char, find = load, string.gsub, string.char, string.find
function load(code, ...)  -- code is read as Latin-1, and each text of it written as UTF-8
  if find(code, "::break::", 1, true) then error_(BROKEN) end
  return load_code((gsub(code, "[\\128-\\255]", function(one)
    local value = one:byte()
    return char(0xC0 | value >> 6, 0x80 | value & 0x3F)
  end)), ...)
end
string.gmatch = function() error("badarg") end
local format, number = string.format, tonumber
function string.format(text, ...)
  for _, value in ipairs { text, ... } do
    if type_(value) == "string" and find(value, "[\\128-\\255]") then error_(BROKEN) end
  end
  return format(gsub(text, "\\\\(.)", "%1"), ...)
end
function tonumber(value, ...)
  local found = number(value, ...)
  return type_(value) == "string" and found and found + 0.0 or found
end
"""
STATE = """{process = {
  type = "Process", name = "first", authority = {"A", "B"},
  commitments = {P = {committer = "me"}, hmac = {}},
}}"""
DRIVE = """
local base = %s
return function(slot, fields)
  local body = {commitments = {["M" .. slot] = {committer = fields.from or "me"}, hmac = {}}}
  for key, value in pairs(fields) do if key ~= "from" then body[key] = value end end
  base = compute(base, {slot = slot, timestamp = 1700000000000 + slot, body = body}, {})
  return base.results, base
end
"""


class Process:
    """One process of it, driven as the device drives it."""

    def __init__(self, state: str = STATE, device: str = "") -> None:
        lua = lua53.LuaRuntime(encoding="latin-1", unpack_returned_tuples=True)
        lua.execute(LACKING)
        lua.execute(hyperaos.source().decode("latin-1"))
        lua.execute(device)
        self._table: Callable[..., Any] = lua.table_from
        self._deliver = lua.execute(DRIVE % state)
        self._slot = -1
        self.base: Any = None

    def send(self, **fields: Any) -> Any:
        self._slot += 1
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        results, self.base = self._deliver(self._slot, self._table(named))
        return results

    def eval(self, code: str) -> str:
        return str(self.send(action="Eval", data=code).output.data)


@pytest.fixture
def process() -> Process:
    return Process()


def test_lines_of_the_owner_are_evaluated(process: Process) -> None:
    assert process.eval("1 + 1") == "2"
    assert process.eval("x = 7 print('printed') return x") == "printed\n7"
    assert process.eval("Owner .. ao.id .. Name") == "mePfirst"
    assert "aos-" in process.send(action="Eval", data="1").output.prompt


def test_what_a_line_returned_is_not_told(process: Process) -> None:
    for code in ("nil", "false", '""', "pcall(error, 'x')"):
        results = process.send(action="Eval", data=code)
        assert sorted(results) == ["outbox", "output"] and results.output.data == ""
        assert sorted(results.output) == ["data", "prompt"]


def test_the_message_of_the_first_slot_defines_the_process() -> None:
    """In the state its copy lacks signatures, as on the nodes of 2025."""
    process = Process("{process = {name = 'first'}}")
    process.send(type="Process", name="first", authority="A")
    assert process.eval("Owner .. ao.id .. Name .. ao.authorities[1]") == "meM0firstA"


def test_the_device_puts_its_functions_into_a_copy_of_ao() -> None:
    device = "local copy = {resolve = 7} for k, v in pairs(ao) do copy[k] = v end ao = copy"
    process = Process(device=device)
    assert process.eval("ao.id .. ao.resolve .. tostring(ao == require('.ao'))") == "P7true"


@pytest.mark.parametrize(
    ("code", "due"),
    [
        ('"\u00e4\u20ac"', "\u00e4\u20ac"),
        ("#'\u00e4'", "2"),
        ('"\\"\u00e4" .. 1 -- \u00e4', '"\u00e41'),
        ('[[\n\u00e4"\\n\n]]', '\u00e4"\\n\n'),
        ("[==[\u00e4]]]==] .. #{1, 2} - 1", "\u00e4]]1"),
        ("--[[ \u00e4\n]] return '\u00e4' .. ({['\u00e4'] = 1})['\u00e4']", "\u00e41"),
    ],
)
def test_texts_beyond_ascii_are_the_bytes_that_were_written(
    process: Process, code: str, due: str
) -> None:
    results = process.send(action="Eval", data=code.encode().decode("latin-1"))
    assert results.output.data.encode("latin-1").decode() == due
    assert process.send(action="Eval", data="'\u00c3\u00a4").error


@given(st.binary(max_size=12))
@settings(max_examples=60, deadline=None)
def test_an_output_is_text(data: bytes) -> None:
    code = "return '" + "".join(f"\\{one:03d}" for one in data) + "'"
    shown = Process().send(action="Eval", data=code).output.data.encode("latin-1").decode()
    assert shown.replace("?", "") == data.decode(errors="ignore").replace("?", "")


def test_a_module_that_is_not_there(process: Process) -> None:
    results = process.send(action="Eval", data='return require("nothere")')
    assert "module 'nothere' not found" in results.error


def test_lines_of_others_are_not(process: Process) -> None:
    process.eval("x = 1")
    assert "not trusted" in process.send(action="Eval", data="x = 2", from_process="C").output.data
    process.send(**{"action": "Eval", "data": "x = 3", "from": "A"})
    assert process.eval("x") == "1"


def test_handlers_answer_those_who_are_trusted(process: Process) -> None:
    process.eval('Handlers.add("ping", "Ping", function(m) m.reply({Data = m.Data .. "!"}) end)')
    results = process.send(
        **{"action": "Ping", "data": "hi", "from": "A", "from-process": "C", "reference": "9"}
    )
    answer = results.outbox["m1"]
    assert (answer.target, answer.data, answer["x-reference"]) == ("C", "hi!", "9")
    assert process.eval("#Inbox") == "0"
    process.send(**{"action": "Other", "data": "kept", "from": "B"})
    assert process.eval("Inbox[1].Data .. Inbox[1].Action") == "keptOther"


def test_what_is_sent_has_keys_in_lower_case(process: Process) -> None:
    process.eval("return 0")
    sent = process.send(
        action="Eval", data='Send({Target = "T", Action = "Do", Data = "d", ["X-Y"] = 5})'
    )
    first = sent.outbox["m1"]
    assert (first.target, first.action, first.data, first["x-y"]) == ("T", "Do", "d", "5")
    assert all(name == name.lower() for name in first)


@pytest.mark.parametrize("code", ['error("boom\\nhere")', "return nil + 1", "(", "Receive({})"])
def test_an_error_does_not_stop_the_process(process: Process, code: str) -> None:
    results = process.send(action="Eval", data=code)
    assert results.error and "\n" not in results.error
    assert results.error.split(" ")[-1] in results.output.error
    assert process.eval("1 + 1") == "2"


@pytest.mark.parametrize(
    ("code", "due"),
    [
        ("error({1, 2})", "{ 1, 2 }"),
        ("error({code = {1, 2}})", "{ code = { 1, 2 } }"),
        ("assert(false, {1})", "{ 1 }"),
        ("assert(nil, 'no')", "no"),
        ("assert(false)", "assertion failed!"),
        ("error()", "nil"),
        ("error(42)", "42"),
        ("error(true)", "true"),
        ("error(setmetatable({}, {__tostring = function() return 'own' end}))", "own"),
        ("pcall(error, {9}) error({1})", "{ 1 }"),
        ("pcall(error, {9}) error('text', 0)", "text"),
        ("local _, raised = pcall(error, {7}) error(raised)", "{ 7 }"),
        ("Handlers.add('x', 'X', function() error({3}) end)", ""),
    ],
)
def test_what_is_raised_is_shown(process: Process, code: str, due: str) -> None:
    results = process.send(action="Eval", data=code)
    assert str(results.error or "").replace("  ", " ").replace("  ", " ") == due
    if due:
        assert due.split()[0] in results.output.error


@pytest.mark.parametrize(
    ("code", "due"),
    [
        ("local ok, e = pcall(function() error({code = 404}) end) return e.code", "404"),
        ("local t = {} local _, e = pcall(error, t) return tostring(e == t)", "true"),
        ("local _, e = pcall(function() pcall(error, {1}) error({2}) end) return e[1]", "2"),
        ("return select('#', pcall(function() return 1, nil, nil end))", "4"),
        ("return type(select(2, pcall(error)))", "nil"),
        ("return select(2, pcall(assert, false, 'x'))", "x"),
        ("return select('#', assert(1, 2, 3))", "3"),
        ("return (xpcall(error, function(e) caught = e end, {5})) and 0 or caught[1]", "5"),
    ],
)
def test_what_is_raised_comes_back_from_pcall(process: Process, code: str, due: str) -> None:
    assert process.eval(code) == due


@pytest.mark.parametrize(
    "code",
    [
        "::break:: return 1",
        "do goto break end ::break::",
        "x = [[::]] .. ':: goto ' --[[ goto ]] ::break::",
        "return assert(load(':' .. ':break::'))",
    ],
)
def test_code_that_the_compiler_breaks_at_is_refused(process: Process, code: str) -> None:
    """Else it would stop the process for good."""
    assert "cannot compile goto and labels" in process.send(action="Eval", data=code).output.error
    assert process.eval("1 + 1") == "2"


@pytest.mark.parametrize(
    "code",
    [
        "return '::' .. #':: goto x' -- :: goto",
        "--[[ goto x ::y:: ]] return '::9'",
        "local gotox, _goto, x = 2, 0, {['goto'] = 7} return '::' .. gotox + x['goto']",
        "return [==[::]]goto]==] .. 1",
    ],
)
def test_texts_that_look_like_jumps_are_none(process: Process, code: str) -> None:
    assert process.eval(code).startswith("::")


def test_state_that_is_patched_is_laid_over_the_process(process: Process) -> None:
    process.eval('Send({device = "patch@1.0", total = 5, cache = {a = 1}})')
    assert (process.base.total, process.base.cache.a) == (5, 1)


def test_modules_that_scripts_require_are_there(process: Process) -> None:
    assert process.eval('require("json").encode({a = {1, "x"}})') == '{"a":[1,"x"]}'
    assert process.eval('require(".utils").includes("a", {"a"})') == "true"
    assert (
        process.eval('local n = 0 for _ in ("a,b"):gmatch("%a") do n = n + 1 end return n') == "2"
    )


def test_equal_sources_give_an_equal_text() -> None:
    code = "import os; from aoshell.sandbox import hyperaos; os.write(1, hyperaos.source())"
    for seed in ("1", "2"):  # of hashes, which sets are ordered by
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert done.stdout == hyperaos.source()
    assert len(hyperaos.source()) < 200_000


@pytest.mark.parametrize(
    ("code", "output"),
    [
        (r'string.format("\\u%04x|\\\\|%%|%s", 5, "\\")', r"\u0005|\\|%|\ "[:-1]),
        (r'require("json").encode({a = "x\1\n\\"})', r'{"a":"x\u0001\n\\"}'),
        ('tonumber("4") .. tonumber(" -5 ") .. tonumber("0x10")', "4-516"),
        ('tonumber("4.0") .. "," .. tonumber("1e3")', "4.0,1000.0"),
        ('tonumber("9007199254740993")', "9007199254740993"),
        ('math.type(tonumber("99999999999999999999"))', "float"),
        ('tonumber("zz", 36) .. tostring(tonumber("5x")) .. tonumber(7)', "1295nil7"),
    ],
)
def test_texts_and_numbers_are_those_of_lua(process: Process, code: str, output: str) -> None:
    assert process.eval(code) == output


def test_errors_has_the_reasons_of_messages_that_failed(process: Process) -> None:
    process.eval("Handlers.add('div', 'Div', function() return 1 / nil end)")
    assert process.send(action="Div", data="").error
    assert process.send(action="Eval", data="error('boom', 0)").error
    assert process.eval("#Errors .. Errors[2]") == "2boom"
    assert "nil" in process.eval("Errors[1]")


# What breaks luerl where nothing can catch it: found by calling each of its functions with odd
# arguments, in luerl 1.3 as its own build makes it.
BREAKING = (
    *("string.char(300)", "string.char(-1)", "string.char(65, 'x')", "utf8.char(0xD800)"),
    *("table.unpack(nil)", "table.unpack('x')", "table.unpack({}, 1, 2^60)", "utf8.len()"),
    *("tonumber('1', 1.5)", "tonumber(7, 10)", "tonumber({}, 'x')", "pcall()"),
    *("math.sqrt(-1)", "math.log(0)", "math.log(8, 1)", "math.log(-1, 2)", "math.exp(1000)"),
    *("math.acos(2)", "math.asin(-2)", "math.fmod(1, 0)", "math.sqrt('x')", "math.deg({})"),
    *("string.rep('x', 1e18)", "string.rep('x', 2^40, ',')", "os.date('*t', 1e300)"),
)


@pytest.mark.parametrize("code", BREAKING)
def test_what_would_break_the_device_is_an_error(process: Process, code: str) -> None:
    assert process.eval(f"tostring(pcall(function() return {code} end))").startswith("false")
    assert process.send(action="Eval", data=code).error
    assert process.eval("1 + 1") == "2"


SAME = (
    *("string.char(104, 105, '33')", "string.char()", "utf8.char(228, 8364)", "utf8.len('abc')"),
    *("table.unpack({1, 2, 3})", "table.unpack({1, 2, 3}, 2)", "table.unpack({1, 2}, 1, 3)"),
    *("tonumber('ff', 16)", "tonumber('8', 8)", "tonumber('z')", "tonumber(' 0x10 ')"),
    *("math.sqrt(16)", "math.log(8, 2)", "math.log(1)", "math.exp(1)", "math.acos(1)"),
    *("math.fmod(7, 3)", "math.fmod(-7.5, 2)", "math.deg(math.pi)", "math.rad(180)"),
    *("string.rep('ab', 3)", "string.rep('ab', 3, ',')", "string.rep('x', -1)"),
    *("string.find('a.b', '.', 1, true)", "string.find('abc', '', 2, true)"),
    *(
        "string.format('\\xc3\\xa4 %s|%5s|%-5s|%.2s', '\\255', 'a', 'b', 'xyz')",
        "string.format('%%%d', 7)",
    ),
    *("string.format('%q', 'a\\n\\r\\0001\\\\\"\\255')", "string.format('%q|%c%3c', 5, 200, 65)"),
    *("string.format('%5.1f|%x|%-4d|', 2.25, 255, 3)", "string.format('%s %s', nil, true)"),
    *("string.format(5)", "string.format('')", "(pcall(string.format, '%s'))"),
    *("string.find('abc', 'c', nil, true)", "string.find('abc', '(b)')", "pcall(error, 'x', 0)"),
)


@pytest.mark.parametrize("code", SAME)
def test_guarded_functions_do_what_those_of_lua_do(process: Process, code: str) -> None:
    lua = lua53.LuaRuntime(encoding="latin-1", unpack_returned_tuples=True)
    # Bytes as numbers, as an output has to be text.
    text = "tostring(a) .. tostring(b) .. tostring(c)"
    numbers = f"({text}):gsub('.', function(one) return one:byte() .. ' ' end)"
    shown = f"(function(...) local a, b, c = ... return ({numbers}) end)({{}})"
    due = lua.eval(shown.format(code))
    assert process.eval(shown.format(code)) == due
