-- SHA-512 of a text. Its asBytes() are eight 64-bit words.
local unpack = string.unpack
local digest = require(".host").digest
local result = require(".crypto.digest.result")

local function words(hash)
  local list = { unpack(">i8i8i8i8i8i8i8i8", hash) }
  list[9] = nil
  return list
end

return function(text) return result.of(digest("sha512", text), words) end
