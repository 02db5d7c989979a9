-- Integers of a fixed number of bits, with the functions and operators of lua-bint: a bint is a
-- list of words, the lowest first, in two's complement; what does not fit is cut off.
--
-- require(".bint")(bits, word_bits) is the class for that size, 256 bits in words of 32 where
-- nothing else is said.
local setmetatable = setmetatable
local check = require(".failure").check
local words_of = require(".bint.words")
local add_values = require(".bint.values")
local add_text = require(".bint.text")
local add_bits = require(".bint.bits")
local add_arithmetic = require(".bint.arithmetic")

local function define(bits, word_bits)
  local bint = { bits = bits }
  bint.__index = bint
  local words = words_of(bint, bits // word_bits, word_bits)

  -- A value as a bint, which may be the value itself.
  local function integral(value)
    local x = bint.tobint(value)
    check(x, "value has not integer representation")
    return x
  end

  add_values(bint, words)
  add_text(bint, words)
  add_bits(bint, words, integral)
  add_arithmetic(bint, words, integral)
  return setmetatable(bint, { __call = function(_, value) return bint.new(value) end })
end

local classes = {}

return function(bits, word_bits)
  bits, word_bits = bits or 256, word_bits or 32
  local id = bits * 64 + word_bits
  if classes[id] then return classes[id] end
  check(bits % word_bits == 0, "bitsize is not multiple of word bitsize")
  check(word_bits <= 32, "word bitsize must be half of the lua integer bitsize")
  check(bits >= 64, "bitsize must be >= 64")
  check(word_bits >= 8, "wordbits must be at least 8")
  check(bits % 8 == 0, "bitsize must be multiple of 8")
  classes[id] = define(bits, word_bits)
  return classes[id]
end
