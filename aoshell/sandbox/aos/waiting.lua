-- Messages whose handling waits for another message.
--
-- Each message is handled in a coroutine of its own (a handling). `receive` parks the coroutine
-- that calls it, which may also be one that user code made: then the handling itself goes on, and
-- the wait is kept under the message that it belongs to. A handling may also be parked by a bare
-- coroutine.yield; whoever holds its coroutine resumes it. One that ends during a later message is
-- told there.
local create, resume, running, status, yield = coroutine.create, coroutine.resume, coroutine.running,
  coroutine.status, coroutine.yield
local error, remove, xpcall = error, table.remove, xpcall
local traceback = debug.traceback
local failure = require(".failure")
local kept = require(".kept")
local described = require(".why").described

-- coroutines: of parked handlings, oldest first (Handlers.coroutines).
local waiting = kept.module(".waiting", { coroutines = {} })

-- parked: handlings, in step with `coroutines`
-- waits: calls of receive that no message has answered yet, oldest first
-- current: the handling of the message that the host gave last
-- active: the handling on whose behalf code runs
-- ended, failed: ids of earlier handlings that ended meanwhile; what the last one raised
local own = kept.state(".waiting", { parked = {}, waits = {} })
local coroutines, parked, waits = waiting.coroutines, own.parked, own.waits

local function position(list, item)
  for i = 1, #list do
    if list[i] == item then return i end
  end
end

local function take_out(list, item)
  local at = position(list, item)
  if at then remove(list, at) end
  return at
end

local function unpark(handling)
  local at = take_out(parked, handling)
  if at then remove(coroutines, at) end
  return at
end

-- A handling that had been parked has come to its end, its own or not.
local function over(handling)
  unpark(handling)
  own.ended = own.ended or {}
  own.ended[#own.ended + 1] = handling.id
end

-- The whole life of a handling's coroutine.
local function conduct(handling, work)
  local ok, raised = xpcall(work, failure.caught, handling)
  if not ok then handling.failure = failure.new(raised) end
  if handling ~= own.current then
    over(handling)
    own.failed = handling.failure or own.failed
  end
end

-- Run work(handling) until it ends or waits. handling is {id=, action=, …}.
-- Returns what was raised (a failure) or nil, whether the handling waits, and the ids of earlier
-- handlings that ended meanwhile or nil.
function waiting.run(handling, work)
  own.current, own.active, own.ended, own.failed = handling, handling, nil, nil
  local co = create(conduct)
  handling.coroutine = co
  local ok, raised = resume(co, handling, work)
  local suspended = status(co) == "suspended"
  if suspended then
    parked[#parked + 1] = handling
    coroutines[#coroutines + 1] = co
  end
  local resumed = own.ended
  raised = not ok and failure.new(raised) or handling.failure or own.failed
  own.current, own.active, own.ended, own.failed = nil, nil, nil, nil
  return raised, suspended, resumed
end

local function owner(co)
  local at = position(coroutines, co)
  return at and parked[at] or own.active
end

-- What goes on when a message answers: the coroutine runs until it ends or waits again, and what
-- it raises is raised here.
local function answer(wait, msg)
  take_out(waits, wait)
  local co, outer = wait.coroutine, own.active
  if status(co) ~= "suspended" then return end
  own.active = wait.handling
  local ok, raised = resume(co, msg)
  own.active = outer
  if not ok then error(failure.new(raised, traceback(co, "")), 0) end
  if wait.handling.coroutine == co and wait.handling.failure then error(wait.handling.failure, 0) end
end

-- Somebody else may resume a waiting coroutine; the message that it waited for must not reach it
-- later, at another place.
local function resumed(wait, ...)
  if take_out(waits, wait) then wait.withdraw() end
  return ...
end

-- Park the running coroutine until a message fits.
-- subscribe(answered) puts up answered(msg) for the message and returns what takes it down.
function waiting.receive(pattern, subscribe)
  local co = running()
  local wait = { coroutine = co, pattern = pattern, handling = owner(co) }
  wait.withdraw = subscribe(function(msg) answer(wait, msg) end)
  waits[#waits + 1] = wait
  return resumed(wait, yield(pattern))
end

local function entry(handling, pattern)
  return { id = handling.id, action = handling.action, pattern = pattern }
end

-- All that waits, oldest first: {id=, action=, pattern=} of the message that began it.
function waiting.list()
  local list, listed = {}, {}
  for i = 1, #waits do
    local wait = waits[i]
    list[i] = entry(wait.handling, described(wait.pattern, 2))
    listed[wait.coroutine] = true
  end
  for i = 1, #parked do
    if not listed[coroutines[i]] then list[#list + 1] = entry(parked[i], "coroutine.yield") end
  end
  return list
end

-- Forget what waits under a message; whether there was any.
function waiting.drop(id)
  local found = false
  for i = #waits, 1, -1 do
    if waits[i].handling.id == id then
      remove(waits, i).withdraw()
      found = true
    end
  end
  for i = #parked, 1, -1 do
    if parked[i].id == id then
      over(parked[i])
      found = true
    end
  end
  return found
end

-- The handling on whose behalf code runs, nil between messages.
function waiting.active()
  return own.active
end

return waiting
