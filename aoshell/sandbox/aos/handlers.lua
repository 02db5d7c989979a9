-- The list of handlers, and which of them a message goes to.
local error, pairs, select, tostring, type = error, pairs, select, tostring, type
local insert, move, remove, pcall = table.insert, table.move, table.remove, pcall
local matches_spec = require(".utils").matchesSpec
local waiting = require(".waiting")
local output = require(".output")
local failure = require(".failure")
local why = require(".why")
local hits, told = why.hits, why.told
local check = failure.check

local handlers = require(".kept").module(".handlers", {
  _version = "0.0.5",
  utils = require(".handlers-utils"),
  list = {},
  coroutines = waiting.coroutines,
  onceNonce = 0,
})

local function index_of(name)
  local list = handlers.list
  for i = 1, #list do
    if list[i].name == name then return i end
  end
end

local function position(record)
  local list = handlers.list
  for i = 1, #list do
    if list[i] == record then return i end
  end
end

local function take_out(index)
  hits[remove(handlers.list, index)] = nil
end

-- Adding and removing ----------------------------------------------------------------------------

local USAGE = "Invalid arguments given. Expected: \n" ..
  "\tname : string, " ..
  "\tpattern : Action : string | MsgMatch : table,\n" ..
  "\t\tfunction(msg: Message) : {-1 = break, 0 = skip, 1 = continue},\n" ..
  "\thandle(msg : Message) : void) | Resolver,\n" ..
  "\tMaxRuns? : number | \"inf\" | nil"

local PATTERNS = { ["function"] = true, table = true, string = true }
local HANDLES = { ["function"] = true, table = true }

-- A handle may be a table of spec → function: the first that fits is called.
function handlers.generateResolver(spec)
  if type(spec) == "function" then return spec end
  return function(msg)
    for pattern, handle in pairs(spec) do
      if matches_spec(msg, pattern) then return handle(msg) end
    end
  end
end

local function record_of(name, pattern, handle, max_runs)
  check(type(name) == "string" and PATTERNS[type(pattern)] and HANDLES[type(handle)], USAGE)
  return { name = name, pattern = pattern, handle = handlers.generateResolver(handle), maxRuns = max_runs }
end

-- With two arguments the name is the pattern too.
local function arguments(count, name, pattern, handle, max_runs)
  if count == 2 then return record_of(name, name, pattern) end
  return record_of(name, pattern, handle, count > 3 and max_runs or nil)
end

