-- The paths at which two values differ.
local getmetatable, next, rawequal, rawget, tostring, type =
  getmetatable, next, rawequal, rawget, tostring, type
local show = require(".show")

local MOST = 20  -- differences that are listed

local function different(found, path, expected, actual)
  found.count = found.count + 1
  if #found < MOST then
    found[#found + 1] = {
      path = path,
      expected = expected == nil and "nothing" or show.value(expected),
      actual = actual == nil and "nothing" or show.value(actual),
    }
  end
end

local compare

local function tables(found, path, expected, actual, partial, seen)
  if seen[expected] == actual then return end
  seen[expected] = actual
  -- The sandbox's `next` gives nil for false: only keys are taken from it.
  for key in next, expected do
    local item = rawget(expected, key)
    compare(found, path .. show.step(key), item, rawget(actual, key), partial, seen)
  end
  if partial then return end
  for key in next, actual do
    if rawget(expected, key) == nil then different(found, path .. show.step(key), nil, rawget(actual, key)) end
  end
end

-- Processes and identities stand for their addresses.
local function named(value, other)
  local meta = type(value) == "table" and type(other) == "string" and getmetatable(value)
  return type(meta) == "table" and meta.__tostring and tostring(value) or value
end

function compare(found, path, expected, actual, partial, seen)
  expected, actual = named(expected, actual), named(actual, expected)
  if rawequal(expected, actual) or expected ~= expected and actual ~= actual then return end
  if type(expected) == "table" and type(actual) == "table" then
    tables(found, path, expected, actual, partial, seen)
  elseif partial and type(expected) == "function" then
    if not expected(actual) then different(found, path, "something that fits", actual) end
  else
    different(found, path, expected, actual)
  end
end

-- A list of {path=, expected=, actual=}, texts, whose field `count` counts those left out as well.
-- partial: what only `actual` has is no difference, and a function is called with the value.
return function(expected, actual, partial)
  local found = { count = 0 }
  compare(found, "", expected, actual, partial or false, {})
  return found
end
