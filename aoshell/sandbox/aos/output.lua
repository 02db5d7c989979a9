-- What a message prints: kept in order for its result, and told to the host at once, so that it
-- survives a kill from outside.
local concat, tostring, type = table.concat, tostring, type
local stringify = require(".stringify")
local host = require(".host")

local output = {}

output.colors = {
  red = "\27[31m", green = "\27[32m", blue = "\27[34m", reset = "\27[0m", gray = "\27[90m",
}
local colors = output.colors

-- A colour's code; a script may take colours out of the table.
function output.color(name)
  local code = colors[name]
  return type(code) == "string" and code or ""
end
local color = output.color

local pieces, count = {}, 0

function output.clear()
  pieces, count = {}, 0
end

-- Put text into the result without it being a print.
function output.add(text)
  count = count + 1
  pieces[count] = text
end

function output.text()
  return concat(pieces, "\n", 1, count)
end

local function shown(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "table" then return stringify.format(value) end
  local text = tostring(value)
  if kind == "number" then return color("green") .. text .. color("reset") end
  if kind == "boolean" then return color("blue") .. text .. color("reset") end
  if kind == "nil" then return color("red") .. text .. color("reset") end
  return text
end

-- The global `print`: one argument.
function output.print(value)
  local text = shown(value)
  output.add(text)
  host.emit(text)
end

return output
