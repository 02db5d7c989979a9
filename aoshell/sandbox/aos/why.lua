-- What became of a message, and why: the answer to a dry run that carries the message and, besides
-- its own tags, one named Asked-Why. The message is handled as it would be live; dry runs change
-- nothing, so patterns and handlers may run.
local gmatch, lower, sub, math_type = string.gmatch, string.lower, string.sub, math.type
local pairs, tonumber, tostring, type, _G = pairs, tonumber, tostring, type, _G
local concat, move, remove = table.concat, table.move, table.remove
local getinfo = debug.getinfo
local json = require(".json")
local kept = require(".kept")
local utils = require(".utils")

local why = {
  -- Runs of each handler (its record in Handlers.list) since it was put up.
  hits = kept.state(".why", { hits = {} }).hits,
  -- While a message is explained: {asked = {…}, …}, else nil.
  trace = nil,
}

-- A function by the place in a script where it stands, if it is a script's.
local function place_of(f)
  local info = getinfo and getinfo(f)
  if not info or info.linedefined < 0 then return "function" end
  return "function " .. info.short_src .. ":" .. info.linedefined
end

-- A pattern as text.
function why.described(pattern, depth)
  if type(pattern) == "string" then return pattern end
  if type(pattern) == "function" then return place_of(pattern) end
  if type(pattern) ~= "table" then return type(pattern) end
  if depth == 0 then return "{…}" end
  local parts = {}
  for key, value in pairs(pattern) do
    local name = math_type(key) == "integer" and "" or tostring(key) .. " = "
    parts[#parts + 1] = name .. why.described(value, depth - 1)
  end
  return #parts == 0 and "{}" or "{ " .. concat(parts, ", ") .. " }"
end

local MOST = 200  -- characters of a value that are shown

function why.shown(value)
  local kind = type(value)
  if kind == "table" or kind == "function" then return kind end
  local text = tostring(value)
  return #text > MOST and sub(text, 1, MOST) .. "…" or text
end

-- Whether a field fits, nil where a function would have to be asked once more.
local function fits(wanted, found, msg)
  if not found then return false end
  if type(wanted) == "function" then return nil end
  return utils.matchesPattern(wanted, found, msg)
end

-- The first field of a message that does not fit a pattern, {key=, wanted=, found=}; nil where only
-- a function knows.
function why.misfit(msg, pattern)
  if type(pattern) == "string" then pattern = { Action = pattern } end
  if type(pattern) ~= "table" then return nil end
  for key, wanted in pairs(pattern) do
    local found = msg[key]
    if fits(wanted, found, msg) == false then
      return { key = tostring(key), wanted = why.described(wanted, 2),
        found = found and why.shown(found) or nil }
    end
  end
end

-- Note that a handler is asked; its verdict is filled in by who asks.
function why.told(msg, record)
  local asked = { name = tostring(record.name), pattern = why.described(record.pattern, 3) }
  local list = why.trace.asked
  list[#list + 1] = asked
  return asked
end

-- Note whom the process trusts, and whether it refused the message: "trust", "assignment" or nil.
function why.judged(refused, authorities)
  why.trace.refused = refused
  why.trace.authorities = move(authorities, 1, #authorities, 1, {})
end

-- The request in a message's tags, which it leaves: "timestamp height slot" of the message as it
-- was placed. nil where it is none.
function why.asked(msg)
  for i = 1, #msg.Tags do
    if lower(msg.Tags[i].name) == "asked-why" then
      local numbers = {}
      for number in gmatch(remove(msg.Tags, i).value, "%d+") do
        numbers[#numbers + 1] = tonumber(number)
      end
      return numbers
    end
  end
end

-- Give a message its place back: a dry run has that of the last message.
local function placed(msg, at)
  msg.Timestamp, msg["Block-Height"], msg.Nonce = at[1] or msg.Timestamp, at[2] or msg["Block-Height"],
    at[3] or msg.Nonce
  msg["Read-Only"] = nil
end

-- The explanation of a message as JSON. handle(msg) is how the process handles it.
function why.explain(msg, at, handle)
  placed(msg, at)
  local facts = { from = msg.From, owner = msg.Owner, target = msg.Target }
  why.trace = { asked = {} }
  local result = handle(msg)
  local inbox = _G.Inbox
  for key, value in pairs(why.trace) do facts[key] = value end
  facts.inbox = type(inbox) == "table" and inbox[#inbox] == msg
  facts.suspended = result.Suspended or false
  facts.error = result.Error
  why.trace = nil
  facts.sent = result.Messages and #result.Messages + #result.Spawns or 0
  return json.encode(facts)
end

return why