-- A handler of the same name is replaced where it stands.
local function put(record, at)
  local index = index_of(record.name)
  if not index then
    insert(handlers.list, at or #handlers.list + 1, record)
    return record
  end
  local old = handlers.list[index]
  old.pattern, old.handle, old.maxRuns = record.pattern, record.handle, record.maxRuns
  return old
end

function handlers.add(...)
  put(arguments(select("#", ...), ...))
  return #handlers.list
end

function handlers.append(...)
  put(arguments(select("#", ...), ...))
end

function handlers.prepend(...)
  put(arguments(select("#", ...), ...), 1)
end

local function prepend_once(pattern, handle)
  local name = "_once_" .. tostring(handlers.onceNonce)
  handlers.onceNonce = handlers.onceNonce + 1
  return put(record_of(name, pattern, handle, 1), 1)
end

function handlers.once(...)
  local name, pattern, handle = ...
  if select("#", ...) == 3 then
    put(record_of(name, pattern, handle, 1), 1)
  else
    prepend_once(name, pattern)
  end
end

-- before(name).add and after(name).add: always one more, none where `name` is not to be found.
local function beside(offset)
  return function(name)
    check(type(name) == "string", "Handler name MUST be a string")
    local index = index_of(name)
    return {
      add = function(...)
        local record = record_of(...)
        if index then insert(handlers.list, index + offset, record) end
      end,
    }
  end
end

handlers.before = beside(0)
handlers.after = beside(1)

function handlers.remove(name)
  check(type(name) == "string", "name MUST be string")
  local index = index_of(name)
  if index then take_out(index) end
end

-- Suspend the running coroutine until a message fits; returns that message.
function handlers.receive(pattern)
  return waiting.receive(pattern, function(answered)
    local record = prepend_once(pattern, answered)
    return function()
      local index = position(record)
      if index then take_out(index) end
    end
  end)
end

-- Evaluation -------------------------------------------------------------------------------------

local WORDS = { continue = 1, ["break"] = -1 }

-- A pattern's answer as a number: below 0 run and stop, 0 skip, above 0 run and go on.
local function verdict(answer)
  if answer == true then return -1 end
  local kind = type(answer)
  if kind == "boolean" then return 0 end
  if kind == "number" then return answer end
  if kind == "string" then return WORDS[answer] or 0 end
  error("Pattern result is not valid, it MUST be string, number, or boolean", 0)
end

local function judge(msg, record)
  return verdict(matches_spec(msg, record.pattern))
end

local function judge_aloud(msg, record)
  local asked = told(msg, record)
  local answer = matches_spec(msg, record.pattern)
  asked.answer = why.shown(answer)
  asked.verdict = verdict(answer)
  if asked.verdict == 0 then asked.misfit = why.misfit(msg, record.pattern) end
  return asked.verdict
end

-- An Eval is how its owner repairs a process: a pattern that fails must not stand in its way.
local function judge_eval(msg, record)
  local ok, answer = pcall(why.trace and judge_aloud or judge, msg, record)
  if ok then return answer end
  output.print("WARN: Pattern of handler " .. record.name .. " failed: " .. failure.text(answer))
  return 0
end

-- Count a run. A handler that has had its runs leaves the list before its last one: that one may
-- wait long, or put up a handler of the same name.
local function count(record, index)
  hits[record] = (hits[record] or 0) + 1
  if type(record.maxRuns) ~= "number" then return end
  record.maxRuns = record.maxRuns - 1
  if record.maxRuns == 0 then take_out(index) end
end

-- Run a handler that others come behind; returns where to go on in the list, which it may have
-- changed: at the first of those that came behind it and are still there.
local function run(record, index, msg)
  local list = handlers.list
  local behind = move(list, index + 1, #list, 1, {})
  count(record, index)
  record.handle(msg)
  local at = handlers.list[index] == record and index or position(record)
  if at then return at + 1 end
  for i = 1, #behind do
    at = position(behind[i])
    if at then return at end
  end
  return #handlers.list + 1
end

-- Run the handlers that a message goes to, in the order of the list; the default where none of
-- them stopped it.
function handlers.evaluate(msg, env)
  check(type(msg) == "table", "msg is not valid")
  check(type(env) == "table", "env is not valid")
  local judged = why.trace and judge_aloud or judge
  if msg.Action == "Eval" and Owner == msg.From then judged = judge_eval end
  local index = 1
  local record = handlers.list[1]
  while record do
    if record.name == "_default" then
      index = index + 1
    else
      local way = judged(msg, record)
      if way < 0 then
        count(record, index)
        record.handle(msg)
        return true
      end
      index = way == 0 and index + 1 or run(record, index, msg)
    end
    record = handlers.list[index]
  end
  local default = index_of("_default")
  if not default then return end
  local record = handlers.list[default]
  if why.trace then told(msg, record).verdict = -1 end
  hits[record] = (hits[record] or 0) + 1
  record.handle(msg)
end

-- Make sure that a handler of the environment's own is there, as it was made.
function handlers.install(own, at)
  local list = handlers.list
  local index = own.index
  local record = list[index]
  if not record or record.name ~= own.name then
    index = index_of(own.name)
    if not index then
      index = at or #list + 1
      insert(list, index, { name = own.name })
    end
    own.index = index
    record = list[index]
  end
  record.pattern, record.handle, record.maxRuns = own.pattern, own.handle, nil
end

return handlers
