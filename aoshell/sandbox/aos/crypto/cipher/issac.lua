-- ISAAC (Jenkins, 1996): random numbers from a seed, and a cipher that shifts printable characters
-- by them.
local byte, char, concat, tostring = string.byte, string.char, table.concat, tostring
local math = math
local result = require(".crypto.digest.result")

local WORD = 0xFFFFFFFF
local GOLDEN = 0x9E3779B9

local state, numbers, taken = {}, {}, 0
local a, b, c = 0, 0, 0

local SHIFTS = { [0] = 13, -6, 2, -16 }

-- The next 256 numbers.
local function refill()
  c = c + 1 & WORD
  b = b + c & WORD
  for i = 0, 255 do
    local x = state[i]
    a = (a ~ a << SHIFTS[i & 3]) + state[i + 128 & 255] & WORD
    local y = state[x >> 2 & 255] + a + b & WORD
    state[i] = y
    b = state[y >> 10 & 255] + x & WORD
    numbers[i] = b
  end
  taken = 0
end

local MIX = { 11, -2, 8, -16, 10, -4, 8, -9 }

local function mix(words)
  for i = 0, 7 do
    local next_one = words[i + 1 & 7]
    words[i] = (words[i] ~ next_one << MIX[i + 1]) & WORD
    words[i + 3 & 7] = words[i + 3 & 7] + words[i] & WORD
    words[i + 1 & 7] = next_one + words[i + 2 & 7] & WORD
  end
end

-- Spread words over the state, adding `source` where it is given.
local function spread(words, source)
  for i = 0, 248, 8 do
    if source then
      for j = 0, 7 do words[j] = words[j] + source[i + j] & WORD end
    end
    mix(words)
    for j = 0, 7 do state[i + j] = words[j] end
  end
end

local issac = {}

-- Up to 256 bytes of seed count, and none unless `all` is true.
function issac.seedIsaac(seed, all)
  for i = 0, 255 do numbers[i], state[i] = byte(seed, i + 1) or 0, 0 end
  a, b, c = 0, 0, 0
  local words = {}
  for j = 0, 7 do words[j] = GOLDEN end
  for _ = 1, 4 do mix(words) end
  spread(words, all and numbers)
  if all then spread(words, state) end
  refill()
end

function issac.getRandom()
  local number = numbers[taken]
  taken = taken + 1
  if taken > 255 then refill() end
  return number
end

-- A number from min to max. Without a seed it is the same at every call, as in aos.
function issac.random(min, max, seed)
  min, max = min or 0, max or 2 ^ 31 - 1
  if seed then
    issac.seedIsaac(seed, true)
  else
    issac.seedIsaac(tostring(math.random(2 ^ 31 - 1)), false)
  end
  return issac.getRandom() % (max - min + 1) + min
end

-- The code of a printable character.
function issac.getRandomChar()
  return issac.getRandom() % 95 + 32
end

local function shifted(text, key, sign)
  issac.seedIsaac(key, true)
  local parts = {}
  for i = 1, #text do
    parts[i] = char((byte(text, i) - 32 + sign * issac.getRandomChar()) % 95 + 32)
  end
  return concat(parts)
end

function issac.encrypt(text, key)
  return result.of(shifted(text, key, 1), result.characters)
end

function issac.decrypt(text, key)
  return shifted(text, key, -1)
end

return issac
