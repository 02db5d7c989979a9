-- HMAC (RFC 2104). HMAC() is an object: setBlockSize(bytes), setDigest(digest), setKey(list),
-- init(), update(stream), finish(), which return it, then asBytes(), asHex() and asString().
local tostring = tostring
local stream = require(".crypto.util.stream")
local failure = require(".failure")
local SHA1 = require(".crypto.digest.sha1").SHA1
local SHA2_256 = require(".crypto.digest.sha2_256").SHA2_256

local function HMAC()
  local size, make, digest = 64, nil, nil
  local inner, outer = {}, {}
  local self = {}

  function self.setBlockSize(bytes)
    size = bytes
    return self
  end

  function self.setDigest(constructor)
    make, digest = constructor, constructor()
    return self
  end

  function self.setKey(key)
    failure.check(make, "Digest not set")
    if #key > size then key = make().update(stream.fromArray(key)).finish().asBytes() end
    inner, outer = {}, {}
    for i = 1, size do
      local byte = key[i] or 0
      inner[i], outer[i] = byte ~ 0x36, byte ~ 0x5C
    end
    return self
  end

  function self.init()
    digest.init().update(stream.fromArray(inner))
    return self
  end

  function self.update(source)
    digest.update(source)
    return self
  end

  function self.finish()
    local hash = digest.finish().asString()
    digest.init().update(stream.fromArray(outer)).update(stream.fromString(hash)).finish()
    return self
  end

  function self.asBytes() return digest.asBytes() end
  function self.asHex() return digest.asHex() end
  function self.asString() return digest.asString() end
  return self
end

local DIGESTS = { sha1 = SHA1, sha256 = SHA2_256 }

-- Of a stream, with a list of bytes as key. The block is 32 bytes, as in aos: RFC 2104 has 64 for
-- these digests, which HMAC() does.
local function hmac(source, key, name)
  local digest = DIGESTS[name or "sha1"]
  failure.check(digest, "Unsupported algorithm: " .. tostring(name))
  return HMAC().setBlockSize(32).setDigest(digest).setKey(key).init().update(source).finish()
end

return { hmac = hmac, HMAC = HMAC }
