-- MD4 (RFC 1320).
local pack, rep, unpack = string.pack, string.rep, string.unpack
local result = require(".crypto.digest.result")
local text_of = require(".crypto.util.stream").toString

local WORD = 0xFFFFFFFF

local ROUNDS = {
  {
    f = function(x, y, z) return x & y | ~x & z end,
    constant = 0,
    turns = { [0] = 3, 7, 11, 19 },
    order = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
  },
  {
    f = function(x, y, z) return x & y | x & z | y & z end,
    constant = 0x5A827999,
    turns = { [0] = 3, 5, 9, 13 },
    order = { 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 4, 8, 12, 16 },
  },
  {
    f = function(x, y, z) return x ~ y ~ z end,
    constant = 0x6ED9EBA1,
    turns = { [0] = 3, 9, 11, 15 },
    order = { 1, 9, 5, 13, 3, 11, 7, 15, 2, 10, 6, 14, 4, 12, 8, 16 },
  },
}

local function compress(a, b, c, d, words)
  local old_a, old_b, old_c, old_d = a, b, c, d
  for i = 1, 3 do
    local round = ROUNDS[i]
    local f, constant, turns, order = round.f, round.constant, round.turns, round.order
    for step = 0, 15 do
      local sum = a + f(b, c, d) + words[order[step + 1]] + constant & WORD
      local turn = turns[step % 4]
      a, b, c, d = d, (sum << turn | sum >> 32 - turn) & WORD, b, c
    end
  end
  return a + old_a & WORD, b + old_b & WORD, c + old_c & WORD, d + old_d & WORD
end

return function(stream)
  local text = text_of(stream)
  text = text .. "\x80" .. rep("\0", (55 - #text) % 64) .. pack("<I8", 8 * #text)
  local a, b, c, d = 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476
  for at = 1, #text, 64 do
    a, b, c, d = compress(a, b, c, d, { unpack("<I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4", text, at) })
  end
  return result.of(pack("<I4I4I4I4", a, b, c, d))
end
