-- Version 4: the functions of Lua 5.2 that aos's build of Lua 5.3 has in `math` (lmathlib.c,
-- LUA_COMPAT_MATHLIB).
local H = ...
local raw = H.raw
local type, error, select, tonumber = raw.type, raw.error, raw.select, raw.tonumber
local pack, unpack_from = raw.string.pack, raw.string.unpack
local log, atan, tointeger, huge, max = raw.math.log, raw.math.atan, raw.math.tointeger, raw.math.huge, raw.math.max
local type_name, called = H.type_name, H.called

-- Arguments -----------------------------------------------------------------------------------

local function refuse(at, of, what)
  error("bad argument #" .. at .. " to '" .. of .. "' (" .. what .. ")", 0)
end

-- The argument at a place, a number or a text that is one.
local function number_at(at, of, ...)
  local value = select(at, ...)
  local kind = type(value)
  if kind == "number" then return value end
  local number = kind == "string" and tonumber(value)
  if number then return number end
  local given = select("#", ...) < at and "no value" or type_name(value)
  return refuse(at, of, "number expected, got " .. given)
end

local function float_at(at, of, ...)
  return number_at(at, of, ...) * 1.0  -- + 0.0 would lose the sign of -0.0
end

local function integer_at(at, of, ...)
  local integer = tointeger(number_at(at, of, ...))
  if not integer then refuse(at, of, "number has no integer representation") end
  return integer
end

-- Floats as parts -----------------------------------------------------------------------------

local EXPONENT = 0x7FF << 52  -- bits of a float
local LEAST_NORMAL, LEAST = 0x1p-1022, 0x1p-1074
local LOWEST = -1140  -- an exponent below all of those that round to more than 0

-- A float as a part from 0.5 up to 1 and an exponent of 2; 0, infinity and nan as they are, with 0.
local function split(x)
  if x == 0 or x - x ~= 0 then return x, 0 end
  local added = 0
  if x < LEAST_NORMAL and x > -LEAST_NORMAL then x, added = x * 0x1p54, 54 end
  local bits = unpack_from("<i8", pack("<d", x))
  local part = unpack_from("<d", pack("<i8", bits & ~EXPONENT | 1022 << 52))
  return part, (bits >> 52 & 0x7FF) - 1022 - added
end

-- The functions -------------------------------------------------------------------------------

local functions = {}

function functions.pow(...)
  local x, y = float_at(1, "pow", ...), float_at(2, "pow", ...)
  return x ^ y
end

function functions.log10(...)
  return log(float_at(1, "log10", ...), 10)
end

-- In Lua 5.3 another name of `atan`.
function functions.atan2(...)
  local y = float_at(1, "atan2", ...)
  local x = select(2, ...) == nil and 1.0 or float_at(2, "atan2", ...)
  return atan(y, x)
end

function functions.frexp(...)
  return split(float_at(1, "frexp", ...))
end

function functions.ldexp(...)
  local x, by = float_at(1, "ldexp", ...), integer_at(2, "ldexp", ...)
  local part, exponent = split(x)
  if part == 0 or part - part ~= 0 then return x end
  exponent = exponent + ((by + 0x80000000 & 0xFFFFFFFF) - 0x80000000)  -- an int of C
  if exponent > 1024 then return part * huge end
  if exponent > -1022 then return part * 2.0 * 2.0 ^ (exponent - 1) end
  return part * 2.0 ^ (max(exponent, LOWEST) + 1074) * LEAST  -- only the last step rounds
end

for _, name in raw.ipairs { "cosh", "sinh", "tanh" } do
  functions[name] = function(...)
    return called(H.hyperbolic[name], float_at(1, name, ...))
  end
end

for name, f in raw.next, functions do
  math[name] = f
  H.stands_for_core[name] = true
end
