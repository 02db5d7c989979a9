-- AES (FIPS 197) on blocks of 16 bytes. Bytes of a column are a 32-bit word, the first the highest;
-- SubBytes, ShiftRows and MixColumns are one table look-up per byte.
local pack, unpack = string.pack, string.unpack
local array = require(".crypto.util.array")
local check = require(".failure").check

local function double(value)
  value = value << 1
  return value > 255 and value ~ 0x11B or value
end

local function turned(word) return word >> 8 | (word & 255) << 24 end

-- Tables of one byte: its substitute, and that one's share of a column in each of four rows.
local SUBSTITUTE, INVERSE = {}, {}
local FORWARD, BACKWARD = { {}, {}, {}, {} }, { {}, {}, {}, {} }

local function substitute_all()
  local p, q = 1, 1  -- a generator's powers, and their inverses
  repeat
    p = p ~ double(p)
    q = q ~ q << 1
    q = q ~ q << 2
    q = (q ~ q << 4) & 255
    if q > 127 then q = q ~ 9 end
    local image = q ~ (q << 1 | q >> 7) ~ (q << 2 | q >> 6) ~ (q << 3 | q >> 5) ~ (q << 4 | q >> 4)
    SUBSTITUTE[p] = (image ~ 0x63) & 255
  until p == 1
  SUBSTITUTE[0] = 0x63
  for from = 0, 255 do INVERSE[SUBSTITUTE[from]] = from end
end

local function mix_all()
  for from = 0, 255 do
    local s = SUBSTITUTE[from]
    local word = double(s) << 24 | s << 16 | s << 8 | s ~ double(s)
    local i = INVERSE[from]
    local i2, i4 = double(i), double(double(i))
    local i8 = double(i4)
    local back = (i8 ~ i4 ~ i2) << 24 | (i8 ~ i) << 16 | (i8 ~ i4 ~ i) << 8 | i8 ~ i2 ~ i
    for row = 1, 4 do
      FORWARD[row][from], BACKWARD[row][from] = word, back
      word, back = turned(word), turned(back)
    end
  end
end

substitute_all()
mix_all()

local function substituted(word)
  return SUBSTITUTE[word >> 24] << 24 | SUBSTITUTE[word >> 16 & 255] << 16
    | SUBSTITUTE[word >> 8 & 255] << 8 | SUBSTITUTE[word & 255]
end

-- Words of the round keys, from 0. The last round's count is behind them.
local function expand(key, size)
  local words, columns = {}, size // 4
  for i = 0, columns - 1 do words[i] = unpack(">I4", key, 4 * i + 1) end
  local constant = 1
  local last = 4 * (columns + 7) - 1
  for i = columns, last do
    local word = words[i - 1]
    if i % columns == 0 then
      word = substituted((word << 8 | word >> 24) & 0xFFFFFFFF) ~ constant << 24
      constant = double(constant)
    elseif columns == 8 and i % 8 == 4 then
      word = substituted(word)
    end
    words[i] = words[i - columns] ~ word
  end
  return words, columns + 6
end

-- Round keys for decryption: in the opposite order, those of the middle rounds unmixed.
local function inverted(words, rounds)
  local T1, T2, T3, T4 = BACKWARD[1], BACKWARD[2], BACKWARD[3], BACKWARD[4]
  local result = {}
  for round = 0, rounds do
    for i = 0, 3 do
      local word = words[4 * (rounds - round) + i]
      if round > 0 and round < rounds then
        word = T1[SUBSTITUTE[word >> 24]] ~ T2[SUBSTITUTE[word >> 16 & 255]]
          ~ T3[SUBSTITUTE[word >> 8 & 255]] ~ T4[SUBSTITUTE[word & 255]]
      end
      result[4 * round + i] = word
    end
  end
  return result
end

-- A column of the last round, which does not mix.
local function column(box, p, q, r, s)
  return box[p >> 24] << 24 | box[q >> 16 & 255] << 16 | box[r >> 8 & 255] << 8 | box[s & 255]
end

-- A block through all rounds. Rows shift the other way round in decryption, which is the same as
-- columns in the opposite order.
local function through(block, words, rounds, tables, box, backward)
  local T1, T2, T3, T4 = tables[1], tables[2], tables[3], tables[4]
  local a, b, c, d = unpack(">I4I4I4I4", block)
  a, b, c, d = a ~ words[0], b ~ words[1], c ~ words[2], d ~ words[3]
  if backward then b, d = d, b end
  for at = 4, 4 * rounds - 4, 4 do
    local k1, k2 = words[at], words[at + 1]
    local k3, k4 = words[at + 2], words[at + 3]
    if backward then k2, k4 = k4, k2 end
    a, b, c, d =
      T1[a >> 24] ~ T2[b >> 16 & 255] ~ T3[c >> 8 & 255] ~ T4[d & 255] ~ k1,
      T1[b >> 24] ~ T2[c >> 16 & 255] ~ T3[d >> 8 & 255] ~ T4[a & 255] ~ k2,
      T1[c >> 24] ~ T2[d >> 16 & 255] ~ T3[a >> 8 & 255] ~ T4[b & 255] ~ k3,
      T1[d >> 24] ~ T2[a >> 16 & 255] ~ T3[b >> 8 & 255] ~ T4[c & 255] ~ k4
  end
  a, b, c, d =
    column(box, a, b, c, d), column(box, b, c, d, a), column(box, c, d, a, b), column(box, d, a, b, c)
  if backward then b, d = d, b end
  local at = 4 * rounds
  return pack(">I4I4I4I4", a ~ words[at], b ~ words[at + 1], c ~ words[at + 2], d ~ words[at + 3])
end

-- A block cipher of keys of `size` bytes, of which longer ones give their first. Keys and blocks
-- are lists of bytes.
return function(size)
  local cipher = { blockSize = 16 }
  local known_key, forward, backward, rounds  -- the key that was used last

  local function schedule(list)
    local key = array.toString(array.truncate(list, size))
    if key == known_key then return end
    check(#key == size, "AES-" .. 8 * size .. " needs a key of " .. size .. " bytes, got " .. #key)
    forward, rounds = expand(key, size)
    backward = inverted(forward, rounds)
    known_key = key
  end

  function cipher.encrypt(key, block)
    schedule(key)
    return array.fromString(through(array.toString(block), forward, rounds, FORWARD, SUBSTITUTE, false))
  end

  function cipher.decrypt(key, block)
    schedule(key)
    return array.fromString(through(array.toString(block), backward, rounds, BACKWARD, INVERSE, true))
  end

  return cipher
end
