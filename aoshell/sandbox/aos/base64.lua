-- Base64 (RFC 4648). An encoder maps 0..63 to character codes and 64 to the padding's; a decoder
-- maps back. Decoding passes over characters outside its alphabet and does not insist on padding.
local byte, char, concat, pairs = string.byte, string.char, table.concat, pairs

local base64 = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

function base64.makeencoder(s62, s63, padding)
  local encoder = {}
  for i = 1, #ALPHABET do encoder[i - 1] = byte(ALPHABET, i) end
  encoder[62], encoder[63], encoder[64] = byte(s62 or "+"), byte(s63 or "/"), byte(padding or "=")
  return encoder
end

function base64.makedecoder(s62, s63, padding)
  local decoder = {}
  for code, character in pairs(base64.makeencoder(s62, s63, padding)) do decoder[character] = code end
  return decoder
end

local ENCODER, DECODER = base64.makeencoder(), base64.makedecoder()

function base64.encode(text, encoder)
  encoder = encoder or ENCODER
  local parts, count = {}, 0
  local rest = #text % 3
  for i = 1, #text - rest, 3 do
    local a, b, c = byte(text, i, i + 2)
    count = count + 1
    parts[count] = char(encoder[a >> 2], encoder[(a & 3) << 4 | b >> 4],
      encoder[(b & 15) << 2 | c >> 6], encoder[c & 63])
  end
  local pad = encoder[64]
  if rest == 1 then
    local a = byte(text, -1)
    parts[count + 1] = char(encoder[a >> 2], encoder[(a & 3) << 4], pad, pad)
  elseif rest == 2 then
    local a, b = byte(text, -2, -1)
    parts[count + 1] = char(encoder[a >> 2], encoder[(a & 3) << 4 | b >> 4], encoder[(b & 15) << 2], pad)
  end
  return concat(parts)
end

function base64.decode(text, decoder)
  decoder = decoder or DECODER
  local parts, count, bits, have = {}, 0, 0, 0
  for i = 1, #text do
    local code = decoder[byte(text, i)]
    if code and code < 64 then
      bits, have = bits << 6 | code, have + 6
      if have == 24 then
        count = count + 1
        parts[count] = char(bits >> 16, bits >> 8 & 255, bits & 255)
        bits, have = 0, 0
      end
    end
  end
  if have == 18 then
    parts[count + 1] = char(bits >> 10, bits >> 2 & 255)
  elseif have == 12 then
    parts[count + 1] = char(bits >> 4)
  end
  return concat(parts)
end

return base64
