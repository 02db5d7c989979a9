-- What holds behind each message of a process: evaluated in it by its owner (testing.code.invariants).
-- Messages that are handled from then on fail where it does not.
-- told: stands in front of what is printed behind each message, for who checks elsewhere; "" prints
-- nothing. writer: the text of value.lua.
local source, name, mark, meant, told, writer = ...
local error, getmetatable, ipairs, load, next, pairs, pcall, rawset, select, setmetatable, tostring, type =
  error, getmetatable, ipairs, load, next, pairs, pcall, rawset, select, setmetatable, tostring, type
local concat = table.concat
local loaded = package.loaded

local states, invariants = {}, {}
local answering, taken = {}, {}

-- Declaring ---------------------------------------------------------------------------------------

local function need(condition, usage)
  if not condition then error("usage: " .. usage, 3) end
end

local function free(list, what, given)
  for _, one in ipairs(list) do
    if one.name == given then error("there is a " .. what .. " of this name already: " .. given, 3) end
  end
end

local declaring = {}

function declaring.state(given, read)
  need(type(given) == "string" and type(read) == "function", 'state("name", function() ... end)')
  free(states, "state", given)
  states[#states + 1] = { name = given, read = read }
end

function declaring.invariant(given, holds)
  need(type(given) == "string" and type(holds) == "function",
    'invariant("name", function(before, after, msg) ... end)')
  free(invariants, "invariant", given)
  invariants[#invariants + 1] = { name = given, holds = holds }
end

function declaring.answers(...)
  for i = 1, select("#", ...) do
    local given = select(i, ...)
    need(type(given) == "string", 'answers("HANDLER", ...)')
    answering[given] = true
  end
end

-- Checking ----------------------------------------------------------------------------------------

-- Data only: no metatables, no functions; a table that holds itself is a text there.
local function plain(value, open)
  local kind = type(value)
  if kind ~= "table" then
    return (kind == "number" or kind == "string" or kind == "boolean") and value or value ~= nil and tostring(value) or nil
  end
  if open[value] then return "(itself)" end
  open[value] = true
  local copy = {}
  for key, item in next, value do copy[type(key) == "table" and tostring(key) or key] = plain(item, open) end
  open[value] = nil
  return copy
end

-- How much the message sends so far: what looks at it may not send.
local function count()
  local outbox = type(ao) == "table" and ao.outbox
  if type(outbox) ~= "table" then return 0 end
  local sent = 0
  for _, key in ipairs { "Messages", "Spawns", "Assignments" } do
    local list = outbox[key]
    if type(list) == "table" then sent = sent + #list end
  end
  return sent
end

local SENDS = "sends a message, and may only look"

local function take()
  local found, sent = {}, count()
  for _, one in ipairs(states) do
    local ok, value = pcall(one.read)
    if not ok then error(mark .. 'state "' .. one.name .. '" raised: ' .. tostring(value), 0) end
    if count() ~= sent then error(mark .. 'state "' .. one.name .. '" ' .. SENDS, 0) end
    found[one.name] = plain(value, {})
  end
  return found
end

local function check(before, after, msg)
  local sent = count()
  for _, one in ipairs(invariants) do
    local ok, answer, text = pcall(one.holds, before, after, msg)
    local which = mark .. 'invariant "' .. one.name .. '" '
    if not ok then error(which .. "raised: " .. tostring(answer), 0) end
    if count() ~= sent then error(which .. SENDS, 0) end
    if answer == false then
      error(which .. "does not hold" .. (text ~= nil and ": " .. tostring(text) or ""), 0)
    end
  end
end

-- Print states and message as value.lua writes them.
local write = told ~= "" and load(writer .. "\nreturn write", "@.value", "t", _G)()
local print = print

local function tell(before, after, msg)
  local place = "." .. told
  rawset(_G, place, { before = before, after = after, msg = plain(msg, {}) })
  print(told .. write("_G[" .. ("%q"):format(place) .. "]"))
  rawset(_G, place, nil)
end

local function is_answered(msg)
  local asker = msg["Reply-To"] or msg.From
  for _, sent in ipairs(ao.outbox.Messages) do
    if sent.Target == asker then return true end
  end
  return false
end

local function listen()
  for _, record in ipairs(Handlers.list) do
    local own, handle = record.name, record.handle
    if answering[own] then
      record.handle = function(msg)
        taken[own] = true
        return handle(msg)
      end
    end
  end
end

-- Beginning ---------------------------------------------------------------------------------------

for _, one in ipairs(meant or {}) do answering[one] = true end
local world = setmetatable(declaring, { __index = _G, __newindex = _G })
local chunk, problem = load(source, "@" .. name, "t", world)
if not chunk then error(problem, 0) end
if loaded[".places"] then loaded[".places"]() end
chunk()
listen()
local before, is_open = take(), false
local inner = Handlers.evaluate

Handlers.evaluate = function(msg, env)
  if loaded[".places"] then loaded[".places"]() end
  -- A handling that waits for a message has not come to the end below.
  if is_open then before = take() end
  is_open, taken = true, {}
  local result = inner(msg, env)
  for one in pairs(taken) do
    if not is_answered(msg) then
      error(mark .. 'handler "' .. one .. '" did not answer', 0)
    end
  end
  local after = take()
  check(before, after, msg)
  if told ~= "" then tell(before, after, msg) end
  before, is_open = after, false
  return result
end

local names = {}
for i, one in ipairs(invariants) do names[i] = one.name end
return concat(names, "\n")
