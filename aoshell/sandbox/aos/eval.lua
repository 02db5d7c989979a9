-- Lua text from a message, run in the process.
local error, load, rawset, tostring, type, _G = error, load, rawset, tostring, type, _G
local find, select = string.find, select
local output = require(".output")
local describe = require(".returned")
local stringify = require(".stringify")

-- As an expression, else as it stands; then the second attempt's message names the right place.
local function compile(text)
  local f = load("return " .. text, "aos", "t", _G)
  if f then return f end
  return load(text, "aos", "t", _G)
end

-- Answer with what code returned. tell, where there is one, gets it as text where nothing can be seen
-- of it in the answer: it is not the process's, so nothing in the process may hold it.
local function answer(msg, tell, ...)
  local value = ...
  -- A line of a shell asks for it by name: other messages change no global but their own.
  if value ~= nil and msg["Last-Value"] == "_" then rawset(_G, "_", value) end
  local text = value and (type(value) == "table" and stringify.format(value) or tostring(value)) or nil
  if text then output.add(text) end
  if tell and not (text and find(text, "%S")) and select("#", ...) > 0 then tell(describe(...)) end
end

return function(ao, tell)
  return function(msg)
    local text = msg.Data
    if type(text) == "table" then error("Eval takes Lua text as Data, got a table", 0) end
    local f, problem = compile(tostring(text == nil and "" or text))
    if not f then
      ao.outbox.Error = problem
      return
    end
    answer(msg, tell, f())
  end
end
