-- Functions of the device's Lua (luerl 1.3) that break at some arguments, in Erlang, where nothing
-- can catch it: the message that brings them would stop the process for good. Here they raise an
-- error of Lua, as Lua 5.3 does. Where that has inf or nan for an answer, they raise one, too, as
-- luerl has neither. Found by calling each function with odd arguments there.
local error, select, tostring, type = error, select, tostring, type
local read = tonumber
local to_integer = math.tointeger
local len = string.len

local MOST_RESULTS = 1000000 -- of one call of unpack, as in Lua
local LONGEST = 1 << 30 -- bytes of a text that string.rep makes
local FARTHEST_SHIFT = 64 -- bits; farther ones give the same
local LATEST = 1 << 50 -- seconds since 1970 that os.date can tell

local function refuse(at, name, why)
  error("bad argument #" .. tostring(at) .. " to '" .. name .. "' (" .. why .. ")", 0)
end

-- A number, or what a text says as one; nil for anything else.
local function number_of(value)
  if type(value) == "number" then return value end
  return type(value) == "string" and read(value) or nil
end

local function number_at(at, name, value)
  return number_of(value) or refuse(at, name, "number expected, got " .. type(value))
end

local char = string.char
function string.char(...)
  for at = 1, select("#", ...) do
    local code = to_integer(number_at(at, "char", (select(at, ...))))
    if not code then refuse(at, "char", "number has no integer representation") end
    if code < 0 or code > 255 then refuse(at, "char", "value out of range") end
  end
  return char(...)
end

local find = string.find
function string.find(...)
  local text, pattern, first, plain = ...
  if plain and pattern == "" then return find(text, "", first or 1) end
  if first == nil and select("#", ...) > 2 then return find(text, pattern, 1, plain) end
  return find(...)
end

local rep = string.rep
function string.rep(text, count, between, ...)
  local times, size = number_of(count), type(text) == "string" and len(text) or 32
  local inner = type(between) == "string" and len(between) or 32
  if times and times * 1.0 * (size + (between and inner or 0)) > LONGEST then
    error("resulting string too large", 0)
  end
  if between == nil then return rep(text, count) end
  return rep(text, count, between, ...)
end

local unpacked = table.unpack
function table.unpack(list, first, last, ...)
  if type(list) ~= "table" then refuse(1, "unpack", "table expected, got " .. type(list)) end
  local from = first == nil and 1 or number_at(2, "unpack", first)
  local to = last == nil and #list or number_at(3, "unpack", last)
  if to - from >= MOST_RESULTS then error("too many results to unpack", 0) end
  return unpacked(list, from, to)
end
if unpack then unpack = table.unpack end

function tonumber(value, base)
  if base == nil then return read(value) end
  local whole = to_integer(number_at(2, "tonumber", base))
  if not whole or whole < 2 or whole > 36 then refuse(2, "tonumber", "base out of range") end
  if type(value) ~= "string" then refuse(1, "tonumber", "string expected, got " .. type(value)) end
  return read(value, whole)
end

local call = pcall
function pcall(...)
  if select("#", ...) == 0 then refuse(1, "pcall", "value expected") end
  return call(...)
end

-- Numbers --------------------------------------------------------------------------------------

-- A function of a number, where `has` says that it has a value.
local function within(name, has)
  local of = math[name]
  if not of then return end
  math[name] = function(value, ...)
    if not has(number_at(1, name, value)) then refuse(1, name, "no number is its value") end
    return of(value, ...)
  end
end

local function is_small(value) return value < 709.7 and value > -709.7 end
local function is_part(value) return value >= -1 and value <= 1 end
local function is_positive(value) return value > 0 end

within("sqrt", function(value) return value >= 0 end)
within("exp", function(value) return value < 709.7 end)
within("cosh", is_small)
within("sinh", is_small)
within("acos", is_part)
within("asin", is_part)
within("log10", is_positive)

local log = math.log
function math.log(value, base, ...)
  if not is_positive(number_at(1, "log", value)) then refuse(1, "log", "no number is its value") end
  if base == nil then return log(value) end
  local of = number_at(2, "log", base)
  if not is_positive(of) or of == 1 then refuse(2, "log", "no number is its value") end
  return log(value, base)
end

local fmod = math.fmod
function math.fmod(value, by)
  local most, least = number_at(1, "fmod", value), number_at(2, "fmod", by)
  if least == 0 then refuse(2, "fmod", "zero") end
  if most / least == nil then return nil end -- raises where that is too large
  return fmod(value, by)
end

-- The operators raise errors of Lua.
local pi = math.pi
function math.rad(value) return number_at(1, "rad", value) * (pi / 180.0) end
function math.deg(value) return number_at(1, "deg", value) * (180.0 / pi) end
if math.pow then
  function math.pow(value, by) return number_at(1, "pow", value) ^ number_at(2, "pow", by) end
end
if math.ldexp then
  function math.ldexp(value, by) return number_at(1, "ldexp", value) * 2.0 ^ number_at(2, "ldexp", by) end
end

-- Other libraries ------------------------------------------------------------------------------

local character = utf8.char
function utf8.char(...)
  for at = 1, select("#", ...) do
    local code = to_integer(number_at(at, "char", (select(at, ...))))
    if not code or code < 0 or code > 0x10FFFF or (code > 0xD7FF and code < 0xE000) then
      refuse(at, "char", "value out of range")
    end
  end
  return character(...)
end

for _, name in next, { "len", "codepoint", "codes", "offset" } do
  local of = utf8[name]
  utf8[name] = function(...)
    if select("#", ...) == 0 then refuse(1, name, "string expected, got no value") end
    return of(...)
  end
end

if bit32 then
  for _, name in next, { "lshift", "rshift", "arshift", "lrotate", "rrotate" } do
    local of = bit32[name]
    bit32[name] = of and function(value, by, ...)
      local bits = number_at(2, name, by)
      if bits > FARTHEST_SHIFT or bits < -FARTHEST_SHIFT then refuse(2, name, "value out of range") end
      return of(value, by, ...)
    end
  end
  local inverted = bit32.bnot
  function bit32.bnot(value) return inverted(number_at(1, "bnot", value)) end
end

if package then package.searchpath = nil end -- there are no files

if os and os.difftime then
  function os.difftime(later, earlier)
    return number_at(1, "difftime", later) - number_at(2, "difftime", earlier) + 0.0
  end
end

if os and os.date then
  local date = os.date
  function os.date(...)
    local _, time = ...
    local second = time == nil and 0 or number_at(2, "date", time)
    if second > LATEST or second < -LATEST then refuse(2, "date", "time out of range") end
    return date(...)
  end
end
