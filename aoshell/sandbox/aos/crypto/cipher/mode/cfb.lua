local XOR = require(".crypto.util.array").XOR

return require(".crypto.cipher.mode.mode")(
  function(cipher, key, block, vector)
    local result = XOR(cipher.encrypt(key, vector), block)
    return result, result
  end,
  function(cipher, key, block, vector)
    return XOR(cipher.encrypt(key, vector), block), block
  end
)
