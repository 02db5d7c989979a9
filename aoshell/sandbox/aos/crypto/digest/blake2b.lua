-- BLAKE2b (RFC 7693) of a text, with `size` bytes and a key. Its asBytes() are one-byte texts.
local digest = require(".host").digest
local result = require(".crypto.digest.result")

return function(text, size, key)
  size, key = size or 64, key or ""
  if size < 1 or size > 64 or #key > 64 then return nil, "illegal parameters" end
  return result.of(digest("blake2b", text, size, key), result.characters)
end
