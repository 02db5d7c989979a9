-- Values as snapshots have them: in Lua's form, keys in order, a field a line, nothing cut.
local byte, concat, format, gsub, rep, sort =
  string.byte, table.concat, string.format, string.gsub, string.rep, table.sort
local getmetatable, next, rawget, rawlen, tostring, type =
  getmetatable, next, rawget, rawlen, tostring, type
local math_type, huge = math.type, math.huge
local is_message = require(".mail").is_message
local is_name = require(".show").is_name

local written = {}

local DEEPEST = 100  -- levels of a table

-- What differs between two runs of a test that changed a little: who is meant is said by a name.
local names, taken = {}, {}
local processes = 0

local function label(wanted)
  local found, number = wanted, 1
  while taken[found] do
    number = number + 1
    found = wanted .. " " .. number
  end
  taken[found] = true
  return "<" .. found .. ">"
end

-- From now on, an id stands for a process (name: as it was spawned, or nil) or an identity.
function written.know_process(id, name)
  if names[id] then return end
  processes = processes + 1
  names[id] = label(name or "process " .. processes)
end
function written.know_identity(id, name) names[id] = names[id] or label(name) end

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

local function text(value)
  value = gsub(value, "[%w_-]+", names)
  return '"' .. gsub(value, '[%c"\\]', function(c) return ESCAPES[c] or format("\\%03d", byte(c)) end) .. '"'
end

local function scalar(value)
  local kind = math_type(value)
  if kind == "float" then
    if value ~= value then return "0/0" end
    if value == huge then return "1/0" elseif value == -huge then return "-1/0" end
    return format("%.14g", value)
  end
  local of = type(value)
  if of == "string" then return text(value) end
  return (of == "number" or of == "boolean" or of == "nil") and tostring(value) or "<" .. of .. ">"
end

-- Of a message: who, its tags by name, its data; not what only its delivery needs.
local LEFT_OUT = { Tags = true, Reference = true }
local function fields(value)
  if not is_message(value) then return value end
  local kept = {}
  for name in next, value do
    if not LEFT_OUT[name] then kept[name] = value[name] end
  end
  return kept
end

local KINDS = { number = 1, string = 2, boolean = 3 }
local function before(a, b)
  local kind, other = KINDS[type(a[1])] or 4, KINDS[type(b[1])] or 4
  if kind ~= other then return kind < other end
  if kind <= 2 then return a[1] < b[1] end
  return a[2] < b[2]
end

local put

local function items(value, level, open)
  local found, count = {}, rawlen(value)
  for key in next, value do
    local item = rawget(value, key)
    local at = math_type(key) == "integer" and key >= 1 and key <= count
    local name = at and "" or is_name(key) and key .. " = " or "[" .. put(key, level + 1, open) .. "] = "
    found[#found + 1] = { key, name, put(item, level + 1, open) }
  end
  sort(found, before)
  local lines = {}
  for i = 1, #found do lines[i] = rep("  ", level + 1) .. found[i][2] .. found[i][3] .. "," end
  return lines
end

function put(value, level, open)
  if type(value) ~= "table" then return scalar(value) end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__tostring then return scalar(tostring(value)) end
  if open[value] then return "<circular>" end
  if level >= DEEPEST then return "<nested too deep>" end
  open[value] = true
  local lines = items(fields(value), level, open)
  open[value] = nil
  if not lines[1] then return "{}" end
  return "{\n" .. concat(lines, "\n") .. "\n" .. rep("  ", level) .. "}"
end

function written.value(value) return put(value, 0, {}) end

return written
