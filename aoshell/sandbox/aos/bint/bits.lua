-- Bits of bints, and operations that change one in place.
local check = require(".failure").check

local function in_place(bint, words, integral)
  local size, WORD = words.size, words.mask

  function bint:_assign(y)
    y = integral(y)
    for i = 1, size do self[i] = y[i] end
    return self
  end

  function bint:_inc()
    for i = 1, size do
      self[i] = self[i] + 1 & WORD
      if self[i] ~= 0 then break end
    end
    return self
  end

  function bint:_dec()
    for i = 1, size do
      self[i] = self[i] - 1 & WORD
      if self[i] ~= WORD then break end
    end
    return self
  end

  function bint:_bnot()
    for i = 1, size do self[i] = self[i] ~ WORD end
    return self
  end

  function bint:_band(y)
    y = integral(y)
    for i = 1, size do self[i] = self[i] & y[i] end
    return self
  end

  function bint:_bor(y)
    y = integral(y)
    for i = 1, size do self[i] = self[i] | y[i] end
    return self
  end

  function bint:_bxor(y)
    y = integral(y)
    for i = 1, size do self[i] = self[i] ~ y[i] end
    return self
  end

  function bint:_unm() return self:_bnot():_inc() end
  function bint:_abs() return bint.isneg(self) and self:_unm() or self end
  function bint:_add(y) return words.add(self, self, integral(y)) end
  function bint:_sub(y) return words.subtract(self, self, integral(y)) end
  function bint:_shlone() return words.shift_left(self, 1) end
  function bint:_shrone() return words.shift_right(self, 1) end
  function bint:_shlwords(n) return words.shift_left(self, n * words.bits) end
  function bint:_shrwords(n) return words.shift_right(self, n * words.bits) end
end

local function count_of(bint, value)
  local n = bint.tointeger(value)
  check(n, "value has no integer representation")
  return n
end

-- Zeros come in from both sides. A negative count shifts the other way.
local function shifting(bint, words)
  local bits, new = bint.bits, bint.new
  local left, right = words.shift_left, words.shift_right

  local function shifted(x, count)
    if count >= bits or count <= -bits then return bint.zero() end
    return count < 0 and right(x, -count) or left(x, count)
  end

  function bint.__shl(x, y) return shifted(new(x), count_of(bint, y)) end
  function bint.__shr(x, y) return shifted(new(x), -count_of(bint, y)) end

  -- The lowest bits.
  function bint.bwrap(x, count)
    if count <= 0 then return bint.zero() end
    x = new(x)
    return count < bits and x:_band((bint.one() << count):_dec()) or x
  end

  function bint.brol(x, y)
    local count = count_of(bint, y) % bits
    return left(new(x), count):_bor(right(new(x), bits - count))
  end

  function bint.bror(x, y) return bint.brol(x, -count_of(bint, y)) end
end

return function(bint, words, integral)
  in_place(bint, words, integral)
  shifting(bint, words)

  function bint.__band(x, y) return bint.new(x):_band(y) end
  function bint.__bor(x, y) return bint.new(x):_bor(y) end
  function bint.__bxor(x, y) return bint.new(x):_bxor(y) end
  function bint.__bnot(x) return words.copy(x):_bnot() end
end
