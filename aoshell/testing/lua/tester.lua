-- The object `t` that each test is given. Its assertions are in asserting.lua.
local pairs, select, setmetatable, tostring, type = pairs, select, setmetatable, tostring, type
local math_type, pack, unpack = math.type, table.pack, table.unpack
local actors = require(".actors")
local ask = require(".asking").ask
local mail = require(".mail")
local asserting = require(".asserting")
local raise = require(".failed").raise
local written = require(".written").value
local is, need, source = actors.is, actors.need, actors.source

local Tester = setmetatable({}, { __index = asserting })
Tester.__index = Tester

function Tester:as(name)
  need(type(name) == "string" and name ~= "", 't:as("alice")')
  return actors.identity(name)
end

function Tester:spawn(what) return self.owner:spawn(what or {}) end

function Tester:process(id)
  return actors.process { id = tostring(id), owner = "owner" }
end

function Tester:mock(address, what)
  local usage = 't:mock(ADDRESS, "file.lua")'
  need(type(address) == "string" or is(address, actors.Identity), usage)
  local asked = source(what, usage)
  asked.address = tostring(address)
  return actors.process(ask("mock", asked))
end

function Tester:publish(file, name)
  need(type(file) == "string", 't:publish("file.lua", "name")')
  return ask("publish", { file = file, name = name and tostring(name) })
end

-- Import a process that .export wrote; names = { [address] = the identity that replaces it }.
function Tester:import(what)
  if type(what) == "string" then what = { file = what } end
  need(type(what) == "table" and type(what.file) == "string", 't:import("file")')
  local names = {}
  for address, identity in pairs(what.names or {}) do
    need(is(identity, actors.Identity), "names = { [ADDRESS] = t:as(\"alice\") }")
    names[#names + 1] = { tostring(address), identity.name }
  end
  return actors.process(ask("import", { file = what.file, names = names }))
end

function Tester:advance(span)
  ask("advance", { span = type(span) == "number" and span or tostring(span) })
end

-- What stands under this name beside the test file is the same; all that was sent, without a value.
function Tester:snapshot(name, ...)
  need(type(name) == "string" and name ~= "", 't:snapshot("name", VALUE)')
  local value = ...
  if select("#", ...) == 0 then value = mail.all(ask("sent")) end
  if is(value, actors.Result) then value = value.messages end
  ask("snapshot", { name = name, text = written(value) })
end

-- Each message that is handled while body runs may take so many steps; ms only warns.
function Tester:within(limits, body)
  local usage = "t:within({ steps = 20000 }, function() ... end)"
  need(type(limits) == "table", usage)
  body = body or limits[1]
  local steps, ms = limits.steps, limits.ms
  need(type(body) == "function" and (steps or ms), usage)
  need(steps == nil or math_type(steps) == "integer" and steps >= 0, usage)
  need(ms == nil or type(ms) == "number", usage)
  local place = ask("begin_budget")
  local results = pack(body())
  local problem = ask("end_budget", { place = place, steps = steps, ms = ms })
  if problem ~= "" then raise(problem) end
  return unpack(results, 1, results.n)
end

function Tester:now() return ask("now") end
function Tester:lost() return mail.all(ask("lost")) end

return function()
  local t = setmetatable({}, Tester)
  t.owner = t:as("owner")
  return t
end
