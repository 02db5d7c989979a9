-- Version 4: the functions of Lua 5.2 in `math` that aos's build of Lua 5.3 keeps, and the texts of
-- `package` to which programs append.
local H = ...
local raw = H.raw
local tonumber, type, select, error = raw.tonumber, raw.type, raw.select, raw.error
local log, exp, abs, huge = raw.math.log, raw.math.exp, raw.math.abs, raw.math.huge
local tointeger = raw.math.tointeger
local pack, unpack = raw.string.pack, raw.string.unpack

-- For the chunk that keeps calls of these from being tail calls.
H.newer_names = "pow log10 frexp ldexp cosh sinh tanh"

local function bad(index, name, what)
  error("bad argument #" .. index .. " to '" .. name .. "' (" .. what .. ")", 3)
end

-- An argument as a float; a text counts as a number, as in the core.
local function number(index, name, ...)
  local value = select(index, ...)
  local found = (type(value) == "number" or type(value) == "string") and tonumber(value)
  if found then return found * 1.0 end  -- `+ 0.0` would lose the sign of -0.0
  local kind = select("#", ...) < index and "no value" or type(value)
  bad(index, name, "number expected, got " .. kind)
end

local function integer(index, name, ...)
  local value = number(index, name, ...)
  local found = tointeger(tonumber((select(index, ...)))) or tointeger(value)
  if found then return found end
  bad(index, name, "number has no integer representation")
end

function math.pow(...) return number(1, "pow", ...) ^ number(2, "pow", ...) end
function math.log10(...) return log(number(1, "log10", ...), 10) end
math.atan2 = raw.math.atan

-- Fractions --------------------------------------------------------------------------------------
-- The bits of a float: a sign, 11 of the exponent, 52 of the fraction (IEEE 754, binary64).

local FRACTION, EXPONENT, HALF = 52, 0x7FF, 1022
local LEAST = -1074  -- of 2^-1074, the least float

local function split(value)
  if value == 0 or value ~= value or value == huge or value == -huge then return value, 0 end
  local shift = 0
  if abs(value) < 0x1p-1022 then value, shift = value * 0x1p54, 54 end
  local bits = unpack("<i8", (pack("<d", value)))
  local exponent = bits >> FRACTION & EXPONENT
  bits = bits & ~(EXPONENT << FRACTION) | HALF << FRACTION
  return (unpack("<d", (pack("<i8", bits)))), exponent - HALF - shift
end

function math.frexp(...)
  local fraction, exponent = split(number(1, "frexp", ...))
  return fraction, exponent
end

function math.ldexp(...)
  local value, by = number(1, "ldexp", ...), integer(2, "ldexp", ...)
  local fraction, exponent = split(value)
  if fraction == 0 or fraction ~= fraction or abs(fraction) == huge then return value end
  if by > 5000 then by = 5000 elseif by < -5000 then by = -5000 end
  exponent = exponent + by
  -- Rounded once: both factors are exact.
  if exponent > 0 then return fraction * 2.0 * 2.0 ^ (exponent - 1) end
  if exponent >= LEAST then return fraction * 2.0 ^ exponent end
  return fraction * 0.0
end

-- Hyperbolic functions ---------------------------------------------------------------------------

-- exp(x) - 1, also where exp(x) is nearly 1.
local function exp_less_1(x)
  local y = exp(x)
  if y == 1 then return x end
  if y - 1 == -1 or y == huge then return y - 1 end
  return (y - 1) * x / log(y)
end

local LARGE = 22  -- exp(-2 * LARGE) is lost beside 1

-- exp(x) / 2, also where exp(x) is too large for a float.
local function half_exp(x)
  local root = exp(x / 2)
  return x > 700 and root * 0.5 * root or exp(x) * 0.5
end

function math.cosh(...)
  local x = abs(number(1, "cosh", ...))
  if x > LARGE then return half_exp(x) end
  local y = exp(x)
  return 0.5 * y + 0.5 / y
end

function math.sinh(...)
  local x = number(1, "sinh", ...)
  if x == 0 then return x end
  local size = abs(x)
  local y = exp_less_1(size)
  local found = size > LARGE and half_exp(size) or 0.5 * (y + y / (y + 1))
  return x < 0 and -found or found
end

function math.tanh(...)
  local x = number(1, "tanh", ...)
  if x == 0 then return x end
  if abs(x) > LARGE then return x < 0 and -1.0 or 1.0 end
  local y = exp_less_1(2 * abs(x))
  local found = y / (y + 2)
  return x < 0 and -found or found
end

-- Modules ----------------------------------------------------------------------------------------
-- There are no files: nothing looks at these.
package.path, package.cpath = "", ""
