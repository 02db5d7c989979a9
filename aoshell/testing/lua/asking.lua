-- Requests of the running test: its coroutine waits until the answer comes as the next step.
local running, yield = coroutine.running, coroutine.yield
local raise = require(".failed").raise

local asking = {}
local run  -- the coroutine of the test

function asking.begin(test) run = test end

-- Make a request; returns the answer, or raises the reason why it failed.
function asking.ask(what, arguments)
  if running() ~= run then raise("a test's verbs do not work in a coroutine of its own") end
  local answer = yield { what = what, arguments = arguments or {} }
  if answer.refused then raise(answer.refused) end
  return answer.value
end

return asking
