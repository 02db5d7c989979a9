-- Where plain Lua 5.3 answers differently from run to run, one defined answer: pairs and next in
-- key order, a stable sort, serial numbers instead of addresses.
-- Order of keys: numbers, strings bytewise, false, true, then objects by serial number.
--
-- Two things stay as the core leaves them, since nothing here can reach them:
-- * `#` of a table with holes, once keys have been removed from its hash part: when such a table
--   is resized depends on collisions, and so on the string seed.
-- * Whether evaluating the same `function` expression again gives the same object, where it has
--   no upvalues or the same ones: the core keeps the last one until the collector comes by.
local H = ...
local raw = H.raw
local rawnext, rawget, rawequal, type = raw.next, raw.rawget, raw.rawequal, raw.type
local error, select, setmetatable = raw.error, raw.select, raw.setmetatable
local getmetatable = raw.debug.getmetatable
local rawsort, move, unpack = raw.table.sort, raw.table.move, raw.table.unpack
local format, gsub = raw.string.format, raw.string.gsub
local rawtostring, math_type = raw.tostring, raw.math.type
local serials, serial, number_keys, keeps_false = H.serials, H.serial, H.number_keys, H.version > 2

local weak = { __mode = "k" }

-- The type of a value, by the name that it gives itself.
local function type_name(value)
  local meta = getmetatable(value)
  local name = type(value) ~= "string" and meta and rawget(meta, "__name")
  return type(name) == "string" and name or type(value)
end

local function check_table(t, name, where)
  if type(t) == "table" then return end
  error("bad argument #1 to '" .. name .. "' (table expected, got " .. type_name(t) .. ")", where + 1)
end

-- Key order ----------------------------------------------------------------------------------

local rank = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local x, y = rank[type(a)] or 4, rank[type(b)] or 4
  if x ~= y then return x < y end
  if x <= 2 then return a < b end
  if x == 3 then return not a and b end
  return serials[a] < serials[b]
end

