-- The counter is the vector's second half, and starts anew behind its largest value.
local array = require(".crypto.util.array")

local function following(vector)
  local next_one = array.copy(vector)
  for i = 16, 9, -1 do
    next_one[i] = (vector[i] + 1) & 255
    if next_one[i] > 0 then break end
  end
  return next_one
end

local function step(cipher, key, block, vector)
  return array.XOR(cipher.encrypt(key, vector), block), following(vector)
end

return require(".crypto.cipher.mode.mode")(step, step)
