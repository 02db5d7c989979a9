-- Version 4: `table.sort` leaves equal elements in the order in which plain Lua 5.3 leaves them, so
-- that a program gets the same here and in aos. Quicksort as in ltablib.c (auxsort), which takes the
-- median of three as its pivot. Where a large part was split badly, the core picks the next pivot by
-- the clock; here a fixed sequence of numbers does.
local H = ...
local raw = H.raw
local rawsort, rawlen, getmetatable = raw.table.sort, raw.rawlen, raw.debug.getmetatable
local type, error, tointeger = raw.type, raw.error, raw.math.tointeger
local less, uniform = H.less, H.uniform

local CHANCE_FROM = 100  -- elements of a part whose pivot may be picked (RANLIMIT)
local BAD = 128  -- times as long as the other: a part that was split badly
local LARGEST_PLAIN = 256  -- elements that are too few for such a part: the core's own sort will do
local INVALID = "invalid order function for sorting"

local function next_number(number) return number * 1664525 + 1013904223 & 0xFFFFFFFF end

-- Metamethods see reads and writes: these come in the core's order, which a multiple assignment
-- does not keep.
local function put_two(list, i, first, j, second)
  list[i] = first
  list[j] = second
end

-- Put three elements of a part in order: first, middle, last.
local function order_three(list, from, middle, to, lt)
  local between, first = list[middle], list[from]
  if lt(between, first) then return put_two(list, middle, first, from, between) end
  local last = list[to]
  if lt(last, between) then put_two(list, middle, last, to, between) end
end

-- Move what is less than the pivot before it. The pivot is at `to - 1`; returns its new place.
local function split(list, from, to, pivot, lt)
  local i, j = from, to - 1
  while true do
    i = i + 1
    local right = list[i]
    while lt(right, pivot) do
      if i == to - 1 then error(INVALID, 0) end
      i = i + 1
      right = list[i]
    end
    j = j - 1
    local left = list[j]
    while lt(pivot, left) do
      if j < i then error(INVALID, 0) end
      j = j - 1
      left = list[j]
    end
    if j < i then
      put_two(list, to - 1, right, i, pivot)
      return i
    end
    put_two(list, i, left, j, right)
  end
end

local function sort_part(list, from, to, lt, chance)
  while from < to do
    local first, last = list[from], list[to]
    if lt(last, first) then put_two(list, from, last, to, first) end
    if to - from == 1 then return end
    local at = (from + to) // 2
    if to - from >= CHANCE_FROM and chance ~= 0 then
      local quarter = (to - from) // 4
      at = chance % (quarter * 2) + from + quarter
    end
    order_three(list, from, at, to, lt)
    if to - from == 2 then return end
    local pivot = list[at]
    put_two(list, at, list[to - 1], to - 1, pivot)
    at = split(list, from, to, pivot, lt)
    local shorter
    if at - from < to - at then
      sort_part(list, from, at - 1, lt, chance)
      shorter = at - from
      from = at + 1
    else
      sort_part(list, at + 1, to, lt, chance)
      shorter = to - at
      to = at - 1
    end
    if (to - from) // BAD > shorter then chance = next_number(chance) end
  end
end

function table.sort(list, lt)
  if type(list) ~= "table" then
    error("bad argument #1 to 'sort' (table expected, got " .. type(list) .. ")", 2)
  end
  local is_plain = not getmetatable(list)
  local n = is_plain and rawlen(list) or tointeger(#list)
  if not n then error("object length is not an integer", 2) end
  if n < 2 then return end
  if lt ~= nil and type(lt) ~= "function" then
    error("bad argument #2 to 'sort' (function expected, got " .. type(lt) .. ")", 2)
  end
  if is_plain and (n <= LARGEST_PLAIN or not lt and uniform(list, n)) then return rawsort(list, lt) end
  sort_part(list, 1, n, lt or less, 0)
end
