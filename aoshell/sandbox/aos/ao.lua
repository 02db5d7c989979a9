-- The process towards the network: who it is, whom it trusts, what it sends.
local getmetatable, pairs, select, setmetatable, tostring, type =
  getmetatable, pairs, select, setmetatable, tostring, type
local format, gmatch, match = string.format, string.gmatch, string.match
local exposed = require(".exposed")
local handlers = require(".handlers")
local json = require(".json")
local failure = require(".failure")
local utils = require(".utils")
local check, raise = failure.check, failure.raise

local ao = require(".kept").module(".ao", {
  _version = "0.0.6",
  id = "",
  _module = "",
  authorities = {},
  reference = 0,
  outbox = { Output = {}, Messages = {}, Spawns = {}, Assignments = {} },
  nonExtractableTags = {
    "Data-Protocol", "Variant", "From-Process", "From-Module", "Type", "From", "Owner", "Anchor",
    "Target", "Data", "Tags", "Read-Only",
  },
  nonForwardableTags = {
    "Data-Protocol", "Variant", "From-Process", "From-Module", "Type", "From", "Owner", "Anchor",
    "Target", "Tags", "TagArray", "Hash-Chain", "Timestamp", "Nonce", "Epoch", "Signature",
    "Forwarded-By", "Pushed-For", "Read-Only", "Cron", "Block-Height", "Reference", "Id", "Reply-To",
  },
})

local function set_of(list)
  local set = {}
  for i = 1, #list do set[list[i]] = true end
  return set
end

-- Messages in general ----------------------------------------------------------------------------

function ao.clone(object, seen)
  if type(object) ~= "table" then return object end
  seen = seen or {}
  if seen[object] then return seen[object] end
  local copy = {}
  seen[object] = copy
  for key, value in pairs(object) do copy[ao.clone(key, seen)] = ao.clone(value, seen) end
  return setmetatable(copy, getmetatable(object))
end

function ao.normalize(msg)
  local hidden = set_of(ao.nonExtractableTags)
  for i = 1, #msg.Tags do
    local tag = msg.Tags[i]
    if not hidden[tag.name] then msg[tag.name] = tag.value end
  end
  return msg
end

function ao.sanitize(msg)
  local copy = ao.clone(msg)
  for i = 1, #ao.nonForwardableTags do copy[ao.nonForwardableTags[i]] = nil end
  return copy
end

-- Life of a message ------------------------------------------------------------------------------

function ao.clearOutbox()
  ao.outbox = { Output = {}, Messages = {}, Spawns = {}, Assignments = {} }
end

local function includes(list, item)
  for i = 1, #list do
    if list[i] == item then return true end
  end
  return false
end

