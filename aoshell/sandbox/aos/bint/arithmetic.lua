-- Operators and functions that calculate. Numbers and numerals may stand for bints; with a fraction
-- among them the calculation is one of floats.
local getmetatable = getmetatable
local abs, max, min = math.abs, math.max, math.min
local check = require(".failure").check
local long_division = require(".bint.division")

local function comparing(bint, words, integral)
  local compare, SIGN, tobint, number = words.compare, words.sign, bint.tobint, bint.tonumber

  function bint.__eq(x, y)
    return getmetatable(x) == getmetatable(y) and compare(x, y, 0) == 0
  end

  function bint.eq(x, y)
    local a, b = tobint(x), tobint(y)
    if a and b then return compare(a, b, 0) == 0 end
    return x == y
  end

  function bint.__lt(x, y)
    local a, b = tobint(x), tobint(y)
    if a and b then return compare(a, b, SIGN) < 0 end
    return number(x) < number(y)
  end

  function bint.__le(x, y)
    local a, b = tobint(x), tobint(y)
    if a and b then return compare(a, b, SIGN) <= 0 end
    return number(x) <= number(y)
  end

  function bint.ult(x, y) return compare(integral(x), integral(y), 0) < 0 end
  function bint.ule(x, y) return compare(integral(x), integral(y), 0) <= 0 end

  function bint.max(x, y)
    local a, b = tobint(x), tobint(y)
    if a and b then return words.copy(a > b and a or b) end
    return bint.parse(max(x, y))
  end

  function bint.min(x, y)
    local a, b = tobint(x), tobint(y)
    if a and b then return words.copy(a < b and a or b) end
    return bint.parse(min(x, y))
  end
end

local function adding(bint, words)
  local tobint, number = bint.tobint, bint.tonumber
  local add, subtract, multiply = words.add, words.subtract, words.multiply

  function bint.inc(x)
    local a = tobint(x, true)
    return a and a:_inc() or x + 1
  end

  function bint.dec(x)
    local a = tobint(x, true)
    return a and a:_dec() or x - 1
  end

  function bint.abs(x)
    local a = tobint(x, true)
    return a and a:_abs() or abs(x)
  end

  function bint.__unm(x) return words.copy(x):_unm() end

  function bint.__add(x, y)
    local a, b = tobint(x), tobint(y)
    if a and b then return add(words.filled(0), a, b) end
    return number(x) + number(y)
  end

  function bint.__sub(x, y)
    local a, b = tobint(x), tobint(y)
    if a and b then return subtract(words.filled(0), a, b) end
    return number(x) - number(y)
  end

  function bint.__mul(x, y)
    local a, b = tobint(x), tobint(y)
    if a and b then return multiply(a, b) end
    return number(x) * number(y)
  end

  -- Of floats.
  function bint.__div(x, y) return number(x) / number(y) end
  function bint.__pow(x, y) return number(x) ^ number(y) end
end

-- udivmod is unsigned; tdivmod rounds towards zero; idivmod rounds down, as Lua's // and % do. Each
-- gives quotient and remainder, and there is a function for either alone.
local function dividing(bint, words, integral)
  local tobint, number, isneg = bint.tobint, bint.tonumber, bint.isneg
  local divide = long_division(words)

  local function udivmod(x, y)
    local a, b = bint.new(x), integral(y)
    local count = words.significant(b)
    check(count > 0, "attempt to divide by zero")
    if count == 1 and (b[1] < words.sign or words.bits < 32) then
      local rest
      a, rest = words.divide_by(a, b[1], words.size)
      return a, words.of_integer(rest, 0)
    end
    if words.compare(a, b, 0) < 0 then return bint.zero(), a end
    return divide(a, b)
  end

  function bint.tdivmod(x, y)
    local ax, ay = bint.abs(x), bint.abs(y)
    local a, b = tobint(ax), tobint(ay)
    local quotient, rest
    if a and b then
      check(not (bint.eq(x, bint.mininteger()) and bint.isminusone(y)), "division overflow")
      quotient, rest = udivmod(a, b)
    else
      quotient, rest = ax // ay, ax % ay
    end
    if isneg(x) ~= isneg(y) then quotient = -quotient end
    return quotient, isneg(x) and -rest or rest
  end

  function bint.idivmod(x, y)
    local a, b = tobint(x), tobint(y)
    if not (a and b) then
      local m, n = number(x), number(y)
      return m // n, m % n
    end
    local below, divisor_below = isneg(a), isneg(b)
    local quotient, rest = udivmod(below and -a or a, divisor_below and -b or b)
    if below then rest:_unm() end
    if below ~= divisor_below then
      quotient:_unm()
      if not words.is(rest, 0, 0) then
        quotient:_dec()
        rest:_add(b)
      end
    end
    return quotient, rest
  end

  local function second(f)
    return function(x, y)
      local _, rest = f(x, y)
      return rest
    end
  end

  bint.udivmod, bint.umod = udivmod, second(udivmod)
  bint.tmod, bint.__mod = second(bint.tdivmod), second(bint.idivmod)
  function bint.udiv(x, y) return (udivmod(x, y)) end
  function bint.tdiv(x, y) return (bint.tdivmod(x, y)) end
  function bint.__idiv(x, y) return (bint.idivmod(x, y)) end
end

-- A negative exponent counts as the large number that its bits are.
local function raising(bint, words)
  local multiply, is = words.multiply, words.is

  local function power(base, exponent, reduced)
    local result = bint.one()
    while not is(exponent, 0, 0) do
      if exponent[1] & 1 == 1 then result = reduced(multiply(result, base)) end
      exponent:_shrone()
      base = reduced(multiply(base, base))
    end
    return result
  end

  function bint.ipow(x, y)
    return power(bint.new(x), bint.new(y), function(value) return value end)
  end

  -- x ^ y modulo m, unsigned.
  function bint.upowmod(x, y, m)
    m = bint.new(m)
    if is(m, 1, 0) then return bint.zero() end
    local function reduced(value) return bint.umod(value, m) end
    return power(reduced(bint.new(x)), bint.new(y), reduced)
  end
end

return function(bint, words, integral)
  comparing(bint, words, integral)
  adding(bint, words)
  dividing(bint, words, integral)
  raising(bint, words)
end
