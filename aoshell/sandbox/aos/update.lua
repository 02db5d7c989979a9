-- Newer sources over the running state: name → source. Each module runs again, after those that it
-- requires; scripts keep the tables that they know, which get the new functions.
-- What older code has handed out (handlers' functions, locals of scripts, parked coroutines) stays
-- as it is. An error undoes the message that this runs in, and the update with it.
local assert, load, pairs, type, _G = assert, load, pairs, type, _G
local loaded = package.loaded

local function taken(old, new)
  if type(old) ~= "table" or type(new) ~= "table" then return new == nil and true or new end
  if old ~= new then
    for key, value in pairs(new) do old[key] = value end
  end
  return old
end

return function(sources)
  assert(loaded[".kept"], "this process is of an environment that could not be updated yet")
  local outer, done = _G.require, {}
  local function again(name)
    if sources[name] == nil then return outer(name) end
    if not done[name] then
      done[name] = true
      local chunk = assert(load(sources[name], "@" .. name, "t", _G))
      loaded[name] = taken(loaded[name], chunk(name))
    end
    return loaded[name]
  end
  _G.require = again
  for name in pairs(sources) do again(name) end
  _G.require = outer
  return "the environment is " .. loaded[".environment"]
end
