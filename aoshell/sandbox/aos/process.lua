-- The process: its globals, and what becomes of each message.
--
-- The host calls process.handle(msg, env) for one message after another. User code runs in a
-- coroutine per message (see waiting.lua); whatever it raises becomes the Error of the result,
-- after which the host throws the whole state away and tells process.failed about it.
local getmetatable, pairs, pcall, select, tonumber, type, _G =
  getmetatable, pairs, pcall, select, tonumber, type, _G
local rawget, rawlen, rawset = rawget, rawlen, rawset
local byte, move, os, math = string.byte, table.move, os, math

local output = require(".output")
local ao = require(".ao")
local assignment = require(".assignment")
local chance = require(".chance")
local exposed = require(".exposed")
local failure = require(".failure")
local handlers = require(".handlers")
local kept = require(".kept")
local message = require(".message")
local run_module = require(".module")
local utils = require(".utils")
local verbs = require(".verbs")
local waiting = require(".waiting")
local why = require(".why")
local color, print, reason_of = output.color, output.print, failure.reason
local clear_outbox, install, evaluate = ao.clearOutbox, handlers.install, handlers.evaluate
handlers.install = nil

local process = kept.module(".process", { _version = "2.0.4" })

assignment.init(ao)

-- Globals ----------------------------------------------------------------------------------------

local function publish(name, value)
  kept.put("_G", _G, name, value)
end

for name, value in pairs {
  ao = ao, Handlers = handlers, Utils = utils, Dump = require(".dump"), json = require(".json"),
  base64 = require(".base64"), apm = require(".apm"), bit32 = require(".crypto.util.bit"),
  Colors = output.colors, Bell = "\7", print = print, Tab = message.tab,
} do publish(name, value) end
for name, verb in pairs(verbs) do publish(name, verb) end
for name, value in pairs { ao = ao, json = json, apm = apm, bit32 = bit32 } do
  package.loaded[name] = value
end
if Seeded == nil then _G.Inbox, _G.Errors, _G.Seeded = {}, {}, false end

-- Says something whatever scripts put into the globals that it shows.
local function prompt()
  local gray = color("gray")
  local name = (type(Name) == "string" or type(Name) == "number") and Name or "aos"
  local count = type(Inbox) == "table" and rawlen(Inbox) or 0
  return color("green") .. name .. gray .. "@" .. color("blue") .. "aos-" .. process._version .. gray
    .. "[Inbox:" .. color("red") .. count .. gray .. "]" .. color("reset") .. "> "
end

publish("Prompt", prompt)
publish("Version", function() print("version: " .. process._version) end)

-- Scripts may break their own Prompt; the process must answer all the same.
local function prompt_text()
  local own = _G.Prompt
  if own == prompt then return prompt() end
  local ok, text = pcall(own)
  return ok and type(text) == "string" and text or prompt()
end

-- Built-in handlers ------------------------------------------------------------------------------

local MAX_INBOX, MAX_ERRORS, SURPLUS = 10000, 1000, 100

-- Append to a list that holds `most` at most. The oldest leave in batches: one at a time would move
-- the whole list for each message.
local function append_bounded(list, item, most)
  local size = #list + 1
  list[size] = item
  if size <= most then return end
  move(list, SURPLUS + 1, size, 1)
  for i = size, size - SURPLUS + 1, -1 do list[i] = nil end
end

local function insert_inbox(msg)
  append_bounded(Inbox, msg, MAX_INBOX)
end

-- What the message's Eval returned, where its output shows nothing of it: for the result, and out of
-- reach of scripts.
local returned

local eval = {
  name = "_eval",
  pattern = function(msg) return msg.Action == "Eval" and Owner == msg.From end,
  handle = require(".eval")(ao, function(text) returned = text end),
}
local boot = {
  name = "_boot",
  pattern = function(msg) return msg.Tags.Type == "Process" and Owner == msg.From end,
  handle = require(".boot")(ao),
}
local default = {
  name = "_default",
  pattern = function() return true end,
  handle = require(".default")(insert_inbox),
}

-- State ------------------------------------------------------------------------------------------

-- definition: what the process is, as the host told it first, since ao.env is open to scripts:
-- {id=, authorities=, name=, parent=, as_sent=}
local own = kept.state(".process")

local function find_tag(tags, wanted)
  for i = 1, #tags do
    if tags[i].name == wanted then return tags[i].value end
  end
end

