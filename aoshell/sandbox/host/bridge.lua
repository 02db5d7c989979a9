-- Messages in, results out, as flat lists: one crossing between Python and Lua each way.
-- aoshell.sandbox.lua says what stands where.
local H, emit = ...
local raw = H.raw
local type, tostring, error = raw.type, raw.tostring, raw.error
local pcall = pcall  -- the guarded one: running out of memory passes through
local unpack, math_type = raw.table.unpack, raw.math.type

-- The only Python function that the environment can call, behind a Lua function so that no Python
-- object is ever a value of the guest's.
local function told(text)
  if type(text) == "string" then emit(text) end
end
package.loaded[".host"] = { emit = told }

local process, env

local function tag_list(flat, from)
  local tags = {}
  for i = from, #flat, 2 do tags[#tags + 1] = { name = flat[i], value = flat[i + 1] } end
  return tags
end

function H.boot(id, owner, module, code, boot_id, boot_data, ...)
  env = {
    Process = { Id = id, Owner = owner, Tags = tag_list({ ... }, 1) },
    Module = { Id = module, Tags = {}, Code = code },
  }
  if boot_id then env.Boot = { Id = boot_id, Data = boot_data } end
  H.env = env
end

function H.set_env(restored)
  env = restored
  H.env = env
end

function H.start()
  process = require(".process")
  H.process = process
end

local function text(value, what)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  error(what .. " is a " .. kind .. " value, not text", 0)
end

-- Network limit of the stack that a result travels on; far above what a node would push.
local MAX_FIELDS = 200000

local function put(out, n, kind, entry)
  local tags = entry.Tags or {}
  local target = entry.Target
  out[n + 1] = kind
  out[n + 2] = target ~= nil and text(target, "Target") or false
  out[n + 3] = entry.Data == nil and "" or text(entry.Data, "Data")
  out[n + 4] = entry.Anchor == nil and "" or text(entry.Anchor, "Anchor")
  out[n + 5] = #tags
  n = n + 5
  for i = 1, #tags do
    local tag = tags[i]
    out[n + 1] = text(tag.name, "a tag's name")
    out[n + 2] = text(tag.value, "tag " .. tostring(tag.name))
    n = n + 2
  end
  if n > MAX_FIELDS then error("the outbox of this message is too large", 0) end
  return n
end

local function put_assignments(out, n, list)
  out[n + 1] = #list
  n = n + 1
  for i = 1, #list do
    local processes = list[i].Processes
    out[n + 1] = text(list[i].Message, "Message of an assignment")
    out[n + 2] = #processes
    n = n + 2
    for j = 1, #processes do out[n + j] = text(processes[j], "process of an assignment") end
    n = n + #processes
  end
  return n
end

local NOTHING = {}

local function flatten(result)
  local output = result.Output or NOTHING
  local resumed = result.Resumed or NOTHING
  local out = {
    result.Error ~= nil and text(result.Error, "Error"),
    output.data == nil and "" or text(output.data, "Output.data"),
    output.prompt == nil and "" or text(output.prompt, "Output.prompt"),
    result.Suspended and true or false,
    #resumed,
  }
  local n = 5
  for i = 1, #resumed do out[n + i] = resumed[i] end
  n = n + #resumed
  if out[1] then return out, n end
  local messages, spawns = result.Messages or NOTHING, result.Spawns or NOTHING
  out[n + 1] = #messages + #spawns
  n = n + 1
  for i = 1, #messages do n = put(out, n, false, messages[i]) end
  for i = 1, #spawns do n = put(out, n, true, spawns[i]) end
  return out, put_assignments(out, n, result.Assignments or NOTHING)
end

function H.deliver(id, from, owner, target, data, anchor, timestamp, height, nonce, chain, cron,
                   read_only, ...)
  H.out_of_memory = false
  H.now = timestamp
  local msg = {
    Id = id, From = from, Owner = owner, Target = target, Data = data, Anchor = anchor,
    Timestamp = timestamp, ["Block-Height"] = height, Module = env.Module.Id, Cron = cron,
    Tags = tag_list({ ... }, 1),
  }
  if not cron then
    msg.Nonce, msg.Epoch, msg["Hash-Chain"], msg["Forwarded-By"] = nonce, 0, chain, owner
  else
    msg.Id = nil
    msg.Data = nil
  end
  if read_only then msg["Read-Only"] = "true" end
  local ok, out, n = pcall(function() return flatten(process.handle(msg, env)) end)
  if not ok then return type(out) == "string" and out or tostring(out), "", "", false, 0 end
  return unpack(out, 1, n)
end

function H.failed(text) process.failed(text) end
