-- What outlives a module's code. `.update` runs newer sources over the running state: they find here,
-- and in the tables that scripts know as modules, what the older ones had.
local pairs, type = pairs, type
local loaded = package.loaded

local kept = loaded[".kept"] or { states = {} }

-- Give `target` what it lacks of `initial`.
local function complete(target, initial)
  for key, value in pairs(initial) do
    if target[key] == nil or key == "_version" then target[key] = value end
  end
  return target
end

-- A table for what a module alone knows, at first `initial`.
function kept.state(name, initial)
  local state = kept.states[name] or {}
  kept.states[name] = state
  return complete(state, initial or {})
end

-- The table that scripts know as the module `name`: the one there is, else `initial`.
function kept.module(name, initial)
  local module = loaded[name]
  return type(module) == "table" and complete(module, initial) or initial
end

-- target[name] = value, unless a script has put its own in the place of the last value. `where`
-- names the target.
function kept.put(where, target, name, value)
  local last = kept.state(where)
  local now = target[name]
  if last[name] == nil or now == nil or now == last[name] then target[name] = value end
  last[name] = value
end

return kept
