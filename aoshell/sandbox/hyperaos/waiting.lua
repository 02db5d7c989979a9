-- Handling of messages without coroutines, which HyperBEAM's Lua does not have: a message is handled
-- to its end, and nothing can wait for another one.
local error, pcall = error, pcall
local failure = require(".failure")

local waiting = { coroutines = {} }
local active

-- As the environment's own `.waiting` does it; nothing is ever suspended or resumed.
function waiting.run(handling, work)
  active = handling
  local ok, raised = pcall(work, handling)
  active = nil
  return not ok and failure.new(raised) or nil, false, nil
end

function waiting.receive()
  error("lua@5.3a has no coroutines: no message can be waited for. Put up a handler for it", 0)
end

function waiting.list() return {} end
function waiting.drop() return false end
function waiting.active() return active end

return waiting
