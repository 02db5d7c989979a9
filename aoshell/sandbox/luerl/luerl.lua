-- The functions of luerl 1.3 where they answer otherwise than those of Lua 5.3. Sources: luerl_lib*.erl,
-- and what nodes answered. Operators are the core's: docs/environment.md lists what differs there.
local error, find, format, gsub, match, rep, sub =
  error, string.find, string.format, string.gsub, string.match, string.rep, string.sub
local getmetatable, pcall, rawget, rawlen, select, tonumber, tostring, type =
  getmetatable, pcall, rawget, rawlen, select, tonumber, tostring, type
local abs, char, load, log, lower, math_type, tointeger, concat, unpack = math.abs, string.char, load,
  math.log, string.lower, math.type, math.tointeger, table.concat, table.unpack

local luerl = {}

-- Numbers as texts ---------------------------------------------------------------------------------
-- The shortest digits that give the number again; with an exponent where that is shorter, and from
-- 2^53 on (float_to_list(N, [short]) of Erlang).

local function digits_of(value)
  for places = 14, 16 do
    local text = format("%." .. places .. "e", value)
    if places == 16 or tonumber(text) == value then
      local lead, rest, exponent = match(text, "^(%d)%.(%d+)e([+-]%d+)$")
      return (gsub(lead .. rest, "0+$", "")), tonumber(exponent)
    end
  end
end

local function short(value)
  if value ~= value or value == 1 / 0 or value == -1 / 0 then return tostring(value) end
  local sign = sub(format("%g", value), 1, 1) == "-" and "-" or ""
  if value == 0 then return sign .. "0.0" end
  value = abs(value)
  local digits, exponent = digits_of(value)
  local count, plain = #digits, nil
  if exponent >= count - 1 then plain = digits .. rep("0", exponent - count + 1) .. ".0"
  elseif exponent >= 0 then plain = sub(digits, 1, exponent + 1) .. "." .. sub(digits, exponent + 2)
  else plain = "0." .. rep("0", -exponent - 1) .. digits end
  local rest = count > 1 and sub(digits, 2) or "0"
  local scientific = sub(digits, 1, 1) .. "." .. rest .. "e" .. format("%d", exponent)
  if value < 2.0 ^ 53 and #plain <= #scientific then return sign .. plain end
  return sign .. scientific
end

local function text(value)
  if math_type(value) == "float" then return short(value) end
  return tostring(value)
end
luerl.text = text

-- Arguments ----------------------------------------------------------------------------------------

local function quoted(value)
  local kind = type(value)
  if kind == "string" then return "'" .. value .. "'" end
  if kind == "number" then return text(value) end
  if kind == "nil" or kind == "boolean" then return tostring(value) end
  return kind
end

