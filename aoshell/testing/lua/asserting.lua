-- The assertions. Each ends the test if it does not hold.
local ipairs, pairs, pcall, tostring, type = ipairs, pairs, pcall, tostring, type
local concat, find, format, lower = table.concat, string.find, string.format, string.lower
local ask = require(".asking").ask
local actors = require(".actors")
local compare = require(".compare")
local raise = require(".failed").raise
local show = require(".show")
local is, need, Result = actors.is, actors.need, actors.Result

local asserting = {}

-- A message that failed without anybody looking may be why a value is not as expected.
local function earlier()
  local trouble = actors.trouble()
  return trouble and "\n→ before this, " .. trouble or ""
end

local function differ(found, note, what)
  local count = found.count
  if count == 0 then return end
  local text = note and tostring(note) .. ": " .. what or what
  if count > #found then text = text .. format(" (the first %d of %d places)", #found, count) end
  found.count = nil
  raise(text .. earlier(), found)
end

-- Which handlers were asked, of a result in the log.
local function explanation(of)
  local origin = actors.origin(of)
  local lines = origin and origin.slot and ask("why", { process = origin.process, slot = origin.slot }) or {}
  return #lines > 0 and "\n" .. concat(lines, "\n") or ""
end

-- Tables are equal if all that they hold is equal.
function asserting:equal(actual, expected, note)
  differ(compare(expected, actual), note, "not equal")
end

-- What is expected is there; there may be more. A function is called with the value to judge.
function asserting:has(actual, expected, note)
  differ(compare(expected, actual, true), note, "something lacks")
end

-- A result that went well, or any value but false and nil; returns it.
function asserting:ok(value, note)
  local reason = not value and "it is " .. tostring(value) .. earlier()
  if is(value, Result) then actors.see(value) end
  if is(value, Result) and not value.ok then reason = "the message failed: " .. value.error end
  if not reason then return value end
  raise(note and tostring(note) .. ": " .. reason or reason)
end

function asserting:matches(text, pattern, note)
  need(type(pattern) == "string", "t:matches(TEXT, PATTERN)")
  if type(text) == "string" and find(text, pattern) then return end
  local difference = { path = "", expected = "a match of " .. show.value(pattern), actual = show.value(text) }
  raise((note and tostring(note) or "no match") .. earlier(), { difference })
end

-- A result that failed, or a function that raises; returns the error.
function asserting:fails(value, pattern)
  local reason
  if type(value) == "function" then
    local ok, raised = pcall(value)
    reason = not ok and tostring(raised)
  else
    need(is(value, Result), "t:fails(result, PATTERN)")
    actors.see(value)
    reason = not value.ok and value.error
  end
  if not reason then raise("it did not fail" .. earlier()) end
  if pattern then self:matches(reason, pattern, "it failed otherwise") end
  return reason
end

-- What a reader may have meant by a tag that does not fit: another spelling, or its text.
local function hints(expected, msg)
  local found = ""
  for name, value in pairs(expected) do
    local there = msg[name]
    if there == nil and type(name) == "string" then
      for other in pairs(msg) do
        if type(other) == "string" and lower(other) == lower(name) then
          found = found .. "\n→ the message has " .. other .. ", not " .. name
        end
      end
    elseif type(value) == "number" and there == tostring(value) then
      found = found .. "\n→ tags are text: write " .. name .. ' = "' .. there .. '"'
    end
  end
  return found
end

-- A result, or a list of messages, has one that matches; returns the first.
function asserting:sent(of, expected)
  local mails = is(of, Result) and of.messages or of
  need(type(mails) == "table" and type(expected) == "table", "t:sent(result, { Action = ... })")
  local nearest, closest
  for _, msg in ipairs(mails) do
    local found = compare(expected, msg, true)
    if found.count == 0 then return msg end
    if not nearest or found.count < nearest.count then nearest, closest = found, msg end
  end
  if is(of, Result) and not of.ok then raise("the message failed: " .. of.error) end
  if not nearest then raise("nothing was sent" .. (is(of, Result) and explanation(of) or earlier())) end
  local text = format("none of %d messages fits; the nearest differs", #mails) .. hints(expected, closest)
  differ(nearest, nil, text)
end

return asserting
