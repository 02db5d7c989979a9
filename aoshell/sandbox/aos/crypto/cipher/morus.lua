-- MORUS-1280 (Wu, Huang), version 1: authenticated encryption of a text behind associated data.
-- Keys have 16 or 32 bytes, nonces 16.
local concat, pack, rep, sub, unpack = table.concat, string.pack, string.rep, string.sub, string.unpack
local check = require(".failure").check
local hex = require(".crypto.util.hex")

local FORMAT = "<i8i8i8i8"
local BLOCK = 32

-- The state is five rows of four words: row r is at 4r + 1. Each of five steps changes the row r:
-- it takes in the message (but for the first), row r + 3, and where rows r + 1 and r + 2 agree,
-- then its words turn by TURNS bits; the words of row r + 3 move on by MOVES places.
local TURNS = { 13, 46, 38, 7, 4 }
local MOVES = { 1, 2, 3, 2, 1 }

local function update(s, m1, m2, m3, m4)
  for step = 1, 5 do
    local row, one, two, three = 4 * step - 4, 4 * step % 20, (4 * step + 4) % 20, (4 * step + 8) % 20
    local turn, move = TURNS[step], MOVES[step]
    local back = 64 - turn
    local t1, t2, t3, t4 = s[three + 1], s[three + 2], s[three + 3], s[three + 4]
    local a = s[row + 1] ~ t1 ~ s[one + 1] & s[two + 1]
    local b = s[row + 2] ~ t2 ~ s[one + 2] & s[two + 2]
    local c = s[row + 3] ~ t3 ~ s[one + 3] & s[two + 3]
    local d = s[row + 4] ~ t4 ~ s[one + 4] & s[two + 4]
    if step > 1 then a, b, c, d = a ~ m1, b ~ m2, c ~ m3, d ~ m4 end
    s[row + 1], s[row + 2] = a << turn | a >> back, b << turn | b >> back
    s[row + 3], s[row + 4] = c << turn | c >> back, d << turn | d >> back
    if move == 1 then t1, t2, t3, t4 = t4, t1, t2, t3
    elseif move == 2 then t1, t2, t3, t4 = t3, t4, t1, t2
    else t1, t2, t3, t4 = t2, t3, t4, t1 end
    s[three + 1], s[three + 2], s[three + 3], s[three + 4] = t1, t2, t3, t4
  end
end

-- The state's words that a block is encrypted and decrypted with.
local function mask(s)
  return s[1] ~ s[6] ~ s[9] & s[13], s[2] ~ s[7] ~ s[10] & s[14],
    s[3] ~ s[8] ~ s[11] & s[15], s[4] ~ s[5] ~ s[12] & s[16]
end

-- Fibonacci's numbers modulo 256.
local CONSTANTS = { unpack(FORMAT, hex.hexToString(
  "000101020305080d1522375990e97962db3d18556dc22ff12011314273b528dd")) }

local function start(key, nonce)
  check(#key == 16 or #key == 32, "key must be 16 or 32 bytes")
  check(#nonce == 16, "iv must be 16 bytes")
  local k = { unpack(FORMAT, #key == 16 and key .. key or key) }
  local n1, n2 = unpack("<i8i8", nonce)
  local s = {
    n1, n2, 0, 0, k[1], k[2], k[3], k[4], -1, -1, -1, -1, 0, 0, 0, 0,
    CONSTANTS[1], CONSTANTS[2], CONSTANTS[3], CONSTANTS[4],
  }
  for _ = 1, 16 do update(s, 0, 0, 0, 0) end
  for i = 1, 4 do s[4 + i] = s[4 + i] ~ k[i] end
  return s
end

-- Each block of a text, the last one filled up with zeros, with its number of bytes.
local function each_block(text, visit)
  for at = 1, #text, BLOCK do
    local block = sub(text, at, at + BLOCK - 1)
    visit(#block < BLOCK and block .. rep("\0", BLOCK - #block) or block, #block)
  end
end

local function absorb(s, text)
  each_block(text, function(block) update(s, unpack(FORMAT, block)) end)
end

local function masked(s, block, size)
  local m1, m2, m3, m4 = mask(s)
  local b1, b2, b3, b4 = unpack(FORMAT, block)
  return sub(pack(FORMAT, b1 ~ m1, b2 ~ m2, b3 ~ m3, b4 ~ m4), 1, size)
end

local function tag(s, text_size, data_size)
  for i = 1, 4 do s[16 + i] = s[16 + i] ~ s[i] end
  for _ = 1, 10 do update(s, data_size << 3, text_size << 3, 0, 0) end
  local t1, t2 = mask(s)
  return pack("<i8i8", t1, t2)
end

local morus = { key_size = 32, nonce_size = 16, variant = "Morus-1280" }

-- Words m1 to m4 into a state of twenty.
morus.state_update = update

-- The associated data, the encrypted text and 16 bytes of authentication.
function morus.encrypt(key, nonce, text, data)
  data = data or ""
  local s, parts = start(key, nonce), { data }
  absorb(s, data)
  each_block(text, function(block, size)
    parts[#parts + 1] = masked(s, block, size)
    update(s, unpack(FORMAT, block))
  end)
  parts[#parts + 1] = tag(s, #text, #data)
  local whole = concat(parts)
  return {
    asBytes = function() return parts end,
    asString = function() return whole end,
    asHex = function() return hex.stringToHex(whole) end,
  }
end

-- The text, or nil and why not. data_size: bytes of associated data in front.
function morus.decrypt(key, nonce, encrypted, data_size)
  data_size = data_size or 0
  check(#encrypted >= data_size + 16, "the encrypted text is too short")
  local s, parts = start(key, nonce), {}
  absorb(s, sub(encrypted, 1, data_size))
  local text = sub(encrypted, data_size + 1, -17)
  each_block(text, function(block, size)
    local plain = masked(s, block, size)
    parts[#parts + 1] = plain
    update(s, unpack(FORMAT, plain .. rep("\0", BLOCK - size)))
  end)
  if tag(s, #text, data_size) ~= sub(encrypted, -16) then return nil, "decrypt error" end
  return concat(parts)
end

return morus
