-- What digests and ciphers answer with: their bytes in three forms, made when asked for.
local sub = string.sub
local array = require(".crypto.util.array")
local hex = require(".crypto.util.hex")

local result = {}

-- `bytes`, where given, makes what asBytes() returns of the text; else it is a list of byte values.
function result.of(text, bytes)
  return {
    asString = function() return text end,
    asHex = function() return hex.stringToHex(text) end,
    asBytes = function() return (bytes or array.fromString)(text) end,
  }
end

-- The text as a list of one-byte texts.
function result.characters(text)
  local list = {}
  for i = 1, #text do list[i] = sub(text, i, i) end
  return list
end

return result
