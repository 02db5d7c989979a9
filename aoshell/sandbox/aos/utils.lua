-- Matching of messages, and functions on tables. Those of more than one argument are curried:
-- map(f)(list) is map(f, list).
local pairs, select, tostring, type = pairs, select, tostring, type
local find, gsub, lower, match, sub, upper = string.find, string.gsub, string.lower, string.match,
  string.sub, string.upper
local floor, pack, unpack, move = math.floor, table.pack, table.unpack, table.move
local check = require(".failure").check
local parameters = require(".host").parameters

local utils = { _version = "0.0.5" }

-- Matching ---------------------------------------------------------------------------------------

-- What makes a string a Lua pattern; "-" alone does not, since ids and names hold it.
local SPECIAL = "[%^%$%(%)%%%.%[%]%*%+%?]"

local function matches_text(pattern, value)
  local kind = type(value)
  if kind == "table" or kind == "function" then return false end
  if kind ~= "string" then value = tostring(value) end
  if find(pattern, SPECIAL) then return match(lower(value), lower(pattern)) ~= nil end
  return #value == #pattern and (value == pattern or lower(value) == lower(pattern))
end

local function matches_any(patterns, value, msg)
  for _, pattern in pairs(patterns) do
    if utils.matchesPattern(pattern, value, msg) then return true end
  end
  return false
end

-- Whether one value of a message fits: "_" is any, a string is compared without regard to case (as
-- a Lua pattern if it looks like one), a function decides, a table lists alternatives.
function utils.matchesPattern(pattern, value, msg)
  if not pattern then return false end
  if pattern == "_" then return true end
  local kind = type(pattern)
  if kind == "string" then return matches_text(pattern, value or "") end
  if kind == "function" then return pattern(value, msg) and true or false end
  return kind == "table" and matches_any(pattern, value, msg)
end

local matches_pattern = utils.matchesPattern

-- Whether a message fits: a function's own answer, a string is its Action, a table asks each of
-- its keys of the message.
function utils.matchesSpec(msg, spec)
  local kind = type(spec)
  if kind == "function" then return spec(msg) end
  if kind == "string" then return msg.Action == spec end
  if kind ~= "table" then return false end
  -- Most are told apart by their Action alone, at less than the cost of a traversal.
  local action = spec.Action
  if type(action) == "string" and action ~= "_" then
    if not msg.Action or not matches_text(action, msg.Action) then return false end
  end
  for key, pattern in pairs(spec) do
    local value = msg[key]
    if not value or not matches_pattern(pattern, value, msg) then return false end
  end
  return true
end

-- Names ------------------------------------------------------------------------------------------

-- x_reference, X-REFERENCE → X-Reference
function utils.normalize(name)
  if type(name) ~= "string" then return name end
  name = lower((gsub(name, "_", "-")))
  name = gsub(name, "^%l", upper)
  return (gsub(name, "%-%l", upper))
end

function utils.capitalize(text)
  if type(text) ~= "string" or text == "" then return text end
  return upper(sub(text, 1, 1)) .. lower(sub(text, 2))
end

-- Lists ------------------------------------------------------------------------------------------

-- Whether the keys of a table are 1, 2, 3… without holes.
function utils.isArray(list)
  if type(list) ~= "table" then return false end
  local highest = 0
  for key in pairs(list) do
    if type(key) ~= "number" or key < 1 or floor(key) ~= key then return false end
    if key > highest then highest = key end
  end
  return highest == #list
end

local is_array = utils.isArray

-- Without an arity, f's named parameters are waited for.
function utils.curry(f, arity)
  check(type(f) == "function", "function is required as first argument")
  arity = arity or parameters(f)
  if arity < 2 then return f end
  return function(...)
    local first = pack(...)
    if first.n >= arity then return f(...) end
    return utils.curry(function(...)
      local all = move(first, 1, first.n, 1, {})
      local more = select("#", ...)
      move({ ... }, 1, more, first.n + 1, all)
      return f(unpack(all, 1, first.n + more))
    end, arity - first.n)
  end
end

local curry = utils.curry

utils.concat = curry(function(a, b)
  check(type(a) == "table", "first argument should be a table that is an array")
  check(type(b) == "table", "second argument should be a table that is an array")
  check(is_array(a), "first argument should be a table")
  check(is_array(b), "second argument should be a table")
  return move(b, 1, #b, #a + 1, move(a, 1, #a, 1, {}))
end, 2)

-- Without an initial value the first element is taken.
utils.reduce = curry(function(f, initial, list)
  check(type(f) == "function", "first argument should be a function that accepts (result, value, key)")
  check(type(list) == "table" and is_array(list), "third argument should be a table that is an array")
  local result = initial
  for i = 1, #list do
    if result == nil then result = list[i] else result = f(result, list[i], i) end
  end
  return result
end, 3)

local function check_unary(f, list)
  check(type(f) == "function", "first argument should be a unary function")
  check(type(list) == "table" and is_array(list), "second argument should be an Array")
end

utils.map = curry(function(f, list)
  check_unary(f, list)
  local result = {}
  for i = 1, #list do result[i] = f(list[i], i) end
  return result
end, 2)

utils.filter = curry(function(f, list)
  check_unary(f, list)
  local result = {}
  for i = 1, #list do
    if f(list[i]) then result[#result + 1] = list[i] end
  end
  return result
end, 2)

utils.find = curry(function(f, list)
  check(type(f) == "function", "first argument should be a unary function")
  check(type(list) == "table", "second argument should be a table that is an array")
  for _, value in pairs(list) do
    if f(value) then return value end
  end
end, 2)

utils.propEq = curry(function(name, value, object)
  check(type(name) == "string", "first argument should be a string")
  check(type(value) == "string", "second argument should be a string")
  check(type(object) == "table", "third argument should be a table<object>")
  return object[name] == value
end, 3)

function utils.reverse(list)
  check(type(list) == "table", "argument needs to be a table that is an array")
  check(is_array(list), "third argument should be a table that is an array")
  local result, size = {}, #list
  for i = 1, size do result[i] = list[size - i + 1] end
  return result
end

-- compose(f, g, h)(v) is f(g(h(v))).
utils.compose = curry(function(...)
  local functions = utils.reverse({ ... })
  return function(value)
    for i = 1, #functions do
      check(type(functions[i]) == "function", "each argument needs to be a function")
      value = functions[i](value)
    end
    return value
  end
end, 2)

utils.prop = curry(function(name, object)
  return object[name]
end, 2)

utils.includes = curry(function(value, list)
  check(type(list) == "table", "argument needs to be a table")
  check(is_array(list), "argument should be a table that is an array")
  for i = 1, #list do
    if list[i] == value then return true end
  end
  return false
end, 2)

function utils.keys(list)
  check(type(list) == "table", "argument needs to be a table")
  local keys = {}
  for key in pairs(list) do keys[#keys + 1] = key end
  return keys
end

function utils.values(list)
  check(type(list) == "table", "argument needs to be a table")
  local values = {}
  for _, value in pairs(list) do values[#values + 1] = value end
  return values
end

return utils
