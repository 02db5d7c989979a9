-- Lists of bytes.
local byte, char, concat = string.byte, string.char, table.concat
local format, insert, move, pairs = string.format, table.insert, table.move, pairs
local stream = require(".crypto.util.stream")
local queue_of = require(".crypto.util.queue")

local array = {}

function array.size(list) return #list end

local STEP = 4096  -- values that a call can surely give

function array.fromString(text)
  local list = {}
  for at = 1, #text, STEP do move({ byte(text, at, at + STEP - 1) }, 1, STEP, at, list) end
  return list
end

function array.toString(list)
  local parts = {}
  for i = 1, #list do parts[i] = char(list[i]) end
  return concat(parts)
end

array.fromStream = stream.toArray

function array.toStream(list)
  local queue = queue_of()
  array.writeToQueue(queue, list)
  return queue.pop
end

function array.readFromQueue(queue, size)
  local list = {}
  for i = 1, size do list[i] = queue.pop() end
  return list
end

function array.writeToQueue(queue, list)
  for i = 1, #list do queue.push(list[i]) end
end

function array.fromHex(text) return stream.toArray(stream.fromHex(text)) end

-- In upper case.
function array.toHex(list)
  local parts = {}
  for i = 1, #list do parts[i] = format("%02X", list[i]) end
  return concat(parts)
end

function array.concat(a, b)
  return move(b, 1, #b, #a + 1, move(a, 1, #a, 1, {}))
end

function array.truncate(list, size) return move(list, 1, size, 1, {}) end

function array.XOR(a, b)
  local result = {}
  for i, value in pairs(a) do result[i] = value ~ b[i] end
  return result
end

function array.substitute(list, box)
  local result = {}
  for i, value in pairs(list) do result[i] = box[value] end
  return result
end

function array.permute(list, box)
  local result = {}
  for i, from in pairs(box) do result[i] = list[from] end
  return result
end

function array.copy(list)
  local result = {}
  for i, value in pairs(list) do result[i] = value end
  return result
end

-- Negative places count from the end.
function array.slice(list, start, stop)
  start, stop = start or 1, stop or #list
  if start < 0 then start = #list + start + 1 end
  if stop < 0 then stop = #list + stop + 1 end
  local result = {}
  for i = start, stop do insert(result, list[i]) end
  return result
end

return array
