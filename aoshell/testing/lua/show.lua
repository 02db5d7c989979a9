-- Values in Lua's own form, with keys in order, on one line.
local byte, concat, find, format, gmatch, gsub, sub =
  string.byte, table.concat, string.find, string.format, string.gmatch, string.gsub, string.sub
local getmetatable, next, rawget, tostring, type = getmetatable, next, rawget, tostring, type

local show = {}

local known = {}  -- address → how a test writes it

local LONGEST, DEEPEST = 400, 8  -- bytes of a text, levels of a table

local RESERVED = {}
for word in gmatch("and break do else elseif end false for function goto if in local nil not or "
  .. "repeat return then true until while", "%a+") do RESERVED[word] = true end

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

-- From now on, show an identity's address as the test writes it.
function show.know(name, address)
  known[address] = (find(name, "^[%a_][%w_]*$") and name or "t:as(" .. show.text(name) .. ")") .. ".address"
end

function show.text(value)
  if known[value] then return known[value] end
  local cut = #value > LONGEST and " … " .. #value .. " bytes" or ""
  if cut ~= "" then value = sub(value, 1, LONGEST) end
  return '"' .. gsub(value, '[%c"\\]', function(c) return ESCAPES[c] or format("\\%03d", byte(c)) end) .. '"' .. cut
end

function show.is_name(key)
  return not known[key] and type(key) == "string" and find(key, "^[%a_][%w_]*$") and not RESERVED[key]
end

local is_name = show.is_name

-- A key in the form that follows its table.
function show.step(key)
  return is_name(key) and "." .. key or "[" .. show.value(key) .. "]"
end

local function fields(value, level, open)
  local parts, count = {}, 0
  for key in next, value do
    count = count + 1
    local text = show.value(rawget(value, key), level + 1, open)
    if key == count then parts[count] = text
    elseif is_name(key) then parts[count] = key .. " = " .. text
    else parts[count] = "[" .. show.value(key, level + 1, open) .. "] = " .. text end
  end
  return parts
end

function show.value(value, level, open)
  local kind = type(value)
  if kind == "string" then return show.text(value) end
  local meta = getmetatable(value)
  if kind ~= "table" or type(meta) == "table" and meta.__tostring then return tostring(value) end
  level, open = level or 0, open or {}
  if open[value] then return "{circular}" end
  if level >= DEEPEST then return "{…}" end
  open[value] = true
  local parts = fields(value, level, open)
  open[value] = nil
  return parts[1] and "{ " .. concat(parts, ", ") .. " }" or "{}"
end

return show
