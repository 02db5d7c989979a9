-- Tests that fail: what is raised, and where in the user's files.
local getmetatable, setmetatable = getmetatable, setmetatable
local error, gmatch, match, find = error, string.gmatch, string.match, string.find
local traceback = debug.traceback
local failure = require(".failure")

local failed = {}

local Failed = {}
Failed.__tostring = function(value) return value.text end

-- Lines of a stack that are not the user's: our chunks are named ".name", their loader "tests".
local OURS = { "^%s*%.[%w.-]+:%d+:", "^%s*%[C%]", "^%s*%(%.%.%.tail calls", "^%s*tests:%d+:", "^%s*host:" }

local function is_ours(line)
  for i = 1, #OURS do
    if find(line, OURS[i]) then return true end
  end
  return false
end

-- The innermost place in the user's files, "" if there is none.
local function place(trace)
  for line in gmatch(trace, "[^\n]+") do
    local at = not is_ours(line) and match(line, "^%s+(.-:%d+): in ")
    if at then return at end
  end
  return ""
end

-- End the test. differences: list of {path=, expected=, actual=}, texts.
function failed.raise(text, differences)
  error(setmetatable({ text = text, place = place(traceback("", 2)), differences = differences }, Failed), 0)
end

-- The failure of a coroutine that is suspended.
function failed.at(thread, text)
  return setmetatable({ text = text, place = place(traceback(thread, "")) }, Failed)
end

-- What Lua says where a result has no reply is about a nil value only.
local NO_REPLY = "\n→ no message went back to the sender: t:sent(result, { Action = … }) says why"

-- Message handler for xpcall.
function failed.caught(value)
  if getmetatable(value) == Failed then return value end
  local text = failure.text(value)
  if find(text, "a nil value (field 'reply')", 1, true) then text = text .. NO_REPLY end
  return setmetatable({ text = text, place = place(traceback("", 2)) }, Failed)
end

-- A failure as a table for JSON.
function failed.describe(value)
  if getmetatable(value) ~= Failed then value = { text = failure.text(value), place = "" } end
  return { text = value.text, place = value.place, differences = value.differences or {} }
end

return failed
