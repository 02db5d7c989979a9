-- Streams of bytes: functions that give the next byte (0 to 255) at each call, nil at the end.
local byte, char, concat, gsub = string.byte, string.char, table.concat, string.gsub
local find, format, sub, tonumber, type = string.find, string.format, string.sub, tonumber, type
local check = require(".failure").check

local stream = {}

-- A stream that is asked with this gives all that is left of it at once, as text. Others do not
-- know it and give a byte.
local REST = {}

function stream.fromString(text)
  local at = 0
  return function(asked)
    if asked == REST then
      local rest = at == 0 and text or sub(text, at + 1)
      at = #text
      return rest
    end
    at = at + 1
    return (byte(text, at))
  end
end

function stream.toString(source)
  local first = source(REST)
  if type(first) == "string" then return first end
  local parts, chunk, count = {}, {}, 0
  local item = first
  while item ~= nil do
    count = count + 1
    chunk[count] = char(item)
    if count == 4096 then
      parts[#parts + 1] = concat(chunk)
      count = 0
    end
    item = source()
  end
  parts[#parts + 1] = concat(chunk, "", 1, count)
  return concat(parts)
end

-- An array ends at its first hole.
function stream.fromArray(array)
  local at = 0
  return function()
    at = at + 1
    return array[at]
  end
end

function stream.toArray(source)
  local array, count = {}, 0
  local item = source()
  while item ~= nil do
    count = count + 1
    array[count] = item
    item = source()
  end
  return array
end

-- A last digit without its other half is left out.
function stream.fromHex(text)
  text = sub(text, 1, #text // 2 * 2)
  check(not find(text, "%X"), "invalid hex string")
  return stream.fromString((gsub(text, "..", function(pair) return char(tonumber(pair, 16)) end)))
end

-- In upper case.
function stream.toHex(source)
  return (gsub(stream.toString(source), ".", function(c) return format("%02X", byte(c)) end))
end

return stream
