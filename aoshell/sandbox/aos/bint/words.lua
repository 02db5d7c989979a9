-- Calculating with lists of `size` words of `bits` each, the lowest first. Results of new lists get
-- the metatable `meta`. `words(meta, size, bits)` is a table of operations; those that begin with a
-- list change it and return it.
local load, rep, setmetatable, sub, unpack = load, string.rep, setmetatable, string.sub, table.unpack

return function(meta, size, bits)
  local WORD, SIGN = (1 << bits) - 1, 1 << bits - 1
  local words = { size = size, bits = bits, mask = WORD, sign = SIGN }

  -- A constructor with all its items makes a table of the right size at once.
  local items = sub(rep("word,", size), 1, -2)
  local make = load("local stamp, meta = ... return function(word) return stamp({" .. items
    .. "}, meta) end", "@.bint.words")
  words.filled = make(setmetatable, meta)

  function words.copy(x) return setmetatable({ unpack(x, 1, size) }, meta) end

  -- Of a Lua integer; `fill` are the bits that come in from the left.
  function words.of_integer(value, fill)
    local x = words.filled(0)
    for i = 1, size do
      x[i] = value & WORD
      value = value >> bits | fill
    end
    return x
  end

  -- Words without the zeros on top.
  local function significant(x)
    local count = size
    while count > 0 and x[count] == 0 do count = count - 1 end
    return count
  end
  words.significant = significant

  function words.is(x, first, rest)
    if x[1] ~= first then return false end
    for i = 2, size do
      if x[i] ~= rest then return false end
    end
    return true
  end

  -- Below 0 where x < y, 0 where they are equal. `flip` is words.sign where numbers have one.
  function words.compare(x, y, flip)
    local a, b = x[size] ~ flip, y[size] ~ flip
    if a ~= b then return a - b end
    for i = size - 1, 1, -1 do
      if x[i] ~= y[i] then return x[i] - y[i] end
    end
    return 0
  end

  function words.add(z, x, y)
    local carry = 0
    for i = 1, size do
      carry = x[i] + y[i] + carry
      z[i] = carry & WORD
      carry = carry >> bits
    end
    return z
  end

  function words.subtract(z, x, y)
    local borrow = 0
    for i = 1, size do
      local difference = x[i] - y[i] - borrow
      z[i] = difference & WORD
      borrow = difference >> 63
    end
    return z
  end

  -- x * factor + more.
  function words.extend(x, factor, more)
    for i = 1, size do
      more = x[i] * factor + more
      x[i] = more & WORD
      more = more >> bits
    end
    return x
  end

  -- A product of words and both carries fill an integer to its last bit, whose sign plays no part.
  function words.multiply(a, b)
    local z = words.filled(0)
    local width = significant(b)
    for i = 1, significant(a) do
      local factor, carry, offset = a[i], 0, 1 - i
      local last = i + width - 1
      if last > size then last = size end
      for k = i, last do
        carry = factor * b[k + offset] + z[k] + carry
        z[k] = carry & WORD
        carry = carry >> bits
      end
      if last < size then z[last + 1] = carry end
    end
    return z
  end

  -- x // divisor, of which the lowest `count` words are not zero, and the remainder. Of 32-bit
  -- words the divisor must be below words.sign.
  function words.divide_by(x, divisor, count)
    local rest = 0
    for i = count, 1, -1 do
      rest = rest << bits | x[i]
      x[i], rest = rest // divisor, rest % divisor
    end
    return x, rest
  end

  function words.shift_left(x, count)
    local whole, turn = count // bits, count % bits
    for i = size, 1, -1 do
      local low = turn > 0 and x[i - whole - 1] or 0
      x[i] = ((x[i - whole] or 0) << turn | low >> bits - turn) & WORD
    end
    return x
  end

  function words.shift_right(x, count)
    local whole, turn = count // bits, count % bits
    for i = 1, size do
      local high = turn > 0 and x[i + whole + 1] or 0
      x[i] = (x[i + whole] or 0) >> turn | high << bits - turn & WORD
    end
    return x
  end

  return words
end
