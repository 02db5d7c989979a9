-- Requests of the running test: its coroutine waits until the answer comes as the next step.
local running, yield = coroutine.running, coroutine.yield
local raise = require(".failed").raise

local asking = {}
local run  -- the coroutine of the test
local made  -- the request that it waits for

function asking.begin(test) run = test end

-- Make a request; returns the answer, or raises the reason why it failed.
function asking.ask(what, arguments)
  if running() ~= run then raise("a test's verbs do not work in a coroutine of its own") end
  made = { what = what, arguments = arguments or {} }
  local answer = yield(made)
  if answer.refused then raise(answer.refused) end
  return answer.value
end

-- Whether what the test has yielded is a request, and no value of its own.
function asking.is_request(value) return value ~= nil and rawequal(value, made) end

return asking
