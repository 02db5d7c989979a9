-- PBKDF2 (RFC 8018). PBKDF2() is an object: setPRF(hmac), setBlockLen(bytes), setDKeyLen(bytes),
-- setIterations(n), setSalt(list), setPassword(list), finish(), which return it, then asBytes(),
-- asHex() and asString(). Hexadecimal digits are in upper case.
local byte, ceil, pack = string.byte, math.ceil, string.pack
local pairs, pcall, tostring = pairs, pcall, tostring
local array = require(".crypto.util.array")
local stream = require(".crypto.util.stream")
local host = require(".host")
local failure = require(".failure")

local function answers(self, bytes)
  function self.asBytes() return bytes() end
  function self.asHex() return array.toHex(bytes()) end
  function self.asString() return array.toString(bytes()) end
  return self
end

-- prf: an HMAC with its key set.
local function block(prf, salt, iterations, index)
  local last = array.concat(salt, { byte(pack(">I4", index), 1, 4) })
  local sum
  for _ = 1, iterations do
    last = prf.init().update(stream.fromArray(last)).finish().asBytes()
    sum = sum and array.XOR(sum, last) or last
  end
  return sum or {}
end

local SETTERS = {
  setPRF = "prf", setBlockLen = "block", setDKeyLen = "length", setIterations = "iterations",
  setSalt = "salt", setPassword = "password",
}

local function PBKDF2()
  local given = { block = 16, length = 256, iterations = 4096 }
  local self, key = {}, {}
  for name, field in pairs(SETTERS) do
    self[name] = function(value)
      given[field] = value
      return self
    end
  end

  function self.finish()
    given.prf.setKey(given.password)
    key = {}
    for index = 1, ceil(given.length / given.block) do
      key = array.concat(key, block(given.prf, given.salt, given.iterations, index))
    end
    if #key > given.length then key = array.truncate(key, given.length) end
    return self
  end

  return answers(self, function() return key end)
end

local DIGESTS = { sha1 = "sha1", sha256 = "sha256" }

-- `length` bytes of key, derived by the host.
local function pbkdf2(password, salt, iterations, length, name)
  local digest = DIGESTS[name or "sha1"]
  failure.check(digest, "Unsupported algorithm: " .. tostring(name))
  local ok, derived = pcall(host.pbkdf2, digest, array.toString(password), array.toString(salt),
    iterations, length)
  if not ok then failure.raise(derived) end
  local key = array.fromString(derived)
  return answers({}, function() return key end)
end

return { PBKDF2 = PBKDF2, pbkdf2 = pbkdf2 }
