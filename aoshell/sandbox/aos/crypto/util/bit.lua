-- Operations on unsigned 32-bit words, with the names and rules of Lua 5.2's bit32: numbers are
-- taken modulo 2^32, and shifts by 32 or more leave nothing. Lua's own shifts turn round for
-- negative counts.
local select = select
local check = require(".failure").check

local WORD = 0xFFFFFFFF

local bit = {}

function bit.band(...)
  local result = WORD
  for i = 1, select("#", ...) do result = result & (select(i, ...)) end
  return result
end

function bit.bor(...)
  local result = 0
  for i = 1, select("#", ...) do result = result | (select(i, ...)) end
  return result & WORD
end

function bit.bxor(...)
  local result = 0
  for i = 1, select("#", ...) do result = result ~ (select(i, ...)) end
  return result & WORD
end

function bit.btest(...) return bit.band(...) ~= 0 end
function bit.bnot(value) return ~value & WORD end
function bit.lshift(value, count) return (value & WORD) << count & WORD end
function bit.rshift(value, count) return (value & WORD) >> count & WORD end

function bit.arshift(value, count)
  value = value & WORD
  if count < 0 or value < 0x80000000 then return bit.rshift(value, count) end
  return (value | ~WORD) >> (count < 32 and count or 32) & WORD
end

function bit.lrotate(value, count)
  value, count = value & WORD, count & 31
  return (value << count | value >> 32 - count) & WORD
end

function bit.rrotate(value, count) return bit.lrotate(value, -count) end

local function mask(field, width)
  width = width or 1
  check(field >= 0, "field cannot be negative")
  check(width > 0, "width must be positive")
  check(field + width <= 32, "trying to access non-existent bits")
  return (1 << width) - 1
end

function bit.extract(value, field, width)
  return (value & WORD) >> field & mask(field, width)
end

function bit.replace(value, new, field, width)
  local bits = mask(field, width)
  return value & WORD & ~(bits << field) | (new & bits) << field
end

return bit
