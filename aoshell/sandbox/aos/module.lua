-- The code of a module that is a Lua script. It runs once, in the process's first message.
local error, load, sub, _G = error, load, string.sub, _G

local own = require(".kept").state(".module")  -- done: whether it has run

return function(env)
  local module = env.Module
  if own.done or not module or not module.Code then return end
  own.done = true
  -- The chunk's name leads back to the module.
  local f, problem = load(module.Code, "@" .. sub(module.Id or "module", 1, 8), "t", _G)
  if not f then error(problem, 0) end
  f()
end
