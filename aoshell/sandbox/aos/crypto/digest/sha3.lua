-- SHA-3 (FIPS 202), and Keccak as it was submitted, which differs in its padding alone.
local concat, pack, rep, unpack = table.concat, string.pack, string.rep, string.unpack
local digest = require(".host").digest
local result = require(".crypto.digest.result")

-- Round constants from the specification's shift register, and of each lane but the first: where
-- it moves to and how far it turns. Lane x, y is at x + 5y + 1.
local CONSTANTS, TARGETS, TURNS = {}, {}, {}

local register = 1
for round = 1, 24 do
  local constant = 0
  for j = 0, 6 do
    constant = constant | (register & 1) << (1 << j) - 1
    register = register << 1
    if register > 255 then register = register ~ 0x171 end
  end
  CONSTANTS[round] = constant
end

local x, y = 1, 0
for t = 1, 24 do
  local source = x + 5 * y + 1
  x, y = y, (2 * x + 3 * y) % 5
  TARGETS[source], TURNS[source] = x + 5 * y + 1, t * (t + 1) // 2 % 64
end
TARGETS[1], TURNS[1] = 1, 0

local function permute(lanes)
  local moved, parity = {}, {}
  for round = 1, 24 do
    for i = 1, 5 do
      parity[i] = lanes[i] ~ lanes[i + 5] ~ lanes[i + 10] ~ lanes[i + 15] ~ lanes[i + 20]
    end
    for i = 1, 5 do
      local right = parity[i % 5 + 1]
      local change = parity[(i + 3) % 5 + 1] ~ (right << 1 | right >> 63)
      for at = i, i + 20, 5 do
        local lane, turn = lanes[at] ~ change, TURNS[at]
        moved[TARGETS[at]] = lane << turn | lane >> 64 - turn
      end
    end
    for row = 1, 21, 5 do
      local a, b, c, d, e = moved[row], moved[row + 1], moved[row + 2], moved[row + 3], moved[row + 4]
      lanes[row], lanes[row + 1], lanes[row + 2], lanes[row + 3], lanes[row + 4] =
        a ~ ~b & c, b ~ ~c & d, c ~ ~d & e, d ~ ~e & a, e ~ ~a & b
    end
    lanes[1] = lanes[1] ~ CONSTANTS[round]
  end
end

-- rate: bytes that a block takes.
local function absorb(lanes, text, rate)
  for at = 1, #text, rate do
    for i = 1, rate // 8 do
      lanes[i] = lanes[i] ~ unpack("<i8", text, at + 8 * i - 8)
    end
    permute(lanes)
  end
end

local function keccak(text, size)
  local rate = 200 - 2 * size
  local missing = rate - #text % rate
  local padding = missing == 1 and "\x81" or "\1" .. rep("\0", missing - 2) .. "\x80"
  local lanes = {}
  for i = 1, 25 do lanes[i] = 0 end
  absorb(lanes, text .. padding, rate)
  local parts = {}
  for i = 1, size // 8 do parts[i] = pack("<i8", lanes[i]) end
  return result.of(concat(parts))
end

return {
  sha3_256 = function(text) return result.of(digest("sha3_256", text)) end,
  sha3_512 = function(text) return result.of(digest("sha3_512", text)) end,
  keccak256 = function(text) return keccak(text, 32) end,
  keccak512 = function(text) return keccak(text, 64) end,
}
