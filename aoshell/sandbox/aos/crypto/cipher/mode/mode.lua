-- Modes of block ciphers. A mode is {Cipher=, Decipher=}: constructors of objects with
-- setKey(list), setBlockCipher(cipher), setPadding(padding), init(), update(stream), finish(),
-- which return it, and getOutputQueue(), asBytes(), asHex() and asString(), which take the output
-- out of it. The first block of input is the initialization vector.
local array = require(".crypto.util.array")
local queue_of = require(".crypto.util.queue")
local stream = require(".crypto.util.stream")

-- step(cipher, key, block, vector) → the output block, the next vector.
-- vector: what stands for the initialization vector where the mode has none.
local function direction(step, vector)
  return function()
    local key, cipher, padding
    local input, output, current
    local self = {}

    function self.setKey(list)
      key = list
      return self
    end

    function self.setBlockCipher(block_cipher)
      cipher = block_cipher
      return self
    end

    function self.setPadding(mode)
      padding = mode
      return self
    end

    function self.init()
      input, output, current = queue_of(), queue_of(), vector
      return self
    end

    function self.update(source)
      for byte in source do
        input.push(byte)
        if input.size() >= cipher.blockSize then
          local block = array.readFromQueue(input, cipher.blockSize)
          if current == nil then
            current = block
          else
            local result
            result, current = step(cipher, key, block, current)
            array.writeToQueue(output, result)
          end
        end
      end
      return self
    end

    function self.finish()
      return self.update(padding(cipher.blockSize, input.getHead()))
    end

    function self.getOutputQueue() return output end
    function self.asBytes() return stream.toArray(output.pop) end
    function self.asHex() return stream.toHex(output.pop) end
    function self.asString() return stream.toString(output.pop) end
    return self
  end
end

return function(encrypt, decrypt, vector)
  return { Cipher = direction(encrypt, vector), Decipher = direction(decrypt, vector) }
end
