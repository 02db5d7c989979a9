-- Bints of other values, and what can be asked of them.
local getmetatable, tonumber, type = getmetatable, tonumber, type
local abs, ceil, floor, math_type, modf = math.abs, math.ceil, math.floor, math.type, math.modf
local check = require(".failure").check

-- A number or numeral as an integer, nil where it has a fraction.
local function integer_of(value)
  value = tonumber(value)
  if math_type(value) == "float" then
    local whole = floor(value)
    return whole == value and math_type(whole) == "integer" and whole or nil
  end
  return value
end

local function making(bint, words)
  local copy, filled, of_integer = words.copy, words.filled, words.of_integer

  function bint.zero() return filled(0) end
  function bint.one() return of_integer(1, 0) end
  function bint.mininteger() return words.shift_left(bint.one(), bint.bits - 1) end
  function bint.maxinteger() return bint.mininteger():_bnot() end

  function bint.fromuinteger(value)
    value = integer_of(value)
    return value and of_integer(value, 0)
  end

  function bint.frominteger(value)
    value = integer_of(value)
    return value and of_integer(value, value < 0 and ~(-1 >> words.bits) or 0)
  end

  -- A value as a bint, nil if it is no integer. A bint is itself, unless `clone` is set.
  function bint.tobint(value, clone)
    if getmetatable(value) == bint then return clone and copy(value) or value end
    local kind = type(value)
    if kind == "number" then return bint.frominteger(value) end
    if kind == "string" then return bint.fromstring(value) end
  end

  function bint.new(value)
    local x = bint.tobint(value, true)
    check(x, "value cannot be represented by a bint")
    return x
  end

  function bint.parse(value, clone) return bint.tobint(value, clone) or tonumber(value) end

  function bint.trunc(value)
    if getmetatable(value) == bint then return copy(value) end
    value = tonumber(value)
    return value and bint.frominteger(math_type(value) == "float" and modf(value) or value)
  end

  function bint.floor(value)
    return getmetatable(value) == bint and copy(value) or bint.new(floor(tonumber(value)))
  end

  function bint.ceil(value)
    return getmetatable(value) == bint and copy(value) or bint.new(ceil(tonumber(value)))
  end
end

local function asking(bint, words)
  local is, size, WORD, SIGN = words.is, words.size, words.mask, words.sign

  function bint.isbint(value) return getmetatable(value) == bint end
  function bint.isnumeric(value) return getmetatable(value) == bint or type(value) == "number" end

  function bint.isintegral(value)
    return getmetatable(value) == bint or math_type(value) == "integer"
  end

  function bint.type(value)
    return getmetatable(value) == bint and "bint" or math_type(value)
  end

  function bint.iszero(value)
    if getmetatable(value) == bint then return is(value, 0, 0) end
    return value == 0
  end

  function bint.isone(value)
    if getmetatable(value) == bint then return is(value, 1, 0) end
    return value == 1
  end

  function bint.isminusone(value)
    if getmetatable(value) == bint then return is(value, WORD, WORD) end
    return value == -1
  end

  function bint.isneg(value)
    if getmetatable(value) == bint then return value[size] >= SIGN end
    return value < 0
  end

  function bint.ispos(value)
    if getmetatable(value) == bint then return value[size] < SIGN and not is(value, 0, 0) end
    return value > 0
  end

  function bint.iseven(value)
    if getmetatable(value) == bint then return value[1] & 1 == 0 end
    return abs(value) % 2 == 0
  end

  function bint.isodd(value)
    if getmetatable(value) == bint then return value[1] & 1 == 1 end
    return abs(value) % 2 == 1
  end
end

-- The lowest 64 bits; in two's complement they are right for negative ones too.
local function lowering(bint, words)
  function bint.touinteger(value)
    if getmetatable(value) ~= bint then return integer_of(value) end
    local n = 0
    for i = 1, words.size do n = n | value[i] << words.bits * (i - 1) end
    return n
  end

  bint.tointeger = bint.touinteger
end

return function(bint, words)
  making(bint, words)
  asking(bint, words)
  lowering(bint, words)
end
