-- What code returned, as a line of text that says what each value is: nil · false, "text" · "".
-- No metamethod runs: to be shown must change nothing.
local concat, find, gsub, next, select, sub = table.concat, string.find, string.gsub, next, select, string.sub
local tostring, type = tostring, type

local MOST_VALUES, MOST_ENTRIES = 4, 8
local MOST_TEXT = 400  -- bytes of a text that are shown

local function quoted(text)
  -- No character is cut in two.
  if #text > MOST_TEXT then text = gsub(sub(text, 1, MOST_TEXT), "[\192-\255][\128-\191]*$", "") .. "…" end
  local quote = find(text, '"', 1, true) and not find(text, "'", 1, true) and "'" or '"'
  return quote .. text .. quote
end

local function plain(value)
  local kind = type(value)
  if kind == "string" then return quoted(value) end
  if kind == "nil" or kind == "boolean" or kind == "number" then return tostring(value) end
  return kind
end

local function table_text(list)
  local parts = {}
  for key, value in next, list do
    if #parts == MOST_ENTRIES then
      parts[#parts + 1] = "…"
      break
    end
    local name = key == #parts + 1 and "" or (type(key) == "string" and key or "[" .. plain(key) .. "]") .. " = "
    parts[#parts + 1] = name .. (type(value) == "table" and "{…}" or plain(value))
  end
  return #parts == 0 and "{}" or "{ " .. concat(parts, ", ") .. " }"
end

return function(...)
  local parts, count, values = {}, select("#", ...), { ... }
  for i = 1, count <= MOST_VALUES and count or MOST_VALUES do
    parts[i] = type(values[i]) == "table" and table_text(values[i]) or plain(values[i])
  end
  if count > MOST_VALUES then parts[#parts + 1] = "…" end
  return concat(parts, ", ")
end