local function bad(name, ...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = quoted((select(i, ...))) end
  error("bad argument " .. concat(parts, ",") .. " to '" .. name .. "'", 0)
end

-- The number of a text, which is always a float.
local function number(value)
  if type(value) == "number" then return value end
  if type(value) ~= "string" then return nil end
  local sign, digits = match(value, "^%s*([+-]?)%s*(.-)%s*$")
  if not find(digits, "^[%d.]") or find(digits, "^%.$") then return nil end
  local found = tonumber(digits)
  if found == nil then return nil end
  return (sign == "-" and -found or found) + 0.0
end

local function integer(value)
  local found = number(value)
  return found and tointeger(found)
end

-- string.format ------------------------------------------------------------------------------------

local function padded(value, flags, width)
  if not width or #value >= width then return value end
  local fill = width - #value
  if find(flags, "-", 1, true) then return value .. rep(" ", fill) end
  return rep(find(flags, "0", 1, true) and "0" or " ", fill) .. value
end

local function signed(flags, negative, digits, width)
  local sign = negative and "-" or find(flags, "+", 1, true) and "+" or find(flags, " ", 1, true) and " " or ""
  if find(flags, "0", 1, true) and not find(flags, "-", 1, true) and width then
    return sign .. padded(digits, "0", width - #sign)
  end
  return padded(sign .. digits, flags, width)
end

local function whole(flags, width, precision, value, digits)
  if not precision then return signed(flags, value < 0, digits, width) end
  return signed(gsub(flags, "0", ""), value < 0, padded(digits, "0", precision), width)
end

-- Erlang's ~e: so many digits in all, and an exponent without zeros before it.
local function with_exponent(value, digits)
  local mantissa, sign, exponent = match(format("%." .. digits - 1 .. "e", value), "^(.-)e([+-])0*(%d+)$")
  return mantissa .. "e" .. sign .. exponent
end

-- Erlang's ~g: as ~f from 0.1 on and below 10000, else as ~e.
local function general(value, digits)
  local exponent = value < 0.1 and -2 or value < 1 and -1 or value < 10 and 0 or value < 100 and 1
    or value < 1000 and 2 or value < 10000 and 3 or nil
  if exponent and exponent >= -1 and (digits <= 1 and exponent == -1 or digits - 1 > exponent) then
    return format("%." .. digits - 1 - exponent .. "f", value)
  end
  return with_exponent(value, digits <= 1 and 2 or digits)
end

local INTEGERS = { d = "%d", i = "%d", o = "%o", x = "%x", X = "%X" }
local FLOATS = {
  e = function(value, precision) return with_exponent(value, precision and precision + 1 or 7) end,
  f = function(value, precision) return format("%." .. (precision or 6) .. "f", value) end,
  g = function(value, precision) return general(value, precision or 6) end,
}

local function converted(flags, width, precision, kind, value)
  if kind == "s" then
    value = luerl.tostring(value)
    if precision then value = sub(value, 1, precision) end
    return padded(value, flags, width)
  elseif kind == "q" then
    return format("%q", luerl.tostring(value))
  elseif kind == "c" then
    return padded(char(integer(value) & 255), flags, width)
  elseif INTEGERS[kind] then
    local found = integer(value)
    return found and whole(flags, width, precision, found, format(INTEGERS[kind], abs(found)))
  elseif kind == "u" then
    local found = integer(value)
    return found and whole(flags, width, precision, 1, format("%d", found))
  end
  local float = FLOATS[lower(kind)]
  local found = float and number(value)
  return found and signed(flags, found < 0, float(abs(found + 0.0), precision), width)
end

local function formatted(pattern, ...)
  local given, at, parts, index = { n = select("#", ...), ... }, 1, {}, 0
  pattern = type(pattern) == "number" and text(pattern) or pattern
  while true do
    local start, stop, flags, width, dot, precision, kind =
      find(pattern, "%%([-+ #0]*)(%d*)(%.?)(%d*)(.)", at)
    if not start then break end
    parts[#parts + 1] = sub(pattern, at, start - 1)
    if kind == "%" then parts[#parts + 1] = "%"
    else
      index = index + 1
      if index > given.n then bad("format", pattern, ...) end
      local ok, found = pcall(converted, flags, tonumber(width),
        dot ~= "" and (tonumber(precision) or 0) or nil, kind, given[index])
      if not ok or not found then bad("format", pattern, ...) end
      parts[#parts + 1] = found
    end
    at = stop + 1
  end
  parts[#parts + 1] = sub(pattern, at)
  return concat(parts)
end

-- Errors: luerl says no place, and what is caught is always a text ------------------------------------

function luerl.tostring(...)
  local value = ...
  local meta = type(value) == "table" and getmetatable(value)
  local own = meta and rawget(meta, "__tostring")
  if own then return own(value) end
  return text(value)
end

local function raised(...)
  local value = ...
  error(type(value) == "table" and luerl.tostring(value) or value, 0)
end

local function asserted(...)
  if ... then return ... end
  local message = "assertion failed"
  if select("#", ...) > 1 then message = select(2, ...) end
  if type(message) ~= "string" then error("error object is a " .. type(message) .. "!", 0) end
  error(message .. "!", 0)
end

local function caught(ok, ...)
  if ok then return ok, ... end
  return ok, luerl.tostring((...))
end

local function compiled(chunk)
  local f, problem = load(type(chunk) == "number" and text(chunk) or chunk, nil, "t")
  return f, problem
end

-- All of them --------------------------------------------------------------------------------------

function luerl.install(of)
  of.print = function() end  -- to the node's own screen, where no guest and no client sees it
  of.tostring, of.error, of.assert = luerl.tostring, raised, asserted
  of.pcall = function(f, ...) return caught(pcall(f, ...)) end
  of.tonumber = function(value, base)
    if base == nil then return number(value) end
    local found = tonumber(type(value) == "number" and text(value) or value, integer(base))
    return found and found + 0.0
  end
  of.select = function(n, ...)
    if n == "#" then return select("#", ...) + 0.0 end
    return select(n, ...)
  end
  of.rawlen = function(value)
    local length = rawlen(value)
    return type(value) == "string" and length + 0.0 or length
  end
  of.load, of.loadstring, of.unpack = compiled, compiled, unpack
  of.table.concat = function(list, between, first, last)
    local texts, from, to = {}, first or 1, last or #list
    for i = from, to do texts[i] = type(list[i]) == "number" and text(list[i]) or list[i] end
    return concat(texts, type(between) == "number" and text(between) or between, from, to)
  end
  of.string.format = formatted
  of.math.huge = 1.7976931348623157e308
  of.math.pow = function(x, y) return (x + 0.0) ^ y end
  of.math.log10 = function(x) return log(x, 10) end
end

return luerl
