-- JSON text and Lua values. A table with an element 1, or none at all, is an array; fields that
-- hold functions are left out; null is nil.
local concat, format, byte, char, sub = table.concat, string.format, string.byte, string.char, string.sub
local find, match, gsub = string.find, string.match, string.gsub
local utf8_char, huge = utf8.char, math.huge
local tonumber, type = tonumber, type
local encode = require(".encode")
local raise = require(".failure").raise

local json = { _version = "0.2.0" }

-- Deeper documents are not data but attempts on the stack.
local MAX_DEPTH = 1000

function json.encode(value)
  return encode(value, "[]")
end

-- Decoding ---------------------------------------------------------------------------------------

local function fail(text, at, what)
  local before = sub(text, 1, at - 1)
  local _, lines = gsub(before, "\n", "")
  local newline = match(before, ".*()\n") or 0
  raise(format("%s at line %d col %d", what, lines + 1, at - newline))
end

local function skip(text, at)
  return match(text, "^[ \t\r\n]*()", at)
end

local UNESCAPED = {
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

-- A surrogate without its other half stands for no character: U+FFFD, as browsers do.
local function unicode(text, at)
  local digits = match(text, "^%x%x%x%x", at)
  if not digits then fail(text, at - 2, "invalid unicode escape in string") end
  local code = tonumber(digits, 16)
  if code < 0xD800 or code > 0xDFFF then return utf8_char(code), at + 4 end
  local low = code < 0xDC00 and match(text, "^\\u([dD][c-fC-F]%x%x)", at + 4)
  if not low then return "\xEF\xBF\xBD", at + 4 end
  return utf8_char(0x10000 + ((code - 0xD800) << 10) + tonumber(low, 16) - 0xDC00), at + 10
end

local function decode_escaped(text, start)
  local parts, count, at = {}, 0, start + 1
  while true do
    local plain, stop = match(text, '^([^"\\%z\1-\31]*)()', at)
    count = count + 1
    parts[count] = plain
    local c = sub(text, stop, stop)
    if c == '"' then return concat(parts), stop + 1 end
    if c == "" then fail(text, start, "expected closing quote for string") end
    if c ~= "\\" then fail(text, stop, "control character in string") end
    local letter = sub(text, stop + 1, stop + 1)
    local piece = UNESCAPED[letter]
    if piece then
      at = stop + 2
    elseif letter == "u" then
      piece, at = unicode(text, stop + 2)
    else
      fail(text, stop, "invalid escape char '" .. letter .. "' in string")
    end
    count = count + 1
    parts[count] = piece
  end
end

local function decode_string(text, start)
  local plain, stop = match(text, '^([^"\\%z\1-\31]*)"()', start + 1)
  if plain then return plain, stop end
  return decode_escaped(text, start)
end

local function decode_number(text, start)
  local word, stop = match(text, "^([%w.+-]*)()", start)
  local whole, rest = match(word, "^-?(%d+)(.*)$")
  local fraction = rest and match(rest, "^%.%d+(.*)$") or rest
  local exponent = fraction and (fraction == "" or find(fraction, "^[eE][+-]?%d+$"))
  if not exponent or find(whole, "^0%d") then fail(text, start, "invalid number '" .. word .. "'") end
  local value = tonumber(word)
  if value == huge or value == -huge then fail(text, start, "number out of range '" .. word .. "'") end
  return value, stop
end

local LITERALS = { ["true"] = true, ["false"] = false }

local function decode_literal(text, start)
  local word, stop = match(text, "^([%w_]*)()", start)
  if LITERALS[word] == nil and word ~= "null" then
    fail(text, start, "invalid literal '" .. word .. "'")
  end
  return LITERALS[word], stop
end

local decode_value

local function decode_array(text, at, depth)
  local list, count = {}, 0
  at = skip(text, at + 1)
  if byte(text, at) == 93 then return list, at + 1 end
  while true do
    count = count + 1
    list[count], at = decode_value(text, at, depth)
    at = skip(text, at)
    local c = byte(text, at)
    if c == 93 then return list, at + 1 end
    if c ~= 44 then fail(text, at + 1, "expected ']' or ','") end
    at = skip(text, at + 1)
  end
end

local function decode_object(text, at, depth)
  local object, key = {}, nil
  at = skip(text, at + 1)
  if byte(text, at) == 125 then return object, at + 1 end
  while true do
    if byte(text, at) ~= 34 then fail(text, at, "expected string for key") end
    key, at = decode_string(text, at)
    at = skip(text, at)
    if byte(text, at) ~= 58 then fail(text, at, "expected ':' after key") end
    object[key], at = decode_value(text, skip(text, at + 1), depth)
    at = skip(text, at)
    local c = byte(text, at)
    if c == 125 then return object, at + 1 end
    if c ~= 44 then fail(text, at + 1, "expected '}' or ','") end
    at = skip(text, at + 1)
  end
end

local DECODERS = { ['"'] = decode_string, ["["] = decode_array, ["{"] = decode_object, ["-"] = decode_number }
for digit = 48, 57 do DECODERS[char(digit)] = decode_number end
for _, letter in ipairs { "t", "f", "n" } do DECODERS[letter] = decode_literal end

function decode_value(text, at, depth)
  local c = sub(text, at, at)
  local decode = DECODERS[c]
  if not decode then fail(text, at, "unexpected character '" .. c .. "'") end
  if depth > MAX_DEPTH then fail(text, at, "nested deeper than " .. MAX_DEPTH .. " levels") end
  return decode(text, at, depth + 1)
end

function json.decode(text)
  if type(text) ~= "string" then raise("expected argument of type string, got " .. type(text)) end
  local value, at = decode_value(text, skip(text, 1), 1)
  at = skip(text, at)
  if at <= #text then fail(text, at, "trailing garbage") end
  return value
end

return json
