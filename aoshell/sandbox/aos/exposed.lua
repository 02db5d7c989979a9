-- State that a process shows to the world: the fields of messages for the device patch@1.0 are laid
-- over a table that can be read without running the process's own code.
local gmatch, lower, math_type, pcall, tonumber, tostring, type =
  string.gmatch, string.lower, math.type, pcall, tonumber, tostring, type
local pairs, rawget = pairs, rawget
local encode = require(".encode")

-- state: what patches of a process with handlers are laid over.
local exposed = require(".kept").module(".exposed", { state = {} })

-- Fields that say how a patch travels, not what it holds.
local ENVELOPE = {
  device = true, method = true, target = true, anchor = true, tags = true, from = true,
  reference = true, commitments = true, data = true,
}

-- Whether a message, whose names may be in any case, is a patch.
function exposed.is_patch(msg)
  return (msg.device or msg.Device) == "patch@1.0" or (msg.method or msg.Method) == "PATCH"
end

-- Tables are merged key by key, so that a patch names only what changes. What it holds is copied:
-- the sender's own tables stay its own.
local function lay(over, patch, depth)
  for key, value in pairs(patch) do
    if type(value) == "table" and depth > 0 then
      local old = rawget(over, key)
      if type(old) ~= "table" then
        old = {}
        over[key] = old
      end
      lay(old, value, depth - 1)
    elseif type(value) ~= "function" then
      over[key] = value
    end
  end
end

local DEPTH = 100

function exposed.patch(over, msg)
  local fields = {}
  for key, value in pairs(msg) do
    if not (type(key) == "string" and ENVELOPE[lower(key)]) then fields[key] = value end
  end
  lay(over, fields, DEPTH)
end

-- The value at a path of keys, `a/b/c`; keys that look like numbers are tried as such too.
function exposed.at(value, path)
  for key in gmatch(tostring(path), "[^/]+") do
    if type(value) ~= "table" then return nil end
    local found = rawget(value, key)
    local number = tonumber(key)
    if found == nil and math_type(number) == "integer" then found = rawget(value, number) end
    value = found
  end
  return value
end

-- The same as text: JSON of a table, "" where there is nothing. empty: what an empty table is there.
function exposed.text(value, empty)
  if value == nil then return "" end
  if type(value) ~= "table" then return tostring(value) end
  local ok, text = pcall(encode, value, empty or "[]")
  return ok and text or "(a table that JSON cannot say)"
end

-- The path that a dry run asks for: the environment itself answers it.
function exposed.asked(tags)
  for i = 1, #tags do
    if lower(tags[i].name) == "exposed-path" then return tags[i].value end
  end
end

return exposed
