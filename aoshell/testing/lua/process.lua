-- Runs the tests of one file, in a sandbox of their own. Nothing here reaches a process: a test
-- makes requests, and the program that started this sandbox carries them out.
--
-- One message is one step: the file, then which of its tests to run, then the answer to each
-- request. Requests and answers are JSON.
local load, next, rawget, select, tostring, type, xpcall, _G =
  load, next, rawget, select, tostring, type, xpcall, _G
local math_type, sort = math.type, table.sort
local create, resume, status = coroutine.create, coroutine.resume, coroutine.status
local concat = table.concat
local getinfo = debug.getinfo
local asking = require(".asking")
local chance = require(".chance")
local host = require(".host")
local json = require(".json")
local failed = require(".failed")
local show = require(".show").value
local tester = require(".tester")

local tests, befores = {}, {}
local loading = false
local prints = {}
local now = 0  -- of the step, milliseconds
local run  -- the coroutine of the test
local YIELDED = "coroutine.yield works in a coroutine that the test has made, not in the test itself"

-- What a test file sees ---------------------------------------------------------------------------

local USAGE = 'usage: test("name", function(t) ... end) or test("name", CASES, function(t, case) ... end)'
local declared = {}

local function add(name, body, skipped, of)
  if declared[name] then failed.raise("there is a test of this name already: " .. name) end
  declared[name] = true
  local line = getinfo(of or body, "S").linedefined
  tests[#tests + 1] = { name = name, body = body, skipped = skipped, line = line }
end

-- A case's name: its key, its field `name`, or what it is.
local function label(key, case)
  if type(key) == "string" then return key end
  local name = type(case) == "table" and rawget(case, "name")
  return type(name) == "string" and name or type(case) == "string" and case or show(case)
end

-- A list of cases in its order, then those with names in the order of these.
local function in_order(cases)
  local keys = {}
  for key in next, cases do
    if type(key) ~= "string" and math_type(key) ~= "integer" then failed.raise(USAGE) end
    keys[#keys + 1] = key
  end
  sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  return keys
end

local function declare(skipped, name, cases, body)
  if not loading then failed.raise("tests are declared when the file is loaded, not later") end
  if body == nil then cases, body = nil, cases end
  if type(name) ~= "string" or type(body) ~= "function" then failed.raise(USAGE) end
  if cases == nil then return add(name, body, skipped) end
  if type(cases) ~= "table" or next(cases) == nil then failed.raise(USAGE .. ": there must be cases") end
  local keys = in_order(cases)
  for i = 1, #keys do
    local case = cases[keys[i]]
    add(name .. ": " .. label(keys[i], case), function(t) body(t, case) end, skipped, body)
  end
end

function _G.test(...) declare(false, ...) end
function _G.skip(...) declare(true, ...) end

function _G.before(body)
  if not loading or type(body) ~= "function" then failed.raise("usage: before(function(t) ... end)") end
  befores[#befores + 1] = body
end

function _G.print(...)
  local texts = {}
  for i = 1, select("#", ...) do texts[i] = tostring((select(i, ...))) end
  local text = concat(texts, "\t")
  prints[#prints + 1] = text
  host.emit(text)
end

_G.json = json
package.loaded.json = json

os.time = function() return now end

-- The same numbers in each run.
math.randomseed = chance.seed
math.random = function(...)
  local count = select("#", ...)
  if count == 0 then return chance.random() end
  if count == 1 then return chance.integer(1, (...)) end
  return chance.integer(...)
end

-- Steps -------------------------------------------------------------------------------------------

local steps = {}

function steps.load(step)
  loading = true
  local f, problem = load(step.source, "=tests", "t", _G)
  local ok, raised = f ~= nil, problem
  if f then ok, raised = xpcall(f, failed.caught) end
  loading = false
  if not ok then return { failure = failed.describe(raised) } end
  if not step.tells then return {} end
  local names = {}
  for i = 1, #tests do names[i] = { name = tests[i].name, skipped = tests[i].skipped, line = tests[i].line } end
  return { tests = names }
end

local function go_on(...)
  local ok, result = resume(run, ...)
  if status(run) ~= "dead" then
    if asking.is_request(result) then return result end
    return { finished = true, failure = failed.describe(failed.at(run, YIELDED)) }
  end
  return { finished = true, failure = ok and result or not ok and failed.describe(result) or nil }
end

function steps.run(step)
  local body = tests[step.index].body
  run = create(function()
    local t = tester()
    local ok, raised = xpcall(function()
      for i = 1, #befores do befores[i](t) end
      body(t)
    end, failed.caught)
    if not ok then return failed.describe(raised) end
  end)
  asking.begin(run)
  return go_on()
end

function steps.answer(step) return go_on(step) end

local process = {}

function process.handle(msg)
  now = msg.Timestamp
  local step = json.decode(msg.Data)
  local answer = steps[step.step](step)
  answer.prints, prints = prints, {}
  return { Output = { data = json.encode(answer) } }
end

function process.failed() end

return process
