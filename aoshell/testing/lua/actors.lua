-- Processes and identities of a test, and the answers to messages.
local getmetatable, ipairs, setmetatable, tostring, type = getmetatable, ipairs, setmetatable, tostring, type
local find, math_type = string.find, math.type
local ask = require(".asking").ask
local decode = require(".json").decode
local mail = require(".mail")
local raise = require(".failed").raise
local know = require(".show").know
local written = require(".written")

local LONGER = "\n→ has a loop no end? --timeout S gives a test more time"

local Process, Identity, Result = {}, {}, {}
Process.__index, Identity.__index = Process, Identity
Process.__tostring = function(process) return process.id end
Identity.__tostring = function(identity) return identity.address end

local actors = { Process = Process, Identity = Identity, Result = Result }

function actors.is(value, class)
  return getmetatable(value) == class
end
local is = actors.is

function actors.need(condition, usage)
  if not condition then raise("usage: " .. usage) end
end
local need = actors.need

local identities = {}

function actors.identity(name)
  if not identities[name] then
    local made = { name = name, address = ask("identity", { by = name }) }
    identities[name] = setmetatable(made, Identity)
    know(name, made.address)
    written.know_identity(made.address, name)
  end
  return identities[name]
end

function actors.process(made, name)
  written.know_process(made.id, name)
  return setmetatable({ id = made.id, owner = actors.identity(made.owner) }, Process)
end

-- What to make a process of: the name of a file, or {file= or source=, name=, tags=, data=}.
-- tags = "as-sent" is how its handlers get tags, not a tag.
function actors.source(what, usage)
  if type(what) == "string" then what = { file = what } end
  need(type(what) == "table" and what[1] == nil, usage)
  return {
    file = what.file, source = what.source, module = what.module, 
    tags = type(what.tags) == "string" and what.tags or mail.tags(what.tags),
    name = what.name and tostring(what.name), data = what.data and tostring(what.data),
  }
end

-- Messages ----------------------------------------------------------------------------------------

local origins = setmetatable({}, { __mode = "k" })  -- result → where it is
local seen = {}  -- process .. slot → true: an assertion has looked at the result

-- What a result is of: {process=, slot=}; slot only where it is in the log.
function actors.origin(of) return origins[of] end

-- An assertion has looked at a result.
function actors.see(result)
  local origin = origins[result]
  if origin and origin.slot then seen[origin.process .. origin.slot] = true end
end

-- The newest message that failed or was not trusted, and that nothing has looked at.
function actors.trouble()
  for _, one in ipairs(ask("troubles")) do
    if not seen[one.process .. one.slot] then return one.text end
  end
end

local function result(answer, sender)
  answer.messages = mail.all(answer.messages)
  for _, msg in ipairs(answer.messages) do
    if msg.Target == sender and not answer.reply then answer.reply = msg end
  end
  return setmetatable(answer, Result)
end

local function carry(verb, process, msg, by)
  if by == nil then by = process.owner end
  need(type(msg) == "table" and is(by, Identity),
    "process:" .. verb .. '({ Action = ..., Data = ..., TAG = ... }, t:as("alice"))')
  local sent = mail.outgoing(msg)
  sent.process, sent.by = process.id, by.name
  local came = result(ask(verb, sent), by.address)
  origins[came] = { process = process.id, slot = verb == "send" and came.slot or nil }
  return came
end

-- Delivers a message once more, under its id and another slot; the n-th newest that came from elsewhere.
function Process:replay(n)
  need(n == nil or math_type(n) == "integer", "process:replay(1)")
  local answer = ask("replay", { process = self.id, place = n or 1 })
  local sender = answer.from
  answer.from = nil
  local came = result(answer, sender)
  origins[came] = { process = self.id, slot = came.slot }
  return came
end

function Process:send(msg, by) return carry("send", self, msg, by) end
function Process:dryrun(msg, by) return carry("dryrun", self, msg, by) end

-- Code with ids in place of `@name`.
local function with_ids(code)
  return find(code, "@", 1, true) and ask("with_ids", { code = code }) or code
end

function Process:eval(code, by)
  need(type(code) == "string", 'process:eval("code")')
  local came = self:send({ Action = "Eval", Data = with_ids(code) }, by)
  if not came.ok then
    raise("the process says: " .. came.error .. (came.outcome == "time" and LONGER or ""))
  end
  return came.output
end

function Process:get(expression)
  need(type(expression) == "string", 'process:get("Balances")')
  return mail.value(decode(ask("get", { process = self.id, expression = with_ids(expression) })))
end

for _, name in ipairs { "inbox", "outbox", "queued" } do
  Process[name] = function(self) return mail.all(ask(name, { process = self.id })) end
end

for _, name in ipairs { "prints", "errors", "pause", "resume", "tick" } do
  Process[name] = function(self) return ask(name, { process = self.id }) end
end

function Process:step(place)
  need(place == nil or math_type(place) == "integer", "process:step(1)")
  ask("step", { process = self.id, place = place or 1 })
end

-- Evaluates a file as `.load` does, a blueprint, or what has to hold from now on; the output.
for _, name in ipairs { "load", "blueprint", "invariants" } do
  Process[name] = function(self, file)
    need(type(file) == "string", "process:" .. name .. '("file.lua")')
    return ask(name, { process = self.id, file = file })
  end
end

function Process:fork(slot, name)
  need(slot == nil or math_type(slot) == "integer", "process:fork(12)")
  return actors.process(ask("fork", { process = self.id, slot = slot, name = name and tostring(name) }))
end

function Process:spawned()
  local found = ask("spawned", { process = self.id })
  for i = 1, #found do found[i] = actors.process(found[i]) end
  return found
end

function Identity:send(process, msg)
  need(is(process, Process), "alice:send(process, { Action = ... })")
  return process:send(msg, self)
end

function Identity:eval(process, code)
  need(is(process, Process), 'alice:eval(process, "code")')
  return process:eval(code, self)
end

function Identity:spawn(what)
  local asked = actors.source(what, 'alice:spawn("file.lua")')
  asked.by = self.name
  return actors.process(ask("spawn", asked), asked.name)
end

function Identity:inbox() return mail.all(ask("letters", { by = self.name })) end

return actors
