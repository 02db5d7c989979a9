-- Writes a value as one line of JSON: a kind that JSON lacks is an object of one field.
local function write(expression)
  local byte, format, concat, gsub = string.byte, string.format, table.concat, string.gsub
  local open = {}

  local function text(value)
    return '"' .. gsub(value, '[%c"\\\127]', function(c) return format("\\u%04x", byte(c)) end) .. '"'
  end

  local function number(value)
    if math.type(value) == "integer" then return format("%d", value) end
    return '{"float":"' .. format("%.17g", value) .. '"}'
  end

  local put

  local function items(value)
    local parts, count, list = {}, 0, true
    for key in next, value do  -- the sandbox's `next` gives nil for a value of false
      local item = value[key]
      count = count + 1
      list = list and key == count
      parts[2 * count - 1], parts[2 * count] = put(key), put(item)
    end
    if not list then return '{"table":[' .. concat(parts, ",") .. "]}" end
    local values = {}
    for i = 1, count do values[i] = parts[2 * i] end
    return "[" .. concat(values, ",") .. "]"
  end

  function put(value)
    local kind = type(value)
    if kind == "nil" then return "null" end
    if kind == "boolean" then return tostring(value) end
    if kind == "string" then return text(value) end
    if kind == "number" then return number(value) end
    if kind ~= "table" then return '{"other":' .. text(tostring(value)) .. "}" end
    if open[value] then return '{"other":"<circular reference>"}' end
    if #open > 100 then return '{"other":"<nested too deep>"}' end
    open[value], open[#open + 1] = true, value
    local written = items(value)
    open[value], open[#open] = nil, nil
    return written
  end

  local f, problem = load("return " .. expression, "=expression", "t", _G)
  if not f then error(problem, 0) end
  return put((f()))
end
