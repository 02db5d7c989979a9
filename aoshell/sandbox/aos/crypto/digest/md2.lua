-- MD2 (RFC 1319).
local byte, char, rep = string.byte, string.char, string.rep
local unpack = table.unpack
local hex = require(".crypto.util.hex")
local result = require(".crypto.digest.result")
local text_of = require(".crypto.util.stream").toString

-- The specification's table of digits of pi.
local DIGITS = hex.hexToString([[
  292e43c9a2d87c013d3654a1ecf0061362a705f3c0c7738c98932bd9bc4c82ca
  1e9b573cfdd4e01667426f188a17e512be4ec4d6da9ede49a0fbf58ebb2fee7a
  a968799115b2073f94c210890b225f21807f5d9a5a903227353ecce7bff79703
  ff1930b348a5b5d1d75e922aac56aac64fb838d296a47db676fc6be29c7404f1
  459d705964718720865bcf65e62da8021b6025adaeb0b9f61c46616934407e0f
  5547a323dd51af3ac35cf9cebac5ea262c530d6e85288409d3dfcdf441814d52
  6adc37c86cc1abfa24e17b080cbdb14a7888958be363e86de9cbd5fe3b001d39
  f2efb70e6658d0e4a67772f8eb754b0a314450b48fed1f1adb998d339f118314
]])
local PI = {}
for i = 0, 255 do PI[i] = byte(DIGITS, i + 1) end

-- The checksum of a text of whole blocks, itself a block.
local function checksum(text)
  local sum, last = {}, 0
  for i = 0, 15 do sum[i] = 0 end
  for at = 1, #text, 16 do
    for i = 0, 15 do
      last = sum[i] ~ PI[byte(text, at + i) ~ last]
      sum[i] = last
    end
  end
  return char(unpack(sum, 0, 15))
end

local function mix(state, text, at)
  for i = 0, 15 do
    local item = byte(text, at + i)
    state[16 + i], state[32 + i] = item, item ~ state[i]
  end
  local t = 0
  for round = 0, 17 do
    for i = 0, 47 do
      t = state[i] ~ PI[t]
      state[i] = t
    end
    t = (t + round) % 256
  end
end

return function(stream)
  local text = text_of(stream)
  local missing = 16 - #text % 16
  text = text .. rep(char(missing), missing)
  text = text .. checksum(text)
  local state = {}
  for i = 0, 47 do state[i] = 0 end
  for at = 1, #text, 16 do mix(state, text, at) end
  return result.of(char(unpack(state, 0, 15)))
end
