-- Patterns and handles that scripts use often (Handlers.utils).
local ipairs, type = ipairs, type
local check = require(".failure").check
local utils = require(".utils")

local helpers = { _version = "0.0.2" }

function helpers.hasMatchingTag(name, value)
  check(type(name) == "string" and type(value) == "string",
    "invalid arguments: (name : string, value : string)")
  return function(msg)
    return msg.Tags[name] == value
  end
end

function helpers.hasMatchingTagOf(name, values)
  check(type(name) == "string" and type(values) == "table",
    "invalid arguments: (name : string, values : string[])")
  return function(msg)
    for _, value in ipairs(values) do
      if msg.Tags[name] == value then return true end
    end
    return 0
  end
end

function helpers.hasMatchingData(value)
  check(type(value) == "string", "invalid arguments: (value : string)")
  return function(msg)
    return msg.Data == value
  end
end

-- A handle that answers with a text as Data, or with a message.
function helpers.reply(input)
  check(type(input) == "table" or type(input) == "string", "invalid arguments: (input : table or string)")
  return function(msg)
    msg.reply(type(input) == "string" and { Data = input } or input)
  end
end

-- The same pattern, after which later handlers still get the message.
function helpers.continue(pattern)
  return function(msg)
    local answer = utils.matchesSpec(msg, pattern)
    if not answer or answer == 0 or answer == "skip" then return answer end
    return 1
  end
end

return helpers
