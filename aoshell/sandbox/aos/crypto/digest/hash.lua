-- Digests that take their input in pieces: an object with init(), update(stream), finish(), which
-- return it, then asBytes(), asHex() and asString(). The host computes them.
local concat = table.concat
local digest = require(".host").digest
local hex = require(".crypto.util.hex")
local array = require(".crypto.util.array")
local text_of = require(".crypto.util.stream").toString

return function(name)
  return function()
    local parts, hash = {}, ""
    local self = {}

    function self.init()
      parts, hash = {}, ""
      return self
    end

    function self.update(stream)
      parts[#parts + 1] = text_of(stream)
      return self
    end

    function self.finish()
      hash = digest(name, concat(parts))
      parts = {}
      return self
    end

    function self.asBytes() return array.fromString(hash) end
    function self.asHex() return hex.stringToHex(hash) end
    function self.asString() return hash end
    return self
  end
end
