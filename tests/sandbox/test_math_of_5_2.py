"""Functions of Lua 5.2 that aos's build of Lua 5.3 has in `math`, and processes since version 4."""

# ruff: noqa: E501 — a line of Lua reads best in one piece

from __future__ import annotations

import math
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_guest import Guest
from test_plain_lua import answers, calls_of

from aoshell.sandbox.lua import VERSIONS

NAMES = ("atan2", "cosh", "frexp", "ldexp", "log10", "pow", "sinh", "tanh")


@pytest.fixture(scope="module")
def guest() -> Guest:
    return Guest(memory=256 << 20)


def literal(x: float) -> str:
    """Lua that gives these bits: no literal gives nan, infinity or -0."""
    return f"(string.unpack('<d', '{_escaped(struct.pack('<d', x))}'))"


def _escaped(text: bytes) -> str:
    return "".join(f"\\{byte:03d}" for byte in text)


def shown(x: float | int) -> str:
    """A number's bits; those of all nan are the same."""
    if isinstance(x, int):
        return str(x)
    return "nan" if math.isnan(x) else struct.pack(">d", x).hex()


SHOW = """local function shown(x)
  if math.type(x) == 'integer' then return tostring(x) end
  return x ~= x and 'nan' or (string.pack('>d', x):gsub('.', function(c) return ('%02x'):format(c:byte()) end))
end
"""


def bits(guest: Guest, *calls: str) -> list[str]:
    """What each call gives, as `shown` has it."""
    packed = "".join(f"said[#said + 1] = shown(({call}))\n" for call in calls)
    answer = guest.eval(f"local said = {{}}\n{SHOW}{packed}return table.concat(said, ' ')")
    assert not answer.error, answer.error
    return answer.output.split()


def within(function: Callable[[float], float], x: float, beyond: float) -> float:
    """C gives `beyond` where Python raises."""
    try:
        return function(x)
    except (OverflowError, ValueError):
        return beyond


def log10(x: float) -> float:
    return within(math.log10, x, -math.inf if x == 0 else math.nan)


def sinh(x: float) -> float:
    return within(math.sinh, x, math.copysign(math.inf, x))


def cosh(x: float) -> float:
    return within(math.cosh, x, math.inf)


def ldexp(x: float, by: int) -> float:
    """C takes an int of 32 bits."""
    by = (by + (1 << 31)) % (1 << 32) - (1 << 31)
    return within(lambda x: math.ldexp(x, by), x, math.copysign(math.inf, x))


FLOATS = st.one_of(
    st.floats(),
    st.floats(-800, 800),
    st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, -5e-324, 2.0**-1022]),
)


@given(x=FLOATS, y=FLOATS)
def test_floats(guest: Guest, x: float, y: float) -> None:
    of = {name: f"math.{name}({literal(x)})" for name in NAMES}
    two = f"{literal(x)}, {literal(y)}"
    expected = {
        of["cosh"]: cosh(x),
        of["sinh"]: sinh(x),
        of["tanh"]: math.tanh(x),
        of["log10"]: log10(x),
        f"math.atan2({two})": math.atan2(x, y),
        of["atan2"]: math.atan2(x, 1.0),
        of["frexp"]: math.frexp(x)[0],
        f"select(2, {of['frexp']})": math.frexp(x)[1],
    }
    assert bits(guest, *expected) == [shown(value) for value in expected.values()]
    # The operator is C's `pow`.
    assert len(set(bits(guest, f"math.pow({two})", f"{literal(x)} ^ {literal(y)}"))) == 1


EXPONENTS = st.one_of(
    st.integers(-2200, 2200),
    st.integers(-1080, -1015),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([2**31 - 1, -(2**31), 2**31, 2**32, -(2**63)]),
)


@given(x=FLOATS, by=EXPONENTS)
def test_ldexp(guest: Guest, x: float, by: int) -> None:
    integer = str(by) if by != -(2**63) else "math.mininteger"
    call = f"math.ldexp({literal(x)}, {integer})"
    assert bits(guest, call) == [shown(ldexp(x, by))]


