-- Division as on paper (Knuth, The Art of Computer Programming 2, 4.3.1, algorithm D), in digits so
-- small that two of them and a carry fit into an integer.
return function(words)
  local BITS = words.bits == 32 and 16 or words.bits
  local PARTS = words.bits // BITS  -- digits of a word
  local BASE = 1 << BITS

  -- Digits from 0, and how many there are.
  local function digits_of(x)
    local digits, count = {}, 0
    for i = 1, words.significant(x) do
      for part = 0, PARTS - 1 do
        digits[count] = x[i] >> part * BITS & BASE - 1
        count = count + 1
      end
    end
    while count > 0 and digits[count - 1] == 0 do count = count - 1 end
    return digits, count
  end

  local function of_digits(digits, count)
    local x = words.filled(0)
    for at = 0, count - 1 do
      local i = at // PARTS + 1
      x[i] = x[i] | digits[at] << at % PARTS * BITS
    end
    return x
  end

  -- How often v fits into the part of u that begins at a digit, one too often at most.
  local function guess_digit(u, v, n, at)
    local high, low = u[at + n] * BASE + u[at + n - 1], u[at + n - 2]
    local first, second = v[n - 1], v[n - 2]
    local guess, rest = high // first, high % first
    while guess >= BASE or guess * second > rest * BASE + low do
      guess, rest = guess - 1, rest + first
      if rest >= BASE then break end
    end
    return guess
  end

  -- A digit of the quotient, which is taken off the dividend u. The divisor v has n digits.
  local function next_digit(u, v, n, at)
    local guess = guess_digit(u, v, n, at)
    local borrow = 0
    for i = 0, n - 1 do
      local difference = u[at + i] - guess * v[i] - borrow
      u[at + i] = difference & BASE - 1
      borrow = -(difference // BASE)
    end
    u[at + n] = u[at + n] - borrow
    if u[at + n] >= 0 then return guess end
    local carry = 0
    for i = 0, n - 1 do
      carry = u[at + i] + v[i] + carry
      u[at + i] = carry & BASE - 1
      carry = carry >> BITS
    end
    u[at + n] = u[at + n] + carry
    return guess - 1
  end

  -- The dividend's digits, shifted; it may need one more than a list of words has.
  local function shifted_digits(x, turn)
    local u, count = digits_of(x)
    local carry = 0
    for i = 0, count - 1 do
      carry = u[i] << turn | carry
      u[i], carry = carry & BASE - 1, carry >> BITS
    end
    u[count] = carry
    return u, count
  end

  -- Quotient and remainder of x >= y, both unsigned, where y has two digits or more. Both are
  -- shifted so far that the divisor's first digit is at least half the base.
  return function(x, y)
    local v, n = digits_of(y)
    local top, turn = v[n - 1], 0
    while top < BASE >> 1 do top, turn = top << 1, turn + 1 end
    v = digits_of(words.shift_left(words.copy(y), turn))
    local u, m = shifted_digits(x, turn)
    local quotient = {}
    for at = m - n, 0, -1 do quotient[at] = next_digit(u, v, n, at) end
    return of_digits(quotient, m - n + 1), words.shift_right(of_digits(u, n), turn)
  end
end