-- Take over from env (its process's tags a list) what the process does not know yet.
function ao.init(env)
  if ao.id == "" then ao.id = env.Process.Id end
  for _, tag in pairs(env.Process.Tags) do
    if tag.name == "Module" and ao._module == "" then ao._module = tag.value end
    if tag.name == "Authority" then
      for authority in gmatch(tag.value, "[^,]+") do
        if not includes(ao.authorities, authority) then ao.authorities[#ao.authorities + 1] = authority end
      end
    end
  end
  ao.clearOutbox()
  ao.env = env
end

function ao.log(text)
  local outbox = ao.outbox
  if type(outbox.Output) == "string" then outbox.Output = { outbox.Output } end
  outbox.Output[#outbox.Output + 1] = text
end

function ao.isTrusted(msg)
  return includes(ao.authorities, msg.From) or includes(ao.authorities, msg.Owner)
end

-- The result of a message: of its error only, where there is one.
function ao.result(result)
  local outbox = ao.outbox
  if outbox.Error or result.Error then return { Error = result.Error or outbox.Error } end
  return {
    Output = result.Output or outbox.Output,
    Messages = outbox.Messages,
    Spawns = outbox.Spawns,
    Assignments = outbox.Assignments,
  }
end

-- Sending ----------------------------------------------------------------------------------------

local TEXT = { string = true, number = true, boolean = true }
local RESERVED = { Target = true, Data = true, Anchor = true, Tags = true, From = true }

local function put_tag(tags, name, value)
  local kind = type(value)
  if kind ~= "string" and kind ~= "table" then
    if not TEXT[kind] then
      raise("value of tag '" .. tostring(name) .. "' MUST be a string, number, boolean or table, got " .. kind)
    end
    value = tostring(value)
  end
  if type(name) ~= "string" then
    if type(name) ~= "number" then raise("name of a tag MUST be a string, got " .. type(name)) end
    name = tostring(name)
  end
  tags[#tags + 1] = { name = name, value = value }
end

-- The fields of msg, then its Tags, which may be a list or a map.
local function put_tags(tags, msg, is_json)
  for name, value in pairs(msg) do
    if not RESERVED[name] and not (is_json and name == "Content-Type") then put_tag(tags, name, value) end
  end
  if is_json then put_tag(tags, "Content-Type", "application/json") end
  local more = msg.Tags
  if not more then return end
  if type(more) ~= "table" then raise("Tags should be a table, got " .. type(more)) end
  if not utils.isArray(more) then
    for name, value in pairs(more) do put_tag(tags, name, value) end
    return
  end
  for i = 1, #more do
    if type(more[i]) ~= "table" then raise("Tags should be a list of {name=, value=} or a map") end
    put_tag(tags, more[i].name, more[i].value)
  end
end

-- Tags as they go out: what is a table is JSON there, as aos's hosts write it.
local function as_text(tags)
  local list = {}
  for i = 1, #tags do
    local tag = tags[i]
    list[i] = type(tag.value) == "table" and { name = tag.name, value = json.encode(tag.value) } or tag
  end
  return list
end

-- Data as text, and whether it is JSON that was a table.
local function data_text(data)
  local kind = type(data)
  if kind == "string" or kind == "nil" then return data, false end
  if kind == "table" then return json.encode(data), true end
  if not TEXT[kind] then raise("Data MUST be a string, number, boolean or table, got " .. kind) end
  return tostring(data), false
end

local function target_text(target)
  if target == nil or type(target) == "string" then return target end
  if type(target) == "number" then return tostring(target) end
  raise("Target MUST be a string, got " .. type(target))
end

local function next_reference()
  ao.reference = ao.reference + 1
  return tostring(ao.reference), format("%032d", ao.reference)
end

-- What the sender gets is its own: the outbox keeps the message as it was sent.
local function reply_methods(sent, reference)
  function sent.onReply(...)
    local from, resolver = sent.Target, ...
    if select("#", ...) == 2 then from, resolver = ... end
    handlers.once({ From = from, ["X-Reference"] = reference }, resolver)
  end
  function sent.receive(...)
    local from = sent.Target
    if select("#", ...) == 1 then from = ... end
    return handlers.receive({ From = from, ["X-Reference"] = reference })
  end
  return sent
end

function ao.send(msg)
  check(type(msg) == "table", "msg should be a table")
  local target = target_text(msg.Target)
  local data, is_json = data_text(msg.Data)
  local reference, anchor = next_reference()
  local tags = {
    { name = "Data-Protocol", value = "ao" },
    { name = "Variant", value = "ao.TN.1" },
    { name = "Type", value = "Message" },
    { name = "Reference", value = reference },
  }
  put_tags(tags, msg, is_json)
  local out = as_text(tags)
  if exposed.is_patch(msg) then exposed.patch(exposed.state, msg) end
  local messages = ao.outbox.Messages
  messages[#messages + 1] = { Target = target, Data = data, Anchor = anchor, Tags = out }
  return reply_methods({ Target = target, Data = data, Anchor = anchor, Tags = tags }, reference)
end

function ao.spawn(module, msg)
  check(type(module) == "string", "Module source id is required!")
  check(type(msg) == "table", "Message must be a table")
  local data, is_json = data_text(msg.Data)
  local reference, anchor = next_reference()
  local tags = {
    { name = "Data-Protocol", value = "ao" },
    { name = "Variant", value = "ao.TN.1" },
    { name = "Type", value = "Process" },
    { name = "From-Process", value = ao.id },
    { name = "From-Module", value = ao._module },
    { name = "Module", value = module },
    { name = "Reference", value = reference },
  }
  put_tags(tags, msg, is_json)
  data = data or "NODATA"
  local spawns = ao.outbox.Spawns
  spawns[#spawns + 1] = { Data = data, Anchor = anchor, Tags = as_text(tags) }
  local function spawned()
    return { Action = "Spawned", From = ao.id, Reference = reference }
  end
  return {
    Data = data,
    Anchor = anchor,
    Tags = tags,
    onReply = function(callback) handlers.once(spawned(), callback) end,
    receive = function() return handlers.receive(spawned()) end,
  }
end

function ao.assign(assignment)
  check(type(assignment) == "table", "assignment should be a table")
  check(type(assignment.Processes) == "table", "Processes should be a table")
  check(type(assignment.Message) == "string", "Message should be a string")
  local assignments = ao.outbox.Assignments
  assignments[#assignments + 1] = assignment
end

-- Hints ------------------------------------------------------------------------------------------

local MAX_HINTS = 1000

local function drop_oldest(hints)
  local count, oldest = 0, nil
  for process, entry in pairs(hints) do
    count = count + 1
    if not oldest or (entry.ttl or "") < (hints[oldest].ttl or "") then oldest = process end
  end
  if count > MAX_HINTS then hints[oldest] = nil end
end

-- Remember where the sender's node is, which a From-Process of the form
-- `id&hint=URL&hint-ttl=N` tells.
function ao.registerHint(msg)
  local from = msg.Tags and msg.Tags["From-Process"]
  if not from then return end
  local process, hint, ttl = match(from, "^([^&]+)&[^=&]*=([^&]+)&?[^=&]*=?([^&]*)")
  if not process then return end
  ao._hints = ao._hints or {}
  ao._hints[process] = { hint = hint, ttl = ttl }
  drop_oldest(ao._hints)
end

return ao
