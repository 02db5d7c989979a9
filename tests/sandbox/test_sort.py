"""`table.sort` takes the steps of the core's quicksort: equal elements end where they do there.

The oracle is lupa's Lua, whose core asks the clock for a pivot only where at least 100 elements are
left behind a part of less than a 128th of them: not in lists of up to 256 elements, and not in the
larger ones of `BALANCED`. `UNBALANCED` was sorted by a build of Lua 5.3.6 whose number for such
pivots is 1, as ours is.
"""

# ruff: noqa: E501 — a line of Lua reads best in one piece

from __future__ import annotations

import pytest
from sandbox_guest import Guest
from test_plain_lua import both

PREAMBLE = """
local seed = 1
local function random(n)
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed // 65536 % n + 1
end
local function at(element) return element and element.at or 0 end
local said = {}
-- Where each element ends, also behind an error, and which ones were compared.
local function try(list, compare)
  local steps, hash = 0, 0
  local ok, problem = pcall(table.sort, list, compare and function(a, b)
    steps, hash = steps + 1, (hash * 31 + at(a) * 7 + at(b)) % 1000003
    return compare(a, b, steps)
  end)
  local order = {}
  for i, element in ipairs(list) do order[i] = type(element) == "table" and at(element) or tostring(element) end
  said[#said + 1] = table.concat(order, " ") .. "; " .. steps .. " " .. hash .. " " .. tostring(problem)
end
local function records(count, ties)
  local list = {}
  for i = 1, count do list[i] = { key = random(ties), at = i } end
  return list
end
"""
END = "return table.concat(said, '\\n')"

COMPARISONS = (
    "a.key < b.key",
    "a.key > b.key",
    # Not orders: the core may find out, and says so.
    "a.key <= b.key",
    "a.key ~= b.key",
    "true",
    "false",
    "nil",
    "0",
    "random(2) == 1",
    "random(20) == 1 or a.key < b.key",
    # It fails on the way.
    "step == 9 and error('stop') or a.key < b.key",
    "step % 50 == 49 and error(false) or a.key < b.key",
    "a.key < b.key and nothing.here",
)


@pytest.fixture(scope="module")
def guest() -> Guest:
    return Guest(memory=256 << 20)


@pytest.mark.parametrize("compared", COMPARISONS)
def test_equal_elements_end_where_the_core_leaves_them(guest: Guest, compared: str) -> None:
    ours, plain = both(
        guest,
        PREAMBLE + f"local function compare(a, b, step) return {compared} end\n"
        "for round = 1, 300 do try(records(random(60) - 1, random(20)), compare) end "
        "for round = 1, 40 do try(records(random(257) - 1, random(300)), compare) end " + END,
    )
    assert ours.split("\n") == plain.split("\n")


# Count of elements and number of keys.
BALANCED = ((1000, 5), (1000, 1000), (5000, 50), (5000, 1))


@pytest.mark.parametrize(("count", "ties"), BALANCED)
def test_large_lists(guest: Guest, count: int, ties: int) -> None:
    ours, plain = both(
        guest,
        PREAMBLE + f"local list = records({count}, {ties}) "
        # As they come, and sorted.
        "for _ = 1, 2 do try(list, function(a, b) return a.key < b.key end) end " + END,
    )
    assert ours == plain


# The middle one of three is the second of all, so that 1,997 elements are left behind a part of one.
UNBALANCED = """
local list = records(2000, 400)
list[1].key, list[1000].key, list[2000].key = -2, -1, 500
try(list, function(a, b) return a.key < b.key end)
local hash = 0
for i, element in ipairs(list) do hash = (hash * 31 + element.at) % 1000003 end
return hash .. " " .. said[1]:match("; (.*)")
"""


def test_the_pivot_behind_an_unbalanced_part_is_no_clocks(guest: Guest) -> None:
    assert guest.eval(PREAMBLE + UNBALANCED).output == "865549 24579 318385 nil"


METATABLES = """
local by = { __lt = function(a, b) return a.key < b.key end }
for round = 1, 50 do
  local list = records(random(60), 9)
  for i, element in ipairs(list) do setmetatable(element, by) end
  try(list)
end
-- A list that is somewhere else: each access is seen.
for round = 1, 20 do
  local kept, seen = records(random(40), 9), {}
  local list = setmetatable({}, {
    __len = function() return #kept end,
    __index = function(_, i) seen[#seen + 1] = i return kept[i] end,
    __newindex = function(_, i, value) seen[#seen + 1] = -i kept[i] = value end,
  })
  try(list, function(a, b) return a.key < b.key end)
  said[#said + 1] = table.concat(seen, " ")
end
for _, length in ipairs({ 2.0, 1.5, "3", "x", 0x7FFFFFFF, 1 << 40, -5, {} }) do
  try(setmetatable({ 3, 2, 1 }, { __len = function() return length end }))
end
for round = 1, 50 do
  local list = {}
  for i = 1, random(60) do list[i] = random(9) // 2 + (random(2) == 1 and 0.0 or 0) end
  try(list)
end
try({ 1, "x", {}, 2 }) try({ {}, {} }) try({ false, true }) try({ 2, 1, 0 / 0, 3, 1 }) try({ "b", "a", 3 })
"""


def test_metatables_and_elements_of_all_kinds(guest: Guest) -> None:
    ours, plain = both(guest, PREAMBLE + METATABLES + END)
    assert ours.split("\n") == plain.split("\n")


CALLS = (
    "table.sort()", "table.sort(nil)", "table.sort(5)", "table.sort('x')", "table.sort({}, 5)", "table.sort({ 1 }, 5)",
    "table.sort({ 1, 2 }, 5)", "table.sort({ 1, 2 }, nil)", "table.sort({ 1, 2 }, setmetatable({}, { __name = 'A' }))",
    "table.sort({ 3, 1, 2, 5, 4, 7 }, function() return true end)", "return table.sort({ 2, 1 })",
    "table.sort(setmetatable({}, { __len = function() return 1 << 31 end }))",
)  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_errors_are_the_cores(guest: Guest, call: str) -> None:
    ours, plain = both(
        guest, f"return tostring((select(2, pcall(load([==[{call}]==], '=script')))))"
    )
    assert ours == plain


def test_a_comparator_may_yield(guest: Guest) -> None:
    """Not so in the core, which C calls."""
    sorting = (
        "local list = { 3, 1, 2 } local go = coroutine.wrap(function() table.sort(list, function(a, b)"
        " coroutine.yield() return a < b end) return 'done' end) local times = 0 "
        "while go() ~= 'done' do times = times + 1 end return times .. ': ' .. table.concat(list, ' ')"
    )
    assert guest.eval(sorting).output == "2: 1 2 3"


@pytest.mark.parametrize("version", [1, 2, 3])
def test_older_processes_sort_as_they_did(version: int) -> None:
    sorting = (
        "local list = {} for i = 1, 9 do list[i] = { key = i % 2, at = i } end "
        "table.sort(list, function(a, b) return a.key < b.key end) "
        "for i, one in ipairs(list) do list[i] = one.at end "
        "return table.concat(list, ' ') .. ' ' .. tostring(pcall(table.sort, { 3, 1, 2, 5, 4 }, function() return true end))"
    )
    assert Guest(version=version).eval(sorting).output == "2 4 6 8 1 3 5 7 9 true"
