"""`host/order.lua`: traversal and sorting as plain Lua does them, in a defined order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lupa import lua53
from replay_harness import Harness
from replay_programs import evaluation, first
from replay_runner import DEFINITION

from aoshell.sandbox import environment
from aoshell.sandbox.lua import VERSIONS, LuaRuntime


class Guest:
    """A process that evaluates Lua."""

    def __init__(self, version: int = max(VERSIONS)) -> None:
        sources = {**environment.read_sources(), environment.HOST_VERSION: f"return {version}"}
        self.runtime = LuaRuntime(sources, lambda _text: None)
        self.runtime.boot(DEFINITION)
        self.runtime.deliver(first())
        self._count = 0

    def run(self, code: str) -> str:
        self._count += 1
        error, output, *_ = self.runtime.deliver(evaluation(self._count, code))
        assert not error, error
        return str(output)

    def lines(self, code: str) -> list[str]:
        return self.run(code).split("\n")


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    yield Guest()


@pytest.fixture(scope="module")
def older() -> Iterator[Guest]:
    yield Guest(version=3)


def literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\{ord(c):03d}" for c in value) + '"'
    if isinstance(value, float):
        return {math.inf: "1/0", -math.inf: "-1/0"}.get(value) or repr(value)
    return str(value) if value != -(2**63) else "math.mininteger"


def rank(key: Any) -> tuple[int, Any]:
    if isinstance(key, bool):
        return 2, key
    if isinstance(key, str):
        return 1, key
    return 0, key


KEYS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-3, 30),
    st.floats(allow_nan=False),
    st.booleans(),
    st.text(st.characters(max_codepoint=255), max_size=5),
)
ROUND = settings(max_examples=150, derandomize=True, database=None, deadline=None)


def typed(key: Any) -> tuple[type, Any]:
    """As Lua tells keys apart: an integer float is an integer, true is not 1."""
    if isinstance(key, float) and key.is_integer() and -(2**63) <= key < 2**63:
        return int, int(key)
    return type(key), key


@ROUND
@given(keys=st.lists(KEYS, max_size=60))
def test_pairs_goes_through_all_keys_in_order(guest: Guest, keys: list[Any]) -> None:
    known = {typed(key): key for key in keys}
    # Equal in Python, not in Lua: 2^53 and its float are the same key in both.
    expected = sorted(known.values(), key=rank)
    fill = " ".join(f"t[{literal(key)}] = true" for key in keys)
    order = " ".join(f"order[#order + 1] = {literal(key)}" for key in expected)
    assert (
        guest.run(
            f"local t, order = {{}}, {{}} {fill} {order} local i = 0 "
            "for k in pairs(t) do i = i + 1 "
            "if not rawequal(k, order[i]) then return 'pairs ' .. i end end "
            "local j, k = 0, next(t) while k ~= nil do j = j + 1 "
            "if not rawequal(k, order[j]) then return 'next ' .. j end k = next(t, k) end "
            "return i .. ' ' .. j .. ' ' .. #order"
        )
        == f"{len(expected)} {len(expected)} {len(expected)}"
    )


@ROUND
@given(keys=st.lists(KEYS, max_size=60), data=st.data())
def test_what_is_removed_on_the_way_is_not_met(
    guest: Guest, keys: list[Any], data: st.DataObject
) -> None:
    """Assigning to keys, and removing them, is allowed in a traversal: none is met twice."""
    fill = " ".join(f"t[{literal(key)}] = true" for key in keys)
    every = data.draw(st.integers(1, 3))
    walk = data.draw(st.sampled_from(["pairs(t)", "next, t"]))
    assert (
        guest.run(
            f"local t, seen, gone, list = {{}}, {{}}, {{}}, {{}} {fill} "
            "for k in pairs(t) do list[#list + 1] = k end local n = 0 "
            f"for k in {walk} do n = n + 1 if seen[k] or gone[k] then return 'twice' end "
            "seen[k] = true t[k] = 'changed' "
            f"if n % {every} == 0 then t[k] = nil "
            "local other = list[n * 7 % #list + 1] t[other] = nil gone[other] = true end end "
            "for _, k in ipairs(list) do "
            "if not seen[k] and not gone[k] then return 'missed' end end return 'fine'"
        )
        == "fine"
    )


def test_a_sequence_is_traversed_as_it_stands(guest: Guest) -> None:
    assert guest.lines("for k, v in pairs { 'a', 'b', 'c' } do print(k .. v) end") == [
        "1a",
        "2b",
        "3c",
    ]


@pytest.mark.parametrize(
    ("table", "key", "expected"),
    [
        ("{ 1, 2, 3 }", "nil", "1"),
        ("{ 1, 2, 3 }", "2", "3"),
        ("{ 1, 2, 3 }", "2.0", "3"),
        ("{ 1, 2, 3 }", "3", "nil"),
        ("{ 1, 2, 3 }", "'2'", "nil"),
        ("{ 1, 2, 3 }", "1.5", "2"),
        ("{ 1, 2, 3 }", "0", "1"),
        ("{}", "nil", "nil"),
        ("{}", "1", "nil"),
        ("{ a = 1, c = 2 }", "'b'", "c"),
        ("{ a = 1, c = 2 }", "print", "nil"),
        ("{ a = 1, c = 2 }", "0/0", "a"),
        ("{ [true] = 1, [false] = 2 }", "false", "true"),
    ],
)
def test_next_of_any_key(guest: Guest, table: str, key: str, expected: str) -> None:
    """Where plain Lua says "invalid key to 'next'", the keys behind its place come: a key may have
    been removed since."""
    assert guest.run(f"return tostring(next({table}, {key}))") == expected


def test_next_needs_a_table(guest: Guest) -> None:
    assert guest.lines(
        "print((select(2, pcall(next, 5)))) print((select(2, pcall(next, nil))))"
    ) == [
        "bad argument #1 to 'next' (table expected, got number)",
        "bad argument #1 to 'next' (table expected, got nil)",
    ]


def test_keys_that_call_themselves_equal_are_still_several(guest: Guest) -> None:
    code = (
        "local equal = { __eq = function() return true end } local t = {} "
        "for i = 1, 3 do t[setmetatable({}, equal)] = i end "
        "local n, k = 0, next(t) while k and n < 9 do n = n + 1 k = next(t, k) end return n"
    )
    assert guest.run(code) == "3"


def test_pairs_by_a_metamethod(guest: Guest) -> None:
    code = (
        "local t = setmetatable({}, { __pairs = function(o) "
        "return function(_, k) k = (k or 0) + 1 if k < 4 then return k end end, o, nil end }) "
        "local sum = 0 for k in pairs(t) do sum = sum + k end return sum"
    )
    assert guest.run(code) == "6"


def test_pairs_needs_a_table(guest: Guest) -> None:
    code = "local ok, why = pcall(function() for k in pairs(nil) do end end) return why"
    assert guest.run(code).endswith("bad argument #1 to 'for iterator' (table expected, got nil)")


def test_traversals_within_each_other(guest: Guest) -> None:
    code = (
        "local t = {} for i = 1, 40 do t['k' .. i] = i end local n = 0 "
        "for a in next, t do for b in next, t do n = n + 1 end end "
        "for a in pairs(t) do for b in pairs(t) do n = n + 1 end end return n"
    )
    assert guest.run(code) == "3200"


# Sorting ---------------------------------------------------------------------------------------


@ROUND
@given(keys=st.lists(st.integers(0, 20), max_size=300), down=st.booleans())
def test_sorts_were_stable_up_to_version_3(older: Guest, keys: list[int], down: bool) -> None:
    items = ", ".join(f"{{ {key}, {at} }}" for at, key in enumerate(keys))
    sign = ">" if down else "<"
    code = (
        f"local l = {{ {items} }} table.sort(l, function(x, y) return x[1] {sign} y[1] end) "
        "local out = {} for i, e in ipairs(l) do out[i] = e[2] end return table.concat(out, ' ')"
    )
    order = sorted(range(len(keys)), key=lambda at: -keys[at] if down else keys[at])
    assert older.run(code) == " ".join(map(str, order))


@ROUND
@given(
    items=st.one_of(
        st.lists(st.one_of(st.integers(-99, 99), st.floats(-99, 99)), max_size=300),
        st.lists(st.text(st.characters(max_codepoint=255), max_size=4), max_size=300),
    )
)
def test_sorts_by_value(guest: Guest, items: list[Any]) -> None:
    listed = ", ".join(literal(item) for item in items)
    ordered = ", ".join(literal(item) for item in sorted(items))
    code = (
        f"local l, r = {{ {listed} }}, {{ {ordered} }} table.sort(l) "
        "for i = 1, #r do if l[i] ~= r[i] then return i end end return #l == #r and 'same'"
    )
    assert guest.run(code) == "same"


@pytest.mark.parametrize(
    "compare", ["true", "false", "x <= y", "x ~= y", "math.random() < 0.5", "x % 3 < y % 2", "nil"]
)
def test_a_comparator_that_is_none_ends(guest: Guest, older: Guest, compare: str) -> None:
    """Plain Lua may say "invalid order function", too; up to version 3 it was some order."""
    code = (
        "local l = {} for i = 1, 500 do l[i] = i * 7919 % 500 end local ok, why = "
        f"pcall(table.sort, l, function(x, y) return {compare} end) table.sort(l) "
        "for i = 1, 500 do if l[i] ~= i - 1 then return 'lost ' .. i end end return why or 'sorted'"
    )
    assert guest.run(code) in ("sorted", "invalid order function for sorting")
    assert older.run(code) == "sorted"


@pytest.mark.parametrize(
    "sort",
    ["{ 3, 'x' }", "{ {}, {} }", "{ 1, {} }", "{ true, false }", "{ print, print }", "5", "nil",
     "setmetatable({ {}, {} }, { __len = function() return 1.5 end })",
     "{ setmetatable({}, { __name = 'A' }), setmetatable({}, { __name = 'B' }) }"],
)  # fmt: skip
def test_what_cannot_be_sorted_is_said_as_lua_says_it(guest: Guest, sort: str) -> None:
    plain = str(lua53.LuaRuntime().eval(f"select(2, pcall(table.sort, {sort}))"))
    if "compare" in plain:  # which of two it met first is the algorithm's own affair
        words = sorted(plain.split())
        assert sorted(guest.run(f"return select(2, pcall(table.sort, {sort}))").split()) == words
    else:
        assert guest.run(f"return select(2, pcall(table.sort, {sort}))") == plain


def test_metamethods_count_in_sorts(guest: Guest) -> None:
    code = (
        "local by = { __lt = function(x, y) return x.n < y.n end } local l = {} "
        "for i = 1, 5 do l[i] = setmetatable({ n = -i }, by) end table.sort(l) "
        "return l[1].n .. ' ' .. l[5].n"
    )
    assert guest.run(code) == "-5 -1"


# The same elsewhere ----------------------------------------------------------------------------

# One entry a bug that the harness has found, and what it was.
REGRESSIONS = {
    "steps of next behind a checkpoint": [
        "t = {} for i = 1, 30 do t['k' .. i] = i end k = next(t)",
        "t.k11111 = 1 print(next(t, k)) k = next(t, k)",
        "t.k1111 = 1 print(next(t, k)) for k in next, t, k do t[k .. 'x'] = nil end",
    ],
    "a list with holes in a table that was there at the start": [
        "for i = 1, 9 do Inbox[i] = i end Inbox[2], Inbox[5], Inbox[9] = nil",
        "print(#Inbox) Inbox[12] = 1 print(#Inbox)",
    ],
    "the text of an error in a sort": [
        "print((select(2, pcall(table.sort, { {}, {} })))) return select(2, pcall(table.sort, "
        "{ 1, 'x' }))",
    ],
    "keys that look the same, known by other names": [
        "T, N = {}, {} for i = 1, 8 do N[i] = {} end for i = 8, 1, -1 do T[N[i]] = 1 end",
        "for k in pairs(T) do for i = 1, 8 do if k == N[i] then print(i) end end end",
    ],
    "keys that look the same, on the stack only": [
        "local x, y, z = {}, {}, {} for k in pairs { [x] = 1, [y] = 1, [z] = 1 } do "
        "print(k == x and 'x' or k == y and 'y' or 'z') end",
    ],
    "keys that look the same, in a parked coroutine": [
        "Co = coroutine.wrap(function() local x, y, z = {}, {}, {} "
        "local t = { [x] = 1, [y] = 1, [z] = 1 } coroutine.yield(t) return x, y, z end)",
        "T = Co() for k in pairs(T) do tostring(k) end "
        "for i, o in ipairs { Co() } do print(tostring(o)) end",
    ],
}


def test_tables_are_never_weak(guest: Guest) -> None:
    guest.run(
        "m = {} t, u = setmetatable({}, m), setmetatable({}, { __mode = 'k' }) m.__mode = 'k' "
        "t[{}], u[{}] = 1, 1"
    )
    guest.runtime._host.raw.collectgarbage()
    assert guest.run("return t[next(t)] + u[next(u)]") == "2"


@pytest.mark.parametrize("name", REGRESSIONS)
def test_found_by_the_harness(harness: Harness, name: str) -> None:
    codes = REGRESSIONS[name]
    messages = [first(), *(evaluation(at, code) for at, code in enumerate(codes, 1))]
    live = harness.agree(messages, list(range(len(messages))))
    assert {outcome for outcome, _ in live.slots.values()} == {"ok"}
