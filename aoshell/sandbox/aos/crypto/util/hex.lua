-- Text and its hexadecimal form.
local byte, char, concat = string.byte, string.char, table.concat
local find, format, gsub, tonumber = string.find, string.format, string.gsub, tonumber

local check = require(".failure").check

local hex = {}

local PAIRS = {}
for code = 0, 255 do PAIRS[char(code)] = format("%02x", code) end

-- In lower case. With `width`, a line break follows every that many bytes and `separator` the rest.
function hex.stringToHex(text, width, separator)
  if not width then return (gsub(text, ".", PAIRS)) end
  local parts = {}
  for i = 1, #text do
    local behind = i == #text and "" or i % width == 0 and "\n" or separator or ""
    parts[i] = format("%02x%s", byte(text, i), behind)
  end
  return concat(parts)
end

-- White space is passed over, unless the text is vouched for.
function hex.hexToString(text, unchecked)
  if not unchecked then
    text = gsub(text, "%s+", "")
    check(not find(text, "%X") and #text % 2 == 0, "invalid hex string")
  end
  return (gsub(text, "%x%x", function(pair) return char(tonumber(pair, 16)) end))
end

return hex
