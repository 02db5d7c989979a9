-- The functions of luerl 1.3 where they answer otherwise than those of Lua 5.3. Sources: luerl_lib*.erl,
-- and what nodes answered. Operators are the core's: docs/environment.md lists what differs there.
local error, find, format, gsub, match, rep, sub =
  error, string.find, string.format, string.gsub, string.match, string.rep, string.sub
local getmetatable, ipairs, pairs, pcall, rawget, rawlen, select, setmetatable, tonumber, tostring, type =
  getmetatable, ipairs, pairs, pcall, rawget, rawlen, select, setmetatable, tonumber, tostring, type
local max, min, sort = math.max, math.min, table.sort
local byte, char, lower = string.byte, string.char, string.lower
local abs, log, math_type, tointeger = math.abs, math.log, math.type, math.tointeger
local concat, load, unpack = table.concat, load, table.unpack

local luerl = {}

-- Numbers as texts ---------------------------------------------------------------------------------
-- The shortest digits that give the number again; with an exponent where that is shorter, and from
-- 2^53 on (float_to_list(N, [short]) of Erlang).

local function digits_of(value)
  for places = value < 2.3e-308 and 0 or 14, 16 do  -- the smallest have few digits
    local text = format("%." .. places .. "e", value)
    if places == 16 or tonumber(text) == value then
      local lead, rest, exponent = match(text, "^(%d)%.?(%d*)e([+-]%d+)$")
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
  local sign = negative and "-" or find(flags, "+", 1, true) and "+"
    or find(flags, " ", 1, true) and " " or ""
  if find(flags, "0", 1, true) and not find(flags, "-", 1, true) and width then
    return sign .. padded(digits, "0", width - #sign)
  end
  return padded(sign .. digits, flags, width)
end

local function whole(flags, width, precision, value, digits)
  if not precision then return signed(flags, value < 0, digits, width) end
  return signed(gsub(flags, "0", ""), value < 0, padded(digits, "0", precision), width)
end

-- Erlang rounds 21 digits of a float, and halves upwards (io_lib_format.erl).

local function digits_before(value)
  local lead, rest, exponent = match(format("%.20e", value), "^(%d)%.(%d+)e([+-]%d+)$")
  return lead .. rest, value == 0 and 1 or tonumber(exponent) + 1
end

-- The first digits, rounded, and whether there is one more before them.
local function rounded(digits, count)
  if count >= #digits then return digits .. rep("0", count - #digits), false end
  local kept = sub(digits, 1, count)
  if sub(digits, count + 1, count + 1) < "5" then return kept, false end
  local head, nines = match(kept, "^(.-)(9*)$")
  if head == "" then return "1" .. rep("0", count), true end
  return sub(head, 1, -2) .. char(byte(head, -1) + 1) .. rep("0", #nines), false
end

-- ~f
local function with_places(value, places)
  local digits, before = digits_before(value)
  if before <= 0 then digits, before = rep("0", 1 - before) .. digits, 1 end
  local kept, carried = rounded(digits, before + places)
  if carried then before = before + 1 end
  return sub(kept, 1, before) .. "." .. sub(kept, before + 1)
end

-- ~e: so many digits in all, and an exponent without zeros before it.
local function with_exponent(value, count)
  local digits, before = digits_before(value)
  local kept, carried = rounded(digits, count)
  if carried then kept, before = sub(kept, 1, -2), before + 1 end
  local sign = before >= 1 and "+" or ""
  return sub(kept, 1, 1) .. "." .. sub(kept, 2) .. "e" .. sign .. format("%d", before - 1)
end

-- ~g: as ~f from 0.1 on and below 10000, else as ~e.
local function general(value, digits)
  local exponent = value < 0.1 and -2 or value < 1 and -1 or value < 10 and 0 or value < 100 and 1
    or value < 1000 and 2 or value < 10000 and 3 or nil
  if exponent and exponent >= -1 and (digits <= 1 and exponent == -1 or digits - 1 > exponent) then
    return with_places(value, digits - 1 - exponent)
  end
  return with_exponent(value, digits <= 1 and 2 or digits)
end

local INTEGERS = { d = "%d", i = "%d", o = "%o", x = "%x", X = "%X" }
local FLOATS = {
  e = function(value, precision) return with_exponent(value, precision and precision + 1 or 7) end,
  f = function(value, precision) return with_places(value, precision or 6) end,
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
  local message = luerl.tostring((...))
  local kind = match(message, "attempt to call a (%l+) value")
  if kind == "nil" or kind == "table" then message = "undefined function " .. kind end
  return ok, message
end

local function absent(name)
  return function() error("no file is here for " .. name, 0) end
end

-- Numbers in `..`: the core would write them its own way, so scripts are compiled with an object of
-- ours between the operands: a..b is a..JOIN..b, which is a..(JOIN..b). No script can reach it.

local JOIN, HELD = {}, {}
local NAME = "__between_operands__"  -- of JOIN in what is compiled
local right  -- of the operands of HELD

local function joined(x, y)
  if x == JOIN then
    right = y
    return HELD
  end
  y = right
  local kind, other = type(x), type(y)
  if (kind == "string" or kind == "number") and (other == "string" or other == "number") then
    return text(x) .. text(y)
  end
  bad("..", x, y)
end
for _, one in ipairs { JOIN, HELD } do setmetatable(one, { __concat = joined, __metatable = false }) end

-- The end of the string, comment or operator that begins at a place.
local function token_end(code, at)
  local first = sub(code, at, at)
  if first == "-" and sub(code, at, at + 1) ~= "--" then return at end
  local begin = first == "-" and at + 2 or at
  local level = (first == "-" or first == "[") and match(code, "^%[(=*)%[", begin)
  if level then return select(2, find(code, "]" .. level .. "]", begin, true)) or #code end
  if first == "[" then return at end
  if first == "-" then return (find(code, "\n", at, true) or #code + 1) - 1 end
  local place = at + 1
  while true do
    local stop = find(code, "[\\" .. first .. "]", place)
    if not stop then return #code end
    if sub(code, stop, stop) ~= "\\" then return stop end
    place = stop + 2
  end
end

local function with_joins(code)
  local parts, count, from, at = {}, 0, 1, 1
  while true do
    at = find(code, "[%-%[\"'%.]", at)
    if not at then break end
    if sub(code, at, at) ~= "." then at = token_end(code, at) + 1
    else
      local _, stop = find(code, "^%.+", at)
      if stop == at + 1 then
        count = count + 1
        parts[count] = sub(code, from, stop) .. NAME .. ".."
        from = stop + 1
      end
      at = stop + 1
    end
  end
  return count > 0 and concat(parts, "", 1, count) .. sub(code, from)
end

-- A table with its own `..` would be asked first, and be given that object.
local has_own = false

local function compiled(chunk, name)
  chunk = type(chunk) == "number" and text(chunk) or chunk
  local f, problem = load(chunk, name, "t")
  if not f or type(chunk) ~= "string" then return f, problem end
  has_own = has_own or find(chunk, "__concat", 1, true) ~= nil
  local code = not has_own and with_joins(chunk)
  if not code then return f end
  code = "local " .. NAME .. " = ... return function(...) " .. code .. "\nend"
  local made = load(code, name or chunk, "t")
  return made and made(JOIN) or f
end
luerl.load = compiled

-- Order of keys: 1, 2, 3 …, other numbers, booleans, objects, texts; a loop ends at `false` ----------

local RANKS = { boolean = 2, table = 3, ["function"] = 3, string = 4 }

local function is_place(key) return math_type(key) == "integer" and key >= 1 end

local function stepped(list)
  local keys, ranks, odd = {}, {}, false
  for key in pairs(list) do
    local rank = RANKS[type(key)] or is_place(key) and 0 or 1
    odd = odd or rank ~= 0 and rank ~= 4
    keys[#keys + 1] = key
    ranks[key] = rank
  end
  if not odd then return pairs(list) end
  local place = {}
  for i = 1, #keys do place[keys[i]] = i end  -- within a rank they are in order
  sort(keys, function(a, b)
    if ranks[a] ~= ranks[b] then return ranks[a] < ranks[b] end
    return place[a] < place[b]
  end)
  local at = 0
  return function()
    local value
    repeat
      at = at + 1
      value = keys[at] ~= nil and rawget(list, keys[at])
    until keys[at] == nil or value ~= nil
    if keys[at] == false then return nil end
    return keys[at], value
  end, list, nil
end

local function ordered(list)
  local meta = getmetatable(list)
  if type(list) ~= "table" or meta and rawget(meta, "__pairs") then return pairs(list) end
  return stepped(list)
end

local function best(choose)
  return function(...)
    local found = {}
    for i = 1, select("#", ...) do found[i] = number((select(i, ...))) end
    return choose(unpack(found, 1, select("#", ...)))
  end
end

-- Modules: no file is there, and this environment's own are not of it -------------------------------

local function binary(value)
  local bytes = { byte(value, 1, -1) }
  for i = 1, #bytes do bytes[i] = format("%d", bytes[i]) end
  return "<<" .. concat(bytes, ",") .. ">>"
end

local function required(of)
  return function(name)
    local library = rawget(of, "package")
    local loaded = type(library) == "table" and library.loaded or {}
    if loaded[name] ~= nil then return loaded[name] end
    local loader = type(library) == "table" and library.preload and library.preload[name]
    if not loader then
      local path = gsub(name, "%.", "/")
      local tried = "'./" .. path .. ".lua' './" .. path .. "/init.lua' "
      error("{no_module," .. binary(name) .. "," .. binary(tried) .. "}!", 0)
    end
    local value = loader(name)
    if value ~= nil then loaded[name] = value elseif loaded[name] == nil then loaded[name] = true end
    return loaded[name]
  end
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
  of.eprint = of.print
  of.load = function(chunk) return compiled(chunk) end
  of.loadstring, of.unpack = of.load, unpack
  of.table.concat = function(list, between, first, last)
    local texts, from, to = {}, first or 1, last or #list
    for i = from, to do texts[i] = type(list[i]) == "number" and text(list[i]) or list[i] end
    return concat(texts, type(between) == "number" and text(between) or between, from, to)
  end
  of.string.format = formatted
  of.require = required(of)
  of.coroutine, of.xpcall, of.io = nil, nil, {}
  of.dofile, of.loadfile, of.string.dump = absent "dofile", absent "loadfile", absent "string.dump"
  of.table.move, of.string.pack, of.string.unpack, of.string.packsize = nil, nil, nil, nil
  of.string.gmatch = absent "string.gmatch"
  of.pairs = ordered
  of.math.max, of.math.min, of.math.ult = best(max), best(min), nil
  of.math.huge = 1.7976931348623157e308
  of.math.pow = function(x, y) return (x + 0.0) ^ y end
  of.math.log10 = function(x) return log(x, 10) end
end

return luerl
