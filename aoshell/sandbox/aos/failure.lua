-- Errors of user code: what was raised, where, and how it reads.
local getmetatable, setmetatable, pcall, tostring, type = getmetatable, setmetatable, pcall, tostring, type
local error, rawget, concat = error, rawget, table.concat
local find, gmatch, match, sub = string.find, string.gmatch, string.match, string.sub
local traceback = debug.traceback
local stringify = require(".stringify")

local failure = {}

local Failure = {}

-- A value that was raised, with the stack it was raised on.
function failure.new(value, trace)
  if getmetatable(value) == Failure then return value end
  return setmetatable({ value = value, trace = trace }, Failure)
end

-- Message handler for xpcall. An error that comes from another coroutine keeps that one's stack.
function failure.caught(value)
  if getmetatable(value) == Failure then return value end
  return failure.new(value, traceback("", 1))
end

-- Whatever a script raised, as text. Its metamethods are its own code and may raise in turn.
function failure.text(value)
  if getmetatable(value) == Failure then value = value.value end
  if type(value) == "string" then return value end
  if type(value) ~= "table" then return tostring(value) end
  local meta = getmetatable(value)
  local own = meta ~= nil and (type(meta) ~= "table" or rawget(meta, "__tostring") ~= nil)
  local ok, text = pcall(own and tostring or stringify.format, value)
  if ok and type(text) == "string" then return text end
  return "(an error object that cannot be shown)"
end

Failure.__tostring = failure.text

-- Lines of the stack that are not a script's: below its functions are the environment's, whose
-- chunks are named ".name", and the host's.
local OWN = { "^%s*%.[%w.-]+:%d+:", "^%s*host:%d+:", "^%s*%[C%]", "^%s*%(%.%.%.tail calls" }

local function is_own(line)
  for i = 1, #OWN do
    if find(line, OWN[i]) then return true end
  end
  return false
end

-- Raise text with the place in the script that called the environment, however deep inside it is.
function failure.raise(text)
  local place = ""
  for line in gmatch(traceback("", 1), "[^\n]+") do
    local at = not is_own(line) and match(line, "^%s+(.-:%d+:) in ")
    if at then
      place = at .. " "
      break
    end
  end
  error(place .. text, 0)
end

-- assert, with the script's place instead of the environment's.
function failure.check(condition, text)
  if not condition then failure.raise(text) end
end

-- The stack as lines, from the script's innermost function to its outermost; "" where no script
-- is on it.
function failure.frames(raised)
  local lines, first, last = {}, nil, 0
  for line in gmatch(raised.trace or "", "[^\n]+") do
    lines[#lines + 1] = line
    if #lines > 1 and not is_own(line) then first, last = first or #lines, #lines end
  end
  return first and lines[1] .. "\n" .. concat(lines, "\n", first, last) or ""
end

local MARK = "\27[31merror:\n\27[0m"

-- The Error of a result: all that was printed, then the reason.
function failure.layout(printed, reason)
  return printed .. "\n\n" .. MARK .. reason
end

-- The reason again out of an Error.
function failure.reason(text)
  local reason, at = text, 1
  repeat
    local from, to = find(text, MARK, at, true)
    if from then reason, at = sub(text, to + 1), to + 1 end
  until not from
  return reason
end

return failure
