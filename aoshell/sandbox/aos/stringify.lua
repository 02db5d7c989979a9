-- Tables as coloured text, the way a process shows them to its owner.
local concat, rep = table.concat, string.rep
local ipairs, pairs, tostring, type = ipairs, pairs, tostring, type

local stringify = { _version = "0.0.1" }

local RED, GREEN, BLUE, RESET = "\27[31m", "\27[32m", "\27[34m", "\27[0m"

-- Whether all that a table holds is numbers and strings at 1, 2, 3…
function stringify.isSimpleArray(list)
  local expected = 1
  for key, value in pairs(list) do
    if key ~= expected or (type(value) ~= "number" and type(value) ~= "string") then return false end
    expected = expected + 1
  end
  return true
end

local function is_array(list)
  local expected = 1
  for key in pairs(list) do
    if key ~= expected then return false end
    expected = expected + 1
  end
  return true
end

local function scalar(value)
  if type(value) == "string" then return GREEN .. '"' .. value .. '"' .. RESET end
  return BLUE .. tostring(value) .. RESET
end

local function simple(list)
  local parts = {}
  for i, value in ipairs(list) do parts[i] = scalar(value) end
  return "{ " .. concat(parts, ", ") .. " }"
end

-- `open` holds the tables that this one stands in: only those make a circle.
function stringify.format(list, indent, open)
  if stringify.isSimpleArray(list) then return simple(list) end
  indent, open = indent or 0, open or {}
  open[list] = true
  local array = is_array(list)
  local parts, margin = {}, rep(" ", indent + 2)
  for key, value in pairs(list) do
    local text
    if type(value) ~= "table" then
      text = scalar(value)
    elseif open[value] then
      text = "<circular reference>"
    else
      text = stringify.format(value, indent + 2, open)
    end
    if not array then text = RED .. tostring(key) .. RESET .. " = " .. text end
    parts[#parts + 1] = margin .. text
  end
  open[list] = nil
  if array then return "{\n" .. concat(parts, ",\n") .. "\n" .. rep(" ", indent) .. " }" end
  return "{\n " .. concat(parts, ",\n ") .. "\n" .. rep(" ", indent) .. "}"
end

return stringify
