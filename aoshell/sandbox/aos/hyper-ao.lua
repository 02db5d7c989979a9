-- What scripts of lua@5.3a find as `ao`, beside what they put there themselves: get, set, resolve
-- and event of messages, which are tables. Paths are keys with `/` between them.
local gmatch, pairs, select, tostring, type = string.gmatch, pairs, select, tostring, type
local exposed = require(".exposed")

local function copy(value, depth)
  if type(value) ~= "table" or depth == 0 then return value end
  local result = {}
  for key, item in pairs(value) do result[key] = copy(item, depth - 1) end
  return result
end

local function committers(message)
  local list = {}
  local all = type(message) == "table" and message.commitments
  for _, commitment in pairs(type(all) == "table" and all or {}) do
    list[#list + 1] = commitment.committer
  end
  return list
end

-- {"as", device, message} is the message: all are read as message@1.0.
local function plain(message)
  if type(message) == "table" and message[1] == "as" then return message[3] end
  return message
end

local library = {}

function library.get(path, message, default)
  message = plain(message)
  if path == "committers" then return committers(message) end
  local value = exposed.at(message, path)
  if value == nil then return default end
  return value
end

local function put(message, path, value)
  local keys = {}
  for key in gmatch(tostring(path), "[^/]+") do keys[#keys + 1] = key end
  for i = 1, #keys - 1 do
    if type(message[keys[i]]) ~= "table" then message[keys[i]] = {} end
    message = message[keys[i]]
  end
  message[keys[#keys]] = value
end

-- set(message, path, value) or set(message, values): a changed copy.
function library.set(message, ...)
  local result = copy(plain(message), 100)
  if select("#", ...) == 1 then
    for path, value in pairs((...)) do put(result, path, value) end
  else
    put(result, (...), (select(2, ...)))
  end
  return result
end

-- Keys of messages are found; devices are not: there is no other machine in here.
function library.resolve(message, ...)
  local value = plain(message)
  for i = 1, select("#", ...) do
    local path = select(i, ...)
    if type(path) == "table" then path = path.path end
    value = path ~= nil and library.get(path, value) or nil
  end
  if value == nil then return "error", "not_found" end
  return "ok", value
end

function library.event() return "ok" end

return library
