-- First chunk of a runtime: keeps the originals in H.raw for the host's own use, then leaves user
-- code a world without files, environment, bytecode, finalizers, clocks or addresses.
-- What varies between two runs of plain Lua is replaced in order.lua.
local H = ...

local raw = {}
H.raw = raw
for _, name in ipairs { "assert", "error", "getmetatable", "ipairs", "load", "next", "pairs", "pcall",
    "rawequal", "rawget", "rawlen", "rawset", "select", "setmetatable", "tonumber", "tostring", "type",
    "xpcall", "collectgarbage" } do
  raw[name] = _G[name]
end
for _, library in ipairs { "coroutine", "debug", "math", "os", "string", "table", "utf8" } do
  raw[library] = {}
  for name, value in pairs(_G[library]) do raw[library][name] = value end
end

local error, pcall, xpcall, type, select = error, pcall, xpcall, type, select
local rawget, rawset, setmetatable, next = rawget, rawset, setmetatable, next
local find = string.find

-- Out of memory ends a message whatever user code does about it: whoever catches it raises it anew,
-- and the host reads H.out_of_memory behind the message. The core's text has no position in front;
-- the string library has a text of its own.
local OUT_OF_MEMORY = "not enough memory"
H.out_of_memory = false

local function ran_out(err)
  return err == OUT_OF_MEMORY
    or type(err) == "string" and find(err, OUT_OF_MEMORY .. " for buffer allocation", 1, true)
end

local function passed(ok, ...)
  if not ok and ran_out((...)) then
    H.out_of_memory = true
    error(OUT_OF_MEMORY, 0)
  end
  return ok, ...
end

function _G.pcall(f, ...) return passed(pcall(f, ...)) end

function _G.xpcall(f, handler, ...)
  local function guarded(err)
    if ran_out(err) then return err end
    return handler(err)
  end
  return passed(xpcall(f, guarded, ...))
end

-- Text only: bytecode reaches any address. A reader function is drained here, so that what it
-- raises is an error like any other.
local raw_load, concat = load, table.concat
function _G.load(chunk, name, _, ...)
  if type(chunk) == "function" then
    local parts = {}
    while true do
      local part = chunk()
      if part == nil or part == "" then break end
      parts[#parts + 1] = part
    end
    chunk = concat(parts)
  end
  local f, err
  if select("#", ...) > 0 then
    f, err = raw_load(chunk, name, "t", (...))
  else
    f, err = raw_load(chunk, name, "t")
  end
  if not f then passed(false, err) end  -- the parser can run out too
  return f, err
end

-- Finalizers run, and weak entries vanish, when the collector pleases: the same log could then
-- give two states. Scripts that use them for caches work without. A `__mode` that a metatable gets
-- once it is in use is taken out behind the message; `__gc` then has no effect anyway.
local in_use = {}  -- metatables set during this message

local function disarm(meta)
  if rawget(meta, "__gc") ~= nil then rawset(meta, "__gc", nil) end
  if rawget(meta, "__mode") ~= nil then rawset(meta, "__mode", nil) end
end

function _G.setmetatable(t, meta)
  if in_use[meta] then
    if rawget(meta, "__gc") ~= nil then rawset(meta, "__gc", nil) end
  elseif type(meta) == "table" then
    disarm(meta)
    in_use[meta] = true
  end
  return setmetatable(t, meta)
end

function H.disarm_metatables()
  if next(in_use) == nil then return end
  for meta in next, in_use do disarm(meta) end
  in_use = {}
end

local resume, create, yield = coroutine.resume, coroutine.create, coroutine.yield
function coroutine.resume(co, ...) return passed(resume(co, ...)) end

function coroutine.wrap(f)
  local co = create(f)
  local function outcome(ok, ...)
    if ok then return ... end
    passed(ok, ...)
    error((...), 0)
  end
  return function(...) return outcome(resume(co, ...)) end
end

function _G.collectgarbage() return 0 end

math.random = function() error("math.random is seeded by the first message", 2) end
math.randomseed = function() end
string.dump = nil

-- Time is the message's. The host sets H.now (milliseconds) before each one.
H.now = 0
local date = os.date
_G.os = {
  time = function() return H.now end,
  clock = function() return 0.0 end,
  difftime = os.difftime,
  date = function(format, time)
    format = format or "%c"
    if not find(format, "^!") then format = "!" .. format end
    return date(format, time or H.now // 1000)
  end,
}

getmetatable("").__metatable = false

-- Without the host's own frames: their line numbers change with versions of the host.
local traceback, gsub = debug.traceback, string.gsub
local getinfo = debug.getinfo
_G.debug = {
  traceback = function(...)
    local text = traceback(...)
    return type(text) == "string" and (gsub(text, "\n\thost:[^\n]*", "")) or text
  end,
  -- Where a script's function was written. Nothing else is told: places in the host and the
  -- environment change with their versions, and a log must give the same wherever it is replayed.
  getinfo = function(f)
    if type(f) ~= "function" then error("getinfo takes a function here", 2) end
    local info = getinfo(f, "S")
    if info.what == "C" or info.source == "=host" or find(info.source, "^@%.") then
      return { what = "C", source = "=[C]", short_src = "[C]", linedefined = -1, lastlinedefined = -1 }
    end
    return {
      what = info.what, source = info.source, short_src = info.short_src,
      linedefined = info.linedefined, lastlinedefined = info.lastlinedefined,
    }
  end,
}
for _, name in ipairs { "python", "io", "dofile", "loadfile", "print" } do _G[name] = nil end

-- luaL_traceback and luaL_argerror look functions up in the registry's table of loaded libraries,
-- in hash order: emptied, so that texts do not depend on it. User code gets a table of its own.
for name in pairs(package.loaded) do package.loaded[name] = nil end
local loaded = {}
for _, name in ipairs { "coroutine", "debug", "math", "os", "string", "table", "utf8", "_G" } do
  loaded[name] = _G[name]
end
_G.package = { loaded = loaded }

local sources = {}
H.sources = sources  -- module name → Lua source of the environment, filled by the host
function _G.require(name)
  local module = loaded[name]
  if module ~= nil then return module end
  local source = sources[name]
  if not source then error("module '" .. tostring(name) .. "' not found", 2) end
  local chunk = raw.assert(raw_load(source, "@" .. name, "t"))
  module = chunk(name)
  if loaded[name] == nil then loaded[name] = module == nil and true or module end
  return loaded[name]
end
