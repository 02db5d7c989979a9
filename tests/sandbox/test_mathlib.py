"""`host/mathlib.lua`: the functions of Lua 5.2 in `math`, beside Python's."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_guest import Guest

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LARGE = st.floats(-800, 800)


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    yield Guest()


def asked(guest: Guest, code: str) -> list[float]:
    """The numbers of a list in Lua, with all their digits."""
    text = f"local l = {code} for i, x in ipairs(l) do l[i] = string.format('%a', x) end "
    answer = guest.eval(f"{text} return table.concat(l, ' ')")
    assert not answer.error, answer.error
    return [float.fromhex(one) for one in answer.output.split()]


@given(value=FLOATS)
def test_frexp_is_exact(guest: Guest, value: float) -> None:
    fraction, exponent = asked(guest, f"{{ math.frexp({value!r}) }}")
    assert (fraction, exponent) == math.frexp(value)
    assert math.copysign(1, fraction) == math.copysign(1, value)


@given(value=FLOATS, by=st.integers(-2200, 2200))
def test_ldexp_rounds_once(guest: Guest, value: float, by: int) -> None:
    (found,) = asked(guest, f"{{ math.ldexp({value!r}, {by}) }}")
    try:
        assert found == math.ldexp(value, by)
    except OverflowError:
        assert found == math.copysign(math.inf, value)


@pytest.mark.parametrize("by", ["1 << 40", "math.maxinteger"])
def test_ldexp_takes_any_exponent(guest: Guest, by: str) -> None:
    assert asked(guest, f"{{ math.ldexp(1, {by}), math.ldexp(-1, -({by})) }}") == [math.inf, -0.0]


@pytest.mark.parametrize("name", ["cosh", "sinh", "tanh"])
@given(value=st.one_of(LARGE, st.floats(-1e-3, 1e-3)))
def test_hyperbolic_functions(guest: Guest, name: str, value: float) -> None:
    """To the last digits: the core's library rounds otherwise."""
    (found,) = asked(guest, f"{{ math.{name}({value!r}) }}")
    try:
        due = getattr(math, name)(value)
    except OverflowError:
        due = math.copysign(math.inf, value) if name == "sinh" else math.inf
    assert found == due or math.isclose(found, due, rel_tol=4e-16 * 4)


def test_what_is_no_number(guest: Guest) -> None:
    calls = ("pow(2, '3')", "log10('1e3')", "atan2(0, -1)", "frexp(1 / 0)", "ldexp(1 / 0, 1)")
    found = asked(guest, "{ " + ", ".join(f"(math.{call})" for call in calls) + " }")
    assert found == [8.0, 3.0, math.pi, math.inf, math.inf]
    (same,) = asked(guest, "{ math.frexp(0 / 0) ~= math.frexp(0 / 0) and 1 or 0 }")
    assert same == 1


def test_what_stands_under_version_3() -> None:
    """Its logs may hold what scripts made of the lack."""
    assert Guest(version=3).eval("return type(math.pow) .. type(package.path)").output == "nilnil"
    assert Guest().eval("return type(math.pow) .. type(package.path)").output == "functionstring"


def test_a_checkpoint_holds_them(guest: Guest) -> None:
    guest.eval("Kept = { math.pow, math.frexp, math.atan2, table.sort, math.sinh }")
    image = guest.runtime.image()
    again = Guest()
    again.runtime.restore(image)
    code = "return Kept[1] == math.pow and Kept[4] == table.sort and Kept[1](2, 5)"
    assert again.eval(code).output == "32.0"
