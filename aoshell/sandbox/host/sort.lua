-- Version 4: table.sort leaves equal elements where the core leaves them, so that a script gets the
-- same list as in aos and in plain Lua. These are the steps of the core's quicksort (Lua 5.3.6
-- ltablib.c), comparison by comparison; only where the core asks the clock stands a fixed number.
-- Unlike there, a comparator may yield.
local H = ...
local raw = H.raw
local type, error, select, tointeger = raw.type, raw.error, raw.select, raw.math.tointeger
local getmetatable, rawsort = raw.debug.getmetatable, raw.table.sort
local type_name, is_uniform = H.type_name, H.is_uniform

local INVALID = "invalid order function for sorting"
local TOO_BIG = 0x7FFFFFFF  -- elements
local LARGE = 100      -- up to here the pivot always comes from the middle
local UNBALANCED = 128  -- times that the larger part may be the smaller one
local OFF_MIDDLE = 1   -- the core's number for pivots after an unbalanced part is one of the clock

local function less(a, b) return a < b end

-- Puts what is less than the pivot before it, and what is greater behind it; where it then stands.
-- The pivot is at up - 1 already, and neither less than list[lo] nor greater than list[up].
local function partition(list, lo, up, pivot, lt)
  local i, j, last = lo, up - 1, up - 1
  while true do
    i = i + 1
    local low = list[i]
    while lt(low, pivot) do
      if i == last then error(INVALID, 0) end
      i = i + 1
      low = list[i]
    end
    j = j - 1
    local high = list[j]
    while lt(pivot, high) do
      if j < i then error(INVALID, 0) end
      j = j - 1
      high = list[j]
    end
    if j < i then
      list[last] = low
      list[i] = pivot
      return i
    end
    list[i] = high
    list[j] = low
  end
end

-- Sorts three elements, so that the one at `middle` can be the pivot.
local function sort_three(list, lo, middle, up, lt)
  local value, first = list[middle], list[lo]
  if lt(value, first) then
    list[middle] = first
    list[lo] = value
    return
  end
  local last = list[up]
  if lt(last, value) then
    list[middle] = last
    list[up] = value
  end
end

local function sort(list, lo, up, lt, off)
  while lo < up do
    local first, last = list[lo], list[up]
    if lt(last, first) then
      list[lo] = last
      list[up] = first
    end
    local size = up - lo
    if size == 1 then return end
    local middle = (lo + up) // 2
    if off > 0 and size >= LARGE then middle = lo + size // 4 + off % (size // 4 * 2) end
    sort_three(list, lo, middle, up, lt)
    if size == 2 then return end
    local pivot, other = list[middle], list[up - 1]
    list[middle] = other
    list[up - 1] = pivot
    local at, smaller = partition(list, lo, up, pivot, lt), nil
    if at - lo < up - at then
      sort(list, lo, at - 1, lt, off)
      smaller, lo = at - lo, at + 1
    else
      sort(list, at + 1, up, lt, off)
      smaller, up = up - at, at - 1
    end
    if (up - lo) // UNBALANCED > smaller then off = OFF_MIDDLE end
  end
end

local function refuse(number, what)
  error("bad argument #" .. number .. " to 'sort' (" .. what .. ")", 0)
end

function table.sort(...)
  local list, lt = ...
  if type(list) ~= "table" then
    refuse(1, "table expected, got " .. (select("#", ...) == 0 and "no value" or type_name(list)))
  end
  local n = tointeger(#list)
  if not n then error("object length is not an integer", 0) end
  if n < 2 then return end
  if n >= TOO_BIG then refuse(1, "array too big") end
  if lt == nil then
    -- The core's own sort, where equal elements cannot be told apart.
    if not getmetatable(list) and is_uniform(list, n) then return rawsort(list) end
    lt = less
  elseif type(lt) ~= "function" then
    refuse(2, "function expected, got " .. type_name(lt))
  end
  sort(list, 1, n, lt, 0)
end
