local XOR = require(".crypto.util.array").XOR

local function step(cipher, key, block, vector)
  vector = cipher.encrypt(key, vector)
  return XOR(vector, block), vector
end

return require(".crypto.cipher.mode.mode")(step, step)
