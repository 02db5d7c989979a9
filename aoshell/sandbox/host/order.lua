-- Where plain Lua 5.3 answers differently from run to run, one defined answer: pairs and next in
-- key order, a stable sort, serial numbers instead of addresses.
-- Order of keys: numbers, strings bytewise, false, true, then objects by serial number.
local H = ...
local raw = H.raw
local rawnext, rawget, type, error, select = raw.next, raw.rawget, raw.type, raw.error, raw.select
local getmetatable, setmetatable = raw.debug.getmetatable, raw.setmetatable
local rawsort, unpack, concat = raw.table.sort, raw.table.unpack, raw.table.concat
local format, gsub, byte = raw.string.format, raw.string.gsub, raw.string.byte
local rawtostring, math_type = raw.tostring, raw.math.type
local getinfo, getupvalue = raw.debug.getinfo, raw.debug.getupvalue
local status = raw.coroutine.status

-- Serials ------------------------------------------------------------------------------------
-- An object is numbered when its address would first be seen: by tostring, or as a key.

local weak = { __mode = "k" }
local serials = setmetatable({}, weak)
H.serials = serials
H.last_serial = 0

local function serial(object)
  local number = serials[object]
  if not number then
    number = H.last_serial + 1
    H.last_serial = number
    serials[object] = number
  end
  return number
end

local scalar = { ["nil"] = true, boolean = true, number = true, string = true }

