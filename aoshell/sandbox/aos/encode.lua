-- JSON text of Lua values.
local concat, format, byte = table.concat, string.format, string.byte
local find, gsub, huge, math_type = string.find, string.gsub, math.huge, math.type
local pairs, rawget, tostring, type = pairs, rawget, tostring, type
local keys_of = require(".host").keys
local raise = require(".failure").raise

-- Deeper documents are not data but attempts on the stack.
local MAX_DEPTH = 1000

local SHORT = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
  ["\t"] = "\\t",
}

local function escaped(c)
  return SHORT[c] or format("\\u%04x", byte(c))
end

local function quoted(text)
  if find(text, '[%z\1-\31\\"]') then text = gsub(text, '[%z\1-\31\\"]', escaped) end
  return '"' .. text .. '"'
end

local function number_text(value)
  if math_type(value) == "integer" then return format("%d", value) end
  if value ~= value or value == huge or value == -huge then
    raise("unexpected number value '" .. tostring(value) .. "'")
  end
  return format("%.14g", value)
end

local encode_table

-- open: the tables around the value, and as `empty` the text of a table that holds nothing.
local function encode_value(value, open, depth)
  local kind = type(value)
  if kind == "string" then return quoted(value) end
  if kind == "number" then return number_text(value) end
  if kind == "boolean" or kind == "nil" then return kind == "nil" and "null" or tostring(value) end
  if kind == "table" then return encode_table(value, open, depth) end
  raise("unexpected type '" .. kind .. "'")
end

local function encode_list(list, count, open, depth)
  local parts = {}
  for i = 1, count do parts[i] = encode_value(list[i], open, depth) end
  return "[" .. concat(parts, ",") .. "]"
end

-- With an element 1, but no list 1, 2, 3… as it stands.
local function encode_array(list, open, depth)
  local parts, count = {}, 0
  for key, value in pairs(list) do
    if type(key) ~= "number" then raise("invalid table: mixed or invalid key types") end
    parts[key] = encode_value(value, open, depth)
    count = count + 1
  end
  if count ~= #list or count ~= #parts then raise("invalid table: sparse array") end
  return "[" .. concat(parts, ",") .. "]"
end

local function put_field(parts, key, value, open, depth)
  if type(key) ~= "string" then raise("invalid table: mixed or invalid key types") end
  if type(value) ~= "function" then
    parts[#parts + 1] = quoted(key) .. ":" .. encode_value(value, open, depth)
  end
end

-- keys: nil where pairs has to be asked.
local function encode_object(object, keys, open, depth)
  local parts, empty = {}, true
  if keys then
    for i = 1, #keys do put_field(parts, keys[i], object[keys[i]], open, depth) end
    empty = #keys == 0
  else
    for key, value in pairs(object) do
      put_field(parts, key, value, open, depth)
      empty = false
    end
  end
  return empty and open.empty or "{" .. concat(parts, ",") .. "}"
end

function encode_table(value, open, depth)
  if open[value] then raise("circular reference") end
  if depth >= MAX_DEPTH then raise("nested deeper than " .. MAX_DEPTH .. " levels") end
  open[value] = true
  local keys, count = keys_of(value)
  local text
  if count then text = count == 0 and open.empty or encode_list(value, count, open, depth + 1)
  elseif rawget(value, 1) ~= nil then text = encode_array(value, open, depth + 1)
  else text = encode_object(value, keys, open, depth + 1) end
  open[value] = nil
  return text
end

-- empty: what a table without anything is, "[]" or "{}".
return function(value, empty)
  return encode_value(value, { empty = empty }, 0)
end
