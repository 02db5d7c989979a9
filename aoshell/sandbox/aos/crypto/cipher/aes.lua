-- AES of texts. Without an initialization vector it is 16 zeros; in mode ECB it is a first block
-- of the output, as in aos. Zeros fill the last block. The encrypted text goes in and comes out in
-- hexadecimal digits.
local rep = string.rep
local array = require(".crypto.util.array")
local stream = require(".crypto.util.stream")
local zero_padding = require(".crypto.padding.zero")

local CIPHERS = {
  [128] = require(".crypto.cipher.aes128"),
  [192] = require(".crypto.cipher.aes192"),
  [256] = require(".crypto.cipher.aes256"),
}

local MODES = {
  CBC = require(".crypto.cipher.mode.cbc"),
  ECB = require(".crypto.cipher.mode.ecb"),
  CFB = require(".crypto.cipher.mode.cfb"),
  OFB = require(".crypto.cipher.mode.ofb"),
  CTR = require(".crypto.cipher.mode.ctr"),
}

local function run(direction, text, key, vector, mode, key_bits)
  local engine = (MODES[mode] or MODES.CBC)[direction]()
    .setKey(array.fromString(key))
    .setBlockCipher(CIPHERS[key_bits] or CIPHERS[128])
    .setPadding(zero_padding)
    .init()
    .update(stream.fromString(vector or rep("\0", 16)))
    .update(text)
    .finish()
  local output = engine.asString()
  return {
    asString = function() return output end,
    asBytes = function() return array.fromString(output) end,
    asHex = function() return stream.toHex(stream.fromString(output)) end,
  }
end

return {
  encrypt = function(text, ...) return run("Cipher", stream.fromString(text), ...) end,
  decrypt = function(digits, ...) return run("Decipher", stream.fromHex(digits), ...) end,
}
