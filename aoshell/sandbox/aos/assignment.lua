-- Which messages for other processes this one takes when they are assigned to it.
local pairs, select, type, remove = pairs, select, type, table.remove
local check = require(".failure").check
local kept = require(".kept")
local utils = require(".utils")

local assignment = { _version = "0.1.0" }

local function index_of(assignables, name)
  for i = 1, #assignables do
    if assignables[i].name == name then return i end
  end
end

-- Adds assignables, addAssignable, removeAssignable, isAssignment and isAssignable to ao.
function assignment.init(ao)
  local own = {}

  function own.addAssignable(...)
    local name, spec = ...
    if select("#", ...) == 1 then
      ao.assignables[#ao.assignables + 1] = { pattern = name }
      return
    end
    check(type(name) == "string", "MatchSpec name MUST be a string")
    local index = index_of(ao.assignables, name) or #ao.assignables + 1
    ao.assignables[index] = { pattern = spec, name = name }
  end

  function own.removeAssignable(name)
    local index = name
    if type(name) == "string" then
      index = index_of(ao.assignables, name)
    else
      check(type(name) == "number", "index MUST be a number")
    end
    if index and index > 0 and index <= #ao.assignables then remove(ao.assignables, index) end
  end

  function own.isAssignment(msg)
    return msg.Target ~= ao.id
  end

  function own.isAssignable(msg)
    for i = 1, #ao.assignables do
      if utils.matchesSpec(msg, ao.assignables[i].pattern) then return true end
    end
    return false
  end

  ao.assignables = ao.assignables or {}
  for name, f in pairs(own) do kept.put("ao", ao, name, f) end
end

return assignment
