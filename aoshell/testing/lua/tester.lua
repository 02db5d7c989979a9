-- What a test is given: t. Its assertions are in asserting.lua.
local setmetatable, tostring, type = setmetatable, tostring, type
local actors = require(".actors")
local ask = require(".asking").ask
local mail = require(".mail")
local asserting = require(".asserting")
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

function Tester:advance(span)
  ask("advance", { span = type(span) == "number" and span or tostring(span) })
end

function Tester:now() return ask("now") end
function Tester:lost() return mail.all(ask("lost")) end

return function()
  local t = setmetatable({}, Tester)
  t.owner = t:as("owner")
  return t
end