-- What can be said of an object without its address, to some depth.
local describe
local function describe_table(t, depth)
  local parts = {}
  for key, value in rawnext, t do
    parts[#parts + 1] = describe(key, depth - 1) .. "=" .. describe(value, depth - 1)
  end
  rawsort(parts)
  return "{" .. concat(parts, ",") .. "}"
end

function describe(value, depth)
  local kind = type(value)
  if kind == "string" then return format("%q", value) end
  if scalar[kind] then return rawtostring(value) end
  if serials[value] then return "#" .. serials[value] end
  if depth == 0 then return kind end
  if kind == "table" then return describe_table(value, depth) end
  if kind == "thread" then return "thread " .. status(value) end
  local info = getinfo(value, "S")
  local parts = { "function " .. info.source .. ":" .. info.linedefined }
  for index = 1, 255 do
    local name, upvalue = getupvalue(value, index)
    if not name then break end
    parts[#parts + 1] = name == "_ENV" and name or describe(upvalue, depth - 1)
  end
  return concat(parts, " ")
end

-- Several unnumbered objects as keys of one table: numbered by what they and their values look
-- like. Twins that look the same keep the raw order, which is the limit of this rule.
local function number_objects(t, objects)
  local unseen = {}
  for _, object in raw.ipairs(objects) do
    if not serials[object] then
      unseen[#unseen + 1] = { object, describe(object, 3) .. "\0" .. describe(rawget(t, object), 3) }
    end
  end
  if #unseen > 1 then rawsort(unseen, function(a, b) return a[2] < b[2] end) end
  for _, pair in raw.ipairs(unseen) do serial(pair[1]) end
end

-- Key order ----------------------------------------------------------------------------------

local function sorted(t, keys)
  local numbers, strings, objects, no, yes = {}, {}, {}, false, false
  for i = 1, #keys do
    local key = keys[i]
    local kind = type(key)
    if kind == "string" then strings[#strings + 1] = key
    elseif kind == "number" then numbers[#numbers + 1] = key
    elseif key == false then no = true
    elseif key == true then yes = true
    else objects[#objects + 1] = key end
  end
  rawsort(numbers)
  rawsort(strings)
  local n = #numbers
  for i = 1, #strings do numbers[n + i] = strings[i] end
  if no then numbers[#numbers + 1] = false end
  if yes then numbers[#numbers + 1] = true end
  if objects[1] ~= nil then
    number_objects(t, objects)
    rawsort(objects, function(a, b) return serials[a] < serials[b] end)
    n = #numbers
    for i = 1, #objects do numbers[n + i] = objects[i] end
  end
  return numbers
end

local rank = { number = 1, string = 2, boolean = 3 }
local function before(a, b)
  local x, y = rank[type(a)] or 4, rank[type(b)] or 4
  if x ~= y then return x < y end
  if x <= 2 then return a < b end
  if x == 3 then return not a and b end
  return serials[a] < serials[b]
end

local function merged(t, old, fresh)
  local keys, n, j = {}, 0, 1
  for i = 1, #old do
    local key = old[i]
    if rawget(t, key) ~= nil then
      while fresh[j] ~= nil and before(fresh[j], key) do
        n = n + 1; keys[n] = fresh[j]; j = j + 1
      end
      n = n + 1; keys[n] = key
    end
  end
  for i = j, #fresh do n = n + 1; keys[n] = fresh[i] end
  return keys
end

-- Large tables keep their order between calls; it is checked against the table at each start of a
-- traversal, which costs one raw walk instead of a sort.
local CACHED_FROM = 24
local cache = setmetatable({}, weak)

local function positions(keys)
  local at = {}
  for i = 1, #keys do at[keys[i]] = i end
  return at
end

local function remembered(t, known)
  local at, seen, fresh = known.at, 0, nil
  for key in rawnext, t do
    if at[key] then seen = seen + 1
    else
      fresh = fresh or {}
      fresh[#fresh + 1] = key
    end
  end
  if fresh or seen ~= #known.keys then
    known.keys = merged(t, known.keys, fresh and sorted(t, fresh) or {})
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
    if key ~= n then n = -1; break end
  end
  if n >= 0 then return nil, n end
  local keys = {}
  for key in rawnext, t do keys[#keys + 1] = key end
  keys = sorted(t, keys)
  if #keys >= CACHED_FROM then cache[t] = { keys = keys, at = positions(keys) } end
  return keys
end

local function position(keys, at, key)
  if at then return at[key] end
  for i = 1, #keys do
    if keys[i] == key then return i end
  end
end

local function ordered_next(t, key)
  if type(t) ~= "table" then
    error("bad argument #1 to 'next' (table expected, got " .. (t == nil and "no value" or type(t)) .. ")", 2)
  end
  if key == nil and rawnext(t) == nil then return nil end
  local keys, n = keys_of(t)
  local at = cache[t] and cache[t].at
  local i
  if key == nil then i = 0
  elseif keys then i = position(keys, at, key)
  elseif math_type(key) == "integer" and key >= 1 and key <= n then i = key end
  if not i then
    -- A key just set to nil in a loop: go on behind where it would stand.
    i = 0
    keys = keys or sorted(t, (function() local all = {}; for k in rawnext, t do all[#all + 1] = k end; return all end)())
    if rank[type(key)] == nil then serial(key) end
    while keys[i + 1] ~= nil and before(keys[i + 1], key) do i = i + 1 end
  end
  while true do
    i = i + 1
    local following
    if keys then following = keys[i] elseif i <= n then following = i end
    if following == nil then return nil end
    local value = rawget(t, following)
    if value ~= nil then return following, value end
  end
end
_G.next = ordered_next

function _G.pairs(t, ...)
  local meta = getmetatable(t)
  local own = meta and rawget(meta, "__pairs")
  if own then
    local f, state, start = own(t)
    return f, state, start
  end
  if type(t) ~= "table" then
    error("bad argument #1 to 'for iterator' (table expected, got " .. type(t) .. ")", 2)
  end
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
-- apart. Otherwise a stable merge sort.

local function less(a, b) return a < b end

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
  if type(list) ~= "table" then
    error("bad argument #1 to 'sort' (table expected, got " .. (list == nil and "no value" or type(list)) .. ")", 2)
  end
  if lt ~= nil and type(lt) ~= "function" then
    error("bad argument #2 to 'sort' (function expected, got " .. type(lt) .. ")", 2)
  end
  local n = #list
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

local function address(value)
  local meta = getmetatable(value)
  local name = meta and rawget(meta, "__name")
  return format("%s: 0x%08x", type(name) == "string" and name or type(value), serial(value))
end

local function ordered_tostring(...)
  local value = ...
  if scalar[type(value)] then
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
    if conversion == "s" and not scalar[type(args[index])] then
      args[index] = ordered_tostring(args[index])
    end
  end)
end

function string.format(pattern, ...)
  local n = select("#", ...)
  for i = 1, n do
    if not scalar[type((select(i, ...)))] then
      local args = { ... }
      if type(pattern) == "string" then objects_as_text(pattern, args) end
      return format(pattern, unpack(args, 1, n))
    end
  end
  return format(pattern, ...)
end
