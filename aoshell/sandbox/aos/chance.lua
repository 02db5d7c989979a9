-- Random numbers that are the same wherever a log is replayed: MT19937 (Matsumoto and Nishimura,
-- 1998) with the reference initialisation from one 32-bit seed.
local floor = math.floor

local check = require(".failure").check
local own = require(".kept").state(".chance", { words = {} })  -- words, position

local SIZE, MIDDLE = 624, 397
local DEFAULT_SEED = 5489

local state = own.words

local chance = {}

function chance.seed(seed)
  local word = seed & 0xFFFFFFFF
  state[0] = word
  for i = 1, SIZE - 1 do
    word = (1812433253 * (word ~ word >> 30) + i) & 0xFFFFFFFF
    state[i] = word
  end
  own.position = SIZE
end

local function twist()
  for i = 0, SIZE - 1 do
    local y = state[i] & 0x80000000 | state[(i + 1) % SIZE] & 0x7FFFFFFF
    state[i] = state[(i + MIDDLE) % SIZE] ~ y >> 1 ~ (y & 1) * 0x9908B0DF
  end
  own.position = 0
end

local function next_word()
  if not own.position then chance.seed(DEFAULT_SEED) end
  if own.position >= SIZE then twist() end
  local y = state[own.position]
  own.position = own.position + 1
  y = y ~ y >> 11
  y = y ~ y << 7 & 0x9D2C5680
  y = y ~ y << 15 & 0xEFC60000
  return y ~ y >> 18
end

-- A float in [0, 1).
function chance.random()
  return next_word() * (1.0 / 4294967296.0)
end

-- An integer from min to max, both included.
function chance.integer(min, max)
  check(max >= min, "max must bigger than min")
  return floor(chance.random() * (max - min + 1) + min)
end

return chance
