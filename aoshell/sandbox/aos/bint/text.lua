-- Bints as numerals and as bytes, and back.
local tonumber, tostring, type, getmetatable = tonumber, tostring, type, getmetatable
local find, format, gsub, lower, match = string.find, string.format, string.gsub, string.lower,
  string.match
local pack, rep, reverse, sub, unpack = string.pack, string.rep, string.reverse, string.sub,
  string.unpack
local concat, spread, setmetatable = table.concat, table.unpack, setmetatable
local check = require(".failure").check

local DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

-- The most digits of a base whose value stays below a bound, and the base to that power.
local function step_of(base, bound)
  local count, power = 1, base
  while power <= bound // base do
    count, power = count + 1, power * base
  end
  return count, power
end

local function text_of(number, base, width)
  if base == 10 then return format("%0" .. width .. "d", number) end
  local parts = {}
  for i = width, 1, -1 do
    local digit = number % base + 1
    parts[i], number = sub(DIGITS, digit, digit), number // base
  end
  return concat(parts)
end

local function numerals(bint, words)
  -- nil for what is no numeral.
  function bint.frombase(text, base)
    base = base or 10
    if type(text) ~= "string" or base < 2 or base > 36 then return nil end
    local sign, digits = match(lower(text), "^%s*([+-]?)(%w+)%s*$")
    if not digits then return nil end
    local step, power = step_of(base, words.mask)
    local x = words.filled(0)
    for at = 1, #digits, step do
      local part = sub(digits, at, at + step - 1)
      local value = tonumber(part, base)
      if not value then return nil end
      words.extend(x, #part == step and power or tonumber("1" .. rep("0", #part), base), value)
    end
    return sign == "-" and x:_unm() or x
  end

  -- Digits to base 10, or with 0x in front to 16, or with 0b to 2.
  function bint.fromstring(text)
    if type(text) ~= "string" then return nil end
    if find(text, "^[+-]?%d+$") then return bint.frombase(text, 10) end
    local sign, kind, digits = match(text, "^([+-]?)0([xXbB])(%x+)$")
    if not digits then return nil end
    return bint.frombase(sign .. digits, lower(kind) == "x" and 16 or 2)
  end

  -- With a sign to base 10 and without one to others, unless `unsigned` says.
  function bint.tobase(value, base, unsigned)
    local x = bint.tobint(value, true)
    base = base or 10
    if not x or base < 2 or base > 36 then return nil end
    if unsigned == nil then unsigned = base ~= 10 end
    local negative = not unsigned and bint.isneg(x)
    if negative then x:_unm() end
    local width, power = step_of(base, words.sign - 1)
    local parts, rest = {}, nil
    repeat
      x, rest = words.divide_by(x, power, words.significant(x))
      parts[#parts + 1] = reverse(text_of(rest, base, width))
    until words.significant(x) == 0
    local text = gsub(reverse(concat(parts)), "^0+(.)", "%1")
    return negative and "-" .. text or text
  end

  function bint:__tostring() return bint.tobase(self, 10) end

  -- An integer where it fits, otherwise a float.
  function bint.tonumber(value)
    if getmetatable(value) ~= bint then return tonumber(value) end
    local n = bint.tointeger(value)
    if words.compare(value, bint.frominteger(n), 0) == 0 then return n end
    return tonumber(tostring(value))
  end
end

-- Bytes with the lowest first (le) or last (be). What is missing is zero, what is too much is cut
-- off; `trim` leaves out zeros on top.
local function bytes(bint, words)
  local FORMAT = "<" .. rep("I" .. words.bits // 8, words.size)
  local COUNT = words.size * words.bits // 8

  function bint.fromle(buffer)
    check(type(buffer) == "string", "buffer is not a string")
    local x = { unpack(FORMAT, sub(buffer, 1, COUNT) .. rep("\0", COUNT - #buffer)) }
    x[words.size + 1] = nil
    return setmetatable(x, bint)
  end

  function bint.frombe(buffer)
    check(type(buffer) == "string", "buffer is not a string")
    return bint.fromle(reverse(buffer))
  end

  function bint.tole(value, trim)
    local x = bint.tobint(value)
    check(x, "value has not integer representation")
    local text = pack(FORMAT, spread(x, 1, words.size))
    if not trim then return text end
    text = gsub(text, "\0+$", "")
    return text == "" and "\0" or text
  end

  function bint.tobe(value, trim) return reverse(bint.tole(value, trim)) end
end

return function(bint, words)
  numerals(bint, words)
  bytes(bint, words)
end