-- Keys of t, sorted. Sorts of one kind without a comparator are several times faster.
local function sorted(t, keys)
  local of = { {}, {}, {}, {} }
  for i = 1, #keys do
    local key = keys[i]
    local list = of[rank[type(key)] or 4]
    list[#list + 1] = key
  end
  local order, strings, booleans, objects = unpack(of)
  rawsort(order)
  rawsort(strings)
  move(strings, 1, #strings, #order + 1, order)
  rawsort(booleans, before)
  move(booleans, 1, #booleans, #order + 1, order)
  if objects[1] ~= nil then
    number_keys(t, objects)
    rawsort(objects, before)
    move(objects, 1, #objects, #order + 1, order)
  end
  return order
end

local function all_keys(t)
  local keys, n, texts = {}, 0, true
  for key in rawnext, t do
    n = n + 1
    keys[n] = key
    texts = texts and type(key) == "string"
  end
  return keys, texts
end

-- Keys of t, sorted; most tables have texts only.
local function sorted_keys(t)
  local keys, texts = all_keys(t)
  if not texts then return sorted(t, keys) end
  rawsort(keys)
  return keys
end

local function merged(t, old, new)
  local keys, n, j = {}, 0, 1
  for i = 1, #old do
    local key = old[i]
    if rawget(t, key) ~= nil then
      while new[j] ~= nil and before(new[j], key) do
        n = n + 1
        keys[n] = new[j]
        j = j + 1
      end
      n = n + 1
      keys[n] = key
    end
  end
  return move(new, j, #new, n + 1, keys)
end

local function positions(keys)
  local at = {}
  for i = 1, #keys do at[keys[i]] = i end
  return at
end

-- Large tables keep their order between calls; it is checked against the table at each start of a
-- traversal, which costs one raw walk instead of a sort.
local CACHED_FROM = 24
local cache = setmetatable({}, weak)  -- table → {keys=, at=}

local function remembered(t, known)
  local at, seen, new = known.at, 0, {}
  for key in rawnext, t do
    if at[key] then seen = seen + 1
    else new[#new + 1] = key end
  end
  if new[1] ~= nil or seen ~= #known.keys then
    known.keys = merged(t, known.keys, sorted(t, new))
    known.at = positions(known.keys)
  end
  return known.keys
end

-- Keys of t in order; nil where t is the sequence 1..n and nothing else, with n behind.
local function keys_of(t)
  local known = cache[t]
  if known then return remembered(t, known) end
  local n = 0
  for key in rawnext, t do
    n = n + 1
    if key ~= n then
      local keys = sorted_keys(t)
      if #keys >= CACHED_FROM then cache[t] = { keys = keys, at = positions(keys) } end
      return keys
    end
  end
  return nil, n
end

-- The same for the environment, with false where t is 1..n; nil where a script says itself what its
-- table holds, or it is none.
function H.keys(t)
  local meta = getmetatable(t)
  if type(t) ~= "table" or meta and rawget(meta, "__pairs") ~= nil then return nil end
  local keys, n = keys_of(t)
  if not keys then return false, n end
  -- What is remembered must not get into other hands.
  return #keys < CACHED_FROM and keys or move(keys, 1, #keys, 1, {})
end

-- Traversal ------------------------------------------------------------------------------------
-- A traversal sees the keys that the table had when it began, less those removed since.

-- A key's position; for one that is not there (any more), the last one before its place.
local function position(t, keys, n, key)
  if not keys then
    if math_type(key) and key >= 1 and key <= n and key % 1 == 0 then return key // 1 | 0 end
    keys = sorted_keys(t)
  elseif cache[t] and cache[t].at[key] then
    return cache[t].at[key]
  end
  for i = 1, #keys do
    if rawequal(keys[i], key) then return i end
  end
  if not rank[type(key)] then serial(key) end
  local i = 0
  while keys[i + 1] ~= nil and before(keys[i + 1], key) do i = i + 1 end
  return i
end

local function advance(t, walk)
  local keys, n, i = walk.keys, walk.n, walk.i
  local key, value
  repeat
    i = i + 1
    if keys then key = keys[i] else key = i <= n and i or nil end
    value = key ~= nil and rawget(t, key)
  until key == nil or value ~= nil
  walk.i, walk.key = i, key
  if keeps_false and key ~= nil then return key, value end return key, key ~= nil and value or nil
end

-- Where each table's traversal by `next` stands, so that its steps need not find their place. A
-- checkpoint does not hold that: it is forgotten with each message.
local walks = setmetatable({}, weak)
function H.forget_walks()
  if rawnext(walks) ~= nil then walks = setmetatable({}, weak) end
end

local function ordered_next(t, key)
  check_table(t, "next", 2)
  local walk = walks[t]
  if key == nil or not walk or not rawequal(walk.key, key) then
    if key == nil and rawnext(t) == nil then return nil end
    local keys, n = keys_of(t)
    walk = { keys = keys, n = n, i = key == nil and 0 or position(t, keys, n, key) }
    walks[t] = walk
  end
  return advance(t, walk)
end
_G.next = ordered_next

function _G.pairs(t, ...)
  local meta = getmetatable(t)
  local own = meta and rawget(meta, "__pairs")
  if own then
    local f, state, start = own(t)
    return f, state, start
  end
  check_table(t, "for iterator", 2)
  local keys, n = keys_of(t)
  local i, last = 0, nil
  return function(of, key)
    if key ~= last or of ~= t then return ordered_next(of, key) end
    while true do
      i = i + 1
      if keys then
        last = keys[i]
        if last == nil then return nil end
      else
        if i > n then last = nil; return nil end
        last = i
      end
      local value = rawget(t, last)
      if value ~= nil then return last, value end
    end
  end, t, nil
end

-- Sorting --------------------------------------------------------------------------------------
-- The raw sort picks its pivot by the clock: harmless only where equal elements cannot be told
-- apart. Otherwise a stable merge sort; from version 4 on, sort.lua.

-- The text of the core's own sort, which has no position.
local function less(a, b)
  local kind, other = type(a), type(b)
  if kind ~= other or kind ~= "number" and kind ~= "string" then
    local meta, second = getmetatable(a), getmetatable(b)
    if not (meta and rawget(meta, "__lt") or second and rawget(second, "__lt")) then
      kind, other = type_name(a), type_name(b)
      error(kind == other and "attempt to compare two " .. kind .. " values"
        or "attempt to compare " .. kind .. " with " .. other, 0)
    end
  end
  return a < b
end

local function uniform(list, n)
  local kind = type(list[1])
  if kind == "string" then
    for i = 2, n do if type(list[i]) ~= "string" then return false end end
    return true
  end
  for i = 1, n do if math_type(list[i]) ~= "integer" then return false end end
  return true
end

local function insertion(list, from, to, lt)
  for i = from + 1, to do
    local item, j = list[i], i - 1
    while j >= from and lt(item, list[j]) do
      list[j + 1] = list[j]
      j = j - 1
    end
    list[j + 1] = item
  end
end

local function merge(source, target, from, middle, to, lt)
  local i, j = from, middle + 1
  for k = from, to do
    if j > to or (i <= middle and not lt(source[j], source[i])) then
      target[k] = source[i]; i = i + 1
    else
      target[k] = source[j]; j = j + 1
    end
  end
end

local RUN = 8
function table.sort(list, lt)
  check_table(list, "sort", 2)
  if lt ~= nil and type(lt) ~= "function" then
    error("bad argument #2 to 'sort' (function expected, got " .. type(lt) .. ")", 2)
  end
  local n = #list
  if math_type(n) ~= "integer" then error("object length is not an integer", 2) end
  if not lt and n > 1 and not getmetatable(list) and uniform(list, n) then return rawsort(list) end
  lt = lt or less
  local a, b = {}, {}
  for i = 1, n do a[i] = list[i] end
  for from = 1, n, RUN do insertion(a, from, from + RUN - 1 < n and from + RUN - 1 or n, lt) end
  local width = RUN
  while width < n do
    for from = 1, n, 2 * width do
      local middle = from + width - 1
      if middle > n then middle = n end
      local to = from + 2 * width - 1
      if to > n then to = n end
      merge(a, b, from, middle, to, lt)
    end
    a, b = b, a
    width = 2 * width
  end
  for i = 1, n do list[i] = a[i] end
end

-- Addresses ------------------------------------------------------------------------------------

local numbered = { table = true, ["function"] = true, thread = true, userdata = true }

local function address(value)
  return format("%s: 0x%08x", type_name(value), serial(value))
end

local function ordered_tostring(...)
  local value = ...
  if not numbered[type(value)] then
    if select("#", ...) == 0 then error("bad argument #1 to 'tostring' (value expected)", 2) end
    return rawtostring(value)
  end
  local meta = getmetatable(value)
  if meta and rawget(meta, "__tostring") then return rawtostring(value) end
  return address(value)
end
_G.tostring = ordered_tostring

-- %s prints objects through the raw tostring, and %q refuses them.
local function objects_as_text(pattern, args)
  local index = 0
  gsub(pattern, "%%[-+ #0]*%d*%.?%d*(.)", function(conversion)
    if conversion == "%" then return end
    index = index + 1
    if conversion == "s" and numbered[type(args[index])] then
      args[index] = ordered_tostring(args[index])
    end
  end)
end

function string.format(pattern, ...)
  local n = select("#", ...)
  for i = 1, n do
    if numbered[type((select(i, ...)))] then
      local args = { ... }
      if type(pattern) == "string" then objects_as_text(pattern, args) end
      return format(pattern, unpack(args, 1, n))
    end
  end
  return format(pattern, ...)
end

-- At the end, as scripts of version 1 can see the lines of what stands above: for later chunks.
H.type_name, H.is_uniform = type_name, uniform
