-- What scripts call to act on other processes: Send, Spawn, spawn, Receive, Assign.
local pairs, select, type, tostring, concat = pairs, select, type, tostring, table.concat
local ao = require(".ao")
local handlers = require(".handlers")
local output = require(".output")
local failure = require(".failure")
local waiting = require(".waiting")
local check, raise = failure.check, failure.raise

local verbs = {}

local function tagged(tags, name)
  if type(tags) ~= "table" then return false end
  if tags[name] ~= nil then return true end
  for i = 1, #tags do
    if type(tags[i]) == "table" and tags[i].name == name then return true end
  end
  return false
end

-- Spawn a process that trusts those whom this one trusts, wait for it and return its id, or nil
-- and why there is none.
-- tags: what Spawn takes, or a list of {name=, value=}.
function verbs.spawn(module, tags)
  local handling = waiting.active()
  if handling and handling.read_only then raise("spawn waits for an answer, which a dry run never gets") end
  local msg = {}
  if type(tags) == "table" and tags[1] ~= nil then
    msg.Tags = tags
  else
    for name, value in pairs(tags or {}) do msg[name] = value end
  end
  if #ao.authorities > 0 and not tagged(msg, "Authority") and not tagged(msg.Tags, "Authority") then
    msg.Authority = concat(ao.authorities, ",")
  end
  ao.spawn(module, msg)
  local answer = handlers.receive({
    From = ao.id, Reference = tostring(ao.reference),
    Action = function(action) return action == "Spawned" or action == "Spawn-Error" end,
  })
  if answer.Action == "Spawned" then return answer.Process end
  -- Not raised: a failed message is undone, and the wait that it ends would be there again.
  output.print("spawn failed: " .. tostring(answer.Error))
  return nil, answer.Error
end

-- {Target="AOS", Action="Spawn"} asks the environment itself for a process.
local function spawn_asked(msg)
  local tags = {}
  for name, value in pairs(msg) do
    if name ~= "Target" and name ~= "Action" and name ~= "Module" then tags[name] = value end
  end
  return verbs.spawn(msg.Module or ao._module, tags)
end

function verbs.Send(msg)
  check(type(msg) == "table", "msg should be a table")
  if msg.Target == "AOS" and msg.Action == "Spawn" then return spawn_asked(msg) end
  if not msg.Target then
    output.print("WARN: No target specified for message. "
      .. "Data will be stored, but no process will receive it.")
  end
  local sent = ao.send(msg)
  return { output = "Message added to outbox", receive = sent.receive, onReply = sent.onReply }
end

function verbs.Spawn(...)
  local module, msg = ...
  if select("#", ...) == 1 then module, msg = ao._module, module end
  local spawned = ao.spawn(module, msg or {})
  return { output = "Spawn process request added to outbox", receive = spawned.receive }
end

function verbs.Receive(pattern)
  return handlers.receive(pattern)
end

function verbs.Assign(assignment)
  ao.assign(assignment)
  output.print("Assignment added to outbox.")
  return "Assignment added to outbox."
end

return verbs
