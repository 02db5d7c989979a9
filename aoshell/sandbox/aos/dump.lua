-- A value as Lua source text: dump(value[, indent[, padding[, filter[, udata]]]]).
-- filter(value, depth, type, use, key, udata) sees each key ("key"), value ("val") and table met
-- again inside itself ("circular") and gives what to print instead, nil to leave it out; a true
-- second value prints it as it is.
local concat, sort, format, match, rep = table.concat, table.sort, string.format, string.match, string.rep
local floor, huge = math.floor, math.huge
local error, pairs, tostring, type = error, pairs, tostring, type

local RESERVED = {}
for word in string.gmatch([[nil true false local function and or not if elseif else for in while
    until repeat break goto return then do end]], "%a+") do
  RESERVED[word] = true
end

local RANK = { number = 1, boolean = 2, string = 3 }

local function before(a, b)
  if a.rank ~= b.rank then return a.rank < b.rank end
  if a.rank == RANK.boolean then return not a.key and b.key end
  return a.key < b.key
end

local dump_table

local function value_text(value, plain, depth, indent, context)
  local kind = type(value)
  if kind == "number" or kind == "boolean" then return tostring(value) end
  if kind == "table" and not plain then return dump_table(value, depth + 1, indent, context) end
  if kind == "string" and plain then return value end
  return format("%q", tostring(value))
end

-- The key as it stands in source, its rank in the order and what it is sorted by.
local function key_text(key, plain, depth, indent, context)
  local kind = type(key)
  if kind == "number" or kind == "boolean" then
    return "[" .. tostring(key) .. "]", RANK[kind], key
  end
  local text
  if kind == "table" and not plain then
    text = "[" .. dump_table(key, depth + 1, indent, context) .. "]"
  elseif kind == "string" and not RESERVED[key] and match(key, "^[%a_][%w_]*$") then
    text = key
  else
    text = format("[%q]", tostring(key))
  end
  return text, RANK.string, text
end

local function circular_text(list, depth, indent, context)
  local value, plain = context.filter(list, depth, "table", "circular", list, context.udata)
  if value == nil or value == list then return '"<Circular ' .. tostring(list) .. '>"' end
  if type(value) == "table" and plain then return tostring(value) end
  return value_text(value, false, depth, indent, context)
end

function dump_table(list, depth, indent, context)
  if context.open[list] then return circular_text(list, depth, indent, context) end
  context.open[list] = true
  local filter, udata = context.filter, context.udata
  local inner = indent .. context.step
  local fields = {}
  for k, v in pairs(list) do
    local key, plain_key = filter(k, depth, type(k), "key", nil, udata)
    if key ~= nil then
      local value, plain_value = filter(v, depth, type(v), "val", key, udata)
      if value ~= nil then
        local text, rank, order = key_text(key, plain_key, depth, inner, context)
        text = inner .. text .. " = " .. value_text(value, plain_value, depth, inner, context)
        fields[#fields + 1] = { rank = rank, key = order, text = text }
      end
    end
  end
  context.open[list] = nil
  if #fields == 0 then return "{}" end
  sort(fields, before)
  for i = 1, #fields do fields[i] = fields[i].text end
  return "{" .. context.line .. concat(fields, "," .. context.line) .. context.line .. indent .. "}"
end

local function check_width(value, default, name)
  if value == nil then return default end
  if type(value) ~= "number" or value < 0 or value == huge or floor(value) ~= value then
    error(name .. " must be unsigned integer", 3)
  end
  return value
end

local function unfiltered(value) return value end

return function(value, indent, padding, filter, udata)
  indent = check_width(indent, 4, "indent")
  padding = check_width(padding, 0, "padding")
  if filter ~= nil and type(filter) ~= "function" then error("filter must be function", 2) end
  filter = filter or unfiltered
  if type(value) == "table" then
    local context = {
      open = {}, filter = filter, udata = udata, step = rep(" ", indent), line = indent > 0 and "\n" or " ",
    }
    return dump_table(value, 1, rep(" ", padding), context)
  end
  local text, plain = filter(value, 0, type(value), "val", nil, udata)
  return plain == true and tostring(text) or format("%q", tostring(text))
end
