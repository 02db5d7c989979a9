-- Lua text from a message, run in the process.
local error, load, rawset, tostring, type, _G = error, load, rawset, tostring, type, _G
local output = require(".output")
local stringify = require(".stringify")

-- As an expression, else as it stands; then the second attempt's message names the right place.
local function compile(text)
  local f = load("return " .. text, "aos", "t", _G)
  if f then return f end
  return load(text, "aos", "t", _G)
end

return function(ao)
  return function(msg)
    local text = msg.Data
    if type(text) == "table" then error("Eval takes Lua text as Data, got a table", 0) end
    local f, problem = compile(tostring(text == nil and "" or text))
    if not f then
      ao.outbox.Error = problem
      return
    end
    local value = f()
    -- A line of a shell asks for it by name: other messages change no global but their own.
    if value ~= nil and msg["Last-Value"] == "_" then rawset(_G, "_", value) end
    if value then output.add(type(value) == "table" and stringify.format(value) or tostring(value)) end
  end
end