def test_integers_and_texts_are_numbers(guest: Guest) -> None:
    assert guest.eval(
        "return table.concat({ math.pow(2, 3), math.pow('2', ' 0x3 '), math.log10('1000'), "
        "math.ldexp('1', '3.0'), math.frexp(8) }, ' ') .. ' ' .. math.type(select(2, math.frexp(8)))"
    ).output == ("8.0 8.0 3.0 8.0 0.5 4 integer")


# Functions of plain Lua that take the same arguments.
LIKE = {
    "atan2": "atan",
    "cosh": "sin",
    "frexp": "sin",
    "log10": "sin",
    "sinh": "sin",
    "tanh": "sin",
}


@pytest.mark.parametrize("name", LIKE)
def test_bad_arguments_are_told_as_those_of_others(guest: Guest, name: str) -> None:
    calls = calls_of(f"math.{name}")
    ours, _missing = answers(guest, calls)
    _ours, plain = answers(guest, calls_of(f"math.{LIKE[name]}"))
    due = [text.replace(LIKE[name], name) for text in plain]
    differing = [each for each in zip(calls, ours, due, strict=True) if each[1] != each[2]]
    assert differing == []


BAD = {
    "pow()": "#1 to 'pow' (number expected, got no value)",
    "pow(nil, 2)": "#1 to 'pow' (number expected, got nil)",
    "pow(2)": "#2 to 'pow' (number expected, got no value)",
    "pow('x', {})": "#1 to 'pow' (number expected, got string)",
    "pow('2', setmetatable({}, { __name = 'A' }))": "#2 to 'pow' (number expected, got A)",
    "ldexp()": "#1 to 'ldexp' (number expected, got no value)",
    "ldexp(1)": "#2 to 'ldexp' (number expected, got no value)",
    "ldexp(1, nil)": "#2 to 'ldexp' (number expected, got nil)",
    "ldexp('x', 1)": "#1 to 'ldexp' (number expected, got string)",
    "ldexp(1, 'x')": "#2 to 'ldexp' (number expected, got string)",
    "ldexp(1, 1.5)": "#2 to 'ldexp' (number has no integer representation)",
    "ldexp(1, '1.5')": "#2 to 'ldexp' (number has no integer representation)",
    "ldexp(1, 2^63)": "#2 to 'ldexp' (number has no integer representation)",
}


@pytest.mark.parametrize("call", BAD)
def test_bad_arguments_of_those_with_two(guest: Guest, call: str) -> None:
    code = f"local function f() return math.{call} end\nreturn (select(2, pcall(f)))"
    assert guest.eval(code).output == f'[string "aos"]:1: bad argument {BAD[call]}'


def test_a_traceback_has_their_names(guest: Guest) -> None:
    said = guest.eval(
        "return select(2, xpcall(function() local x = math.cosh() end, debug.traceback))"
    ).output
    assert "[C]: in function 'math.cosh'\n\t[string \"aos\"]:1: in function <" in said


@pytest.mark.parametrize("version", VERSIONS)
def test_which_processes_have_them(version: int) -> None:
    has = "local n = 0 for name in ('%s'):gmatch('%%S+') do if math[name] then n = n + 1 end end return n"
    assert Guest(version=version).eval(has % " ".join(NAMES)).output == (
        "8" if version > 3 else "0"
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_the_path_of_packages_is_a_text(version: int) -> None:
    added = (
        "local ok, why = pcall(function() package.path = package.path .. ';./?.lua' "
        "package.cpath = package.cpath .. ';./?.so' end) return tostring(ok) .. tostring(package.path)"
    )
    said = Guest(version=version).eval(added).output
    assert said == ("true;./?.lua" if version > 3 else "falsenil")


def test_a_checkpoint_holds_them(guest: Guest) -> None:
    guest.eval("Kept = { math.pow, math.frexp, math.atan2, table.sort, math.sinh }")
    again = Guest(memory=256 << 20)
    again.runtime.restore(guest.runtime.image())
    code = "return Kept[1] == math.pow and Kept[4] == table.sort and Kept[1](2, 5)"
    assert again.eval(code).output == "32.0"
