-- NORX 64-4-1 (Aumasson, Jovanovic, Neves), version 3: authenticated encryption of a text between a
-- header and a trailer. Keys and nonces have 32 bytes.
local concat, pack, rep, sub, unpack = table.concat, string.pack, string.rep, string.sub, string.unpack
local check = require(".failure").check
local hex = require(".crypto.util.hex")

local RATE = 96  -- bytes
local HEADER, PAYLOAD, TRAILER, FINAL = 1, 2, 4, 8

local function mix(state, i, j, k, l)
  local a, b, c, d = state[i], state[j], state[k], state[l]
  a = a ~ b ~ (a & b) << 1
  d = d ~ a
  d = d >> 8 | d << 56
  c = c ~ d ~ (c & d) << 1
  b = b ~ c
  b = b >> 19 | b << 45
  a = a ~ b ~ (a & b) << 1
  d = d ~ a
  d = d >> 40 | d << 24
  c = c ~ d ~ (c & d) << 1
  b = b ~ c
  b = b >> 63 | b << 1
  state[i], state[j], state[k], state[l] = a, b, c, d
end

local function rounds(state, count)
  for _ = 1, count do
    mix(state, 1, 5, 9, 13)
    mix(state, 2, 6, 10, 14)
    mix(state, 3, 7, 11, 15)
    mix(state, 4, 8, 12, 16)
    mix(state, 1, 6, 11, 16)
    mix(state, 2, 7, 12, 13)
    mix(state, 3, 8, 9, 14)
    mix(state, 4, 5, 10, 15)
  end
end

local function enter(state, domain)
  state[16] = state[16] ~ domain
  rounds(state, 4)
end

local function add_key(state, key)
  for i = 1, 4 do state[12 + i] = state[12 + i] ~ key[i] end
end

local function words(text, what)
  check(#text == 32, what .. " must have 32 bytes, got " .. #text)
  return { unpack("<i8i8i8i8", text) }
end

local function start(key, nonce)
  local state = {}
  for i = 1, 16 do state[i] = i - 1 end
  rounds(state, 2)
  for i = 1, 4 do state[i], state[4 + i] = nonce[i], key[i] end
  state[13], state[14] = state[13] ~ 64, state[14] ~ 4
  state[15], state[16] = state[15] ~ 1, state[16] ~ 256
  rounds(state, 4)
  add_key(state, key)
  return state
end

-- Each block of a text that is not empty, the last one padded, with its number of bytes.
local function each_block(text, visit)
  if text == "" then return end
  for at = 1, #text + 1, RATE do
    local block = sub(text, at, at + RATE - 1)
    local size = #block
    if size == RATE - 1 then
      block = block .. "\x81"
    elseif size < RATE then
      block = block .. "\1" .. rep("\0", RATE - 2 - size) .. "\x80"
    end
    visit(block, size)
  end
end

local function absorb(state, text, domain)
  each_block(text, function(block)
    enter(state, domain)
    for i = 1, 12 do state[i] = state[i] ~ unpack("<i8", block, 8 * i - 7) end
  end)
end

local function rate_of(state)
  local parts = {}
  for i = 1, 12 do parts[i] = pack("<i8", state[i]) end
  return concat(parts)
end

local function encrypt_text(state, text, parts)
  each_block(text, function(block, size)
    enter(state, PAYLOAD)
    for i = 1, 12 do state[i] = state[i] ~ unpack("<i8", block, 8 * i - 7) end
    parts[#parts + 1] = sub(rate_of(state), 1, size)
  end)
end

-- What the text is, is known only once it is decrypted: the padding is put onto the state then.
local function decrypt_text(state, text, parts)
  each_block(text, function(padded, size)
    enter(state, PAYLOAD)
    local cipher = sub(padded, 1, size)
    if size < RATE then
      local mask = rep("\0", size) .. sub(padded, size + 1)
      local stream = rate_of(state)
      local tail = {}
      for i = size + 1, RATE do
        tail[#tail + 1] = pack("B", unpack("B", stream, i) ~ unpack("B", mask, i))
      end
      cipher = cipher .. concat(tail)
    end
    local plain = {}
    for i = 1, 12 do
      local word = unpack("<i8", cipher, 8 * i - 7)
      plain[i] = pack("<i8", state[i] ~ word)
      state[i] = word
    end
    parts[#parts + 1] = sub(concat(plain), 1, size)
  end)
end

local function tag(state, key)
  enter(state, FINAL)
  add_key(state, key)
  rounds(state, 4)
  add_key(state, key)
  return pack("<i8i8i8i8", state[13], state[14], state[15], state[16])
end

local norx = { key_size = 32, nonce_size = 32, variant = "NORX 64-4-1" }

-- The encrypted text with 32 bytes of authentication behind it.
function norx.encrypt(key, nonce, text, header, trailer)
  key = words(key, "the key")
  local state, parts = start(key, words(nonce, "the nonce")), {}
  absorb(state, header or "", HEADER)
  encrypt_text(state, text, parts)
  absorb(state, trailer or "", TRAILER)
  parts[#parts + 1] = tag(state, key)
  local whole = concat(parts)
  return {
    asBytes = function() return parts end,
    asString = function() return whole end,
    asHex = function() return hex.stringToHex(whole) end,
  }
end

-- The text, or nil and why not.
function norx.decrypt(key, nonce, encrypted, header, trailer)
  check(#encrypted >= 32, "the encrypted text must have at least 32 bytes, got " .. #encrypted)
  key = words(key, "the key")
  local state, parts = start(key, words(nonce, "the nonce")), {}
  absorb(state, header or "", HEADER)
  decrypt_text(state, sub(encrypted, 1, -33), parts)
  absorb(state, trailer or "", TRAILER)
  if tag(state, key) ~= sub(encrypted, -32) then return nil, "auth failure" end
  return concat(parts)
end

return norx
