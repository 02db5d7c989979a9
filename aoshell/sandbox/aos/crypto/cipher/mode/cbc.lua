local XOR = require(".crypto.util.array").XOR

return require(".crypto.cipher.mode.mode")(
  function(cipher, key, block, vector)
    local result = cipher.encrypt(key, XOR(vector, block))
    return result, result
  end,
  function(cipher, key, block, vector)
    return XOR(vector, cipher.decrypt(key, block)), block
  end
)