local function define(env)
  local tags = env.Process.Tags
  ao.init(env)
  if ao._module == "" and env.Module then ao._module = env.Module.Id or "" end
  own.definition = {
    id = env.Process.Id,
    authorities = move(ao.authorities, 1, #ao.authorities, 1, {}),
    name = find_tag(tags, "Name"),
    parent = find_tag(tags, "From-Process"),
    as_sent = find_tag(tags, "Tag-Names") == "as-sent",
  }
  env.Process.TagArray = tags
  env.Process.Tags = message.tab(env.Process)
end

local function includes(list, item)
  for i = 1, #list do
    if list[i] == item then return true end
  end
  return false
end

-- What holds at the start of each message, whatever scripts did to it.
local function restore(env)
  local definition = own.definition
  ao.id, ao.env = definition.id, env
  clear_outbox()
  if type(ao.authorities) ~= "table" then ao.authorities = {} end
  for i = 1, #definition.authorities do
    local authority = definition.authorities[i]
    if not includes(ao.authorities, authority) then ao.authorities[#ao.authorities + 1] = authority end
  end
  if type(handlers.list) ~= "table" then handlers.list = {} end
  if type(Inbox) ~= "table" then _G.Inbox = {} end
  if type(Errors) ~= "table" then _G.Errors = {} end
  if not Name then _G.Name = definition.name or "aos" end
end

local function random(...)
  local count = select("#", ...)
  if count == 1 then return chance.integer(1, (...)) end
  if count == 2 then return chance.integer(...) end
  return chance.random()
end

local function seed(msg)
  local text = msg.Owner .. (msg.Module or "") .. (msg.Id or "")
  local sum = 0
  for i = 1, #text do sum = sum + byte(text, i) end
  chance.seed(tonumber((msg["Block-Height"] or 0) .. sum))
  math.random = random
  _G.Seeded = true
end

local now = 0
local function time() return now end

-- Handling ---------------------------------------------------------------------------------------

local function trusted(msg)
  if msg.From == msg.Owner then return true end
  if ao.isTrusted(msg) then return true end
  print("Message is not trusted! From: " .. msg.From .. " - Owner: " .. msg.Owner)
  return false, "trust"
end

local function assignable(msg)
  if msg.Target == ao.id or not ao.isAssignment(msg) or ao.isAssignable(msg) then return true end
  if msg.From ~= ao.id then
    ao.send({ Target = msg.From, Data = "Assignment is not trusted by this process!" })
  end
  print("Assignment is not trusted! From: " .. msg.From .. " - Owner: " .. msg.Owner)
  return false, "assignment"
end

-- The work of a message, in its coroutine.
local function work(handling)
  local msg = handling.msg
  handling.msg = nil
  local taken, reason = trusted(msg)
  if taken then taken, reason = assignable(msg) end
  handling.refused = not taken
  if why.trace then why.judged(reason, ao.authorities) end
  if taken then
    install(eval, 1)
    if handling.first then handlers.once(boot.name, boot.pattern, boot.handle) end
    install(default)
    -- Scripts may put their own in its place.
    local theirs = handlers.evaluate
    if type(theirs) ~= "function" then theirs = evaluate end
    if why.trace and theirs ~= evaluate then why.trace.evaluate = "replaced" end
    theirs(msg, ao.env)
  end
  if handling.first then run_module(ao.env) end
end

local function error_result(handling, raised)
  local reason = failure.text(raised)
  if not handling.eval then
    local action = handling.action
    output.add(color("red") .. "Error" .. color("gray") .. " handling message "
      .. (action and "with Action = " .. action or "") .. color("reset"))
    output.add(color("green") .. reason .. color("reset"))
    output.add("\n" .. color("gray") .. failure.frames(raised) .. color("reset"))
  end
  return { Error = failure.layout(output.text(), reason) }
end

local function result_of(handling, raised)
  if raised then return error_result(handling, raised) end
  if ao.outbox.Error then return { Error = failure.text(ao.outbox.Error) } end
  local data = output.text()
  local outbox = ao.outbox
  return {
    Output = { data = data, prompt = prompt_text(), print = not handling.eval or handling.refused or nil },
    Messages = outbox.Messages,
    Spawns = outbox.Spawns,
    Assignments = outbox.Assignments,
    Returned = returned,
  }
end

local function begin(msg, env)
  if not own.definition then define(env) end
  local definition = own.definition
  restore(env)
  output.clear()
  returned = nil
  -- A sender's tags may hide fields of the message; what the host gave is read before.
  local handling = { id = msg.Id or "", msg = msg, first = msg.Id == definition.id }
  now = msg.Timestamp
  os.time = time
  if not Seeded then seed(msg) end
  if handling.first and not Owner then _G.Owner = definition.parent or msg.From end
  message.prepare(msg, definition.as_sent)
  handling.action = msg.Action
  handling.eval = msg.Action == "Eval"
  handling.read_only = msg["Read-Only"] == "true"
  return handling
end

local function handle(msg, env)
  local handling = begin(msg, env)
  local raised, suspended, resumed = waiting.run(handling, work)
  local result = result_of(handling, raised)
  if suspended then result.Suspended = true end
  result.Resumed = resumed
  output.clear()
  returned = nil
  ao.Nonce = msg.Nonce
  return result
end

-- What a dry run asks of the environment itself, answered past the scripts; nil where nothing.
local function answer(msg, env)
  local path = exposed.asked(msg.Tags)
  if path then return exposed.text(exposed.at(exposed.state, path)) end
  local at = why.asked(msg)
  if at then return why.explain(msg, at, function(asked) return handle(asked, env) end) end
end

local function handle_or_answer(msg, env)
  local said = msg["Read-Only"] == "true" and answer(msg, env)
  return said and { Output = { data = said } } or handle(msg, env)
end

-- What handles this process's messages, as its definition says.
local machine

local function machine_of(env)
  if require(".hyper-node") and env.Module.Code then return require(".hyper") end
  local tags = env.Process.TagArray or env.Process.Tags
  for i = 1, #tags do
    local is_device = utils.normalize(tags[i].name) == "Execution-Device"
    if is_device and tags[i].value == "lua@5.3a" and env.Module.Code then return require(".hyper") end
  end
  return handle_or_answer
end

-- Handle one message; the shapes of msg, env and the result are those of the bridge to the host.
function process.handle(msg, env)
  if not machine then machine = machine_of(env) end
  local ok, result = pcall(machine, msg, env)
  if ok then return result end
  return { Error = failure.layout(output.text(), failure.text(result)) }
end

-- Record what a message that was rolled back ended with. No code of a script's may run here, not
-- even a metamethod: there is no time limit.
function process.failed(text)
  local errors = rawget(_G, "Errors")
  if type(errors) ~= "table" or getmetatable(errors) ~= nil then
    errors = {}
    rawset(_G, "Errors", errors)
  end
  append_bounded(errors, reason_of(text), MAX_ERRORS)
end

process.waits = waiting.list
process.drop = waiting.drop

return process
