-- Version 2: errors of the core's functions are those of plain Lua 5.3, with the script's places.
-- Version 1 has only guard.lua and order.lua. Its logs hold places in these files, so no line in
-- them may move.
local H = ...
local raw = H.raw
local type, select, error, next = raw.type, raw.select, raw.error, raw.next
local load, rawget = raw.load, raw.rawget
local getinfo, getlocal = raw.debug.getinfo, raw.debug.getlocal
local create, resume, running, status = raw.coroutine.create, raw.coroutine.resume,
  raw.coroutine.running, raw.coroutine.status
local find, concat = raw.string.find, raw.table.concat
local setmetatable, tostring = raw.setmetatable, raw.tostring
local told, hidden, is_ours, calling, passing = H.told, H.hidden, H.is_ours, H.calling, H.passing
local loaded, sources = package.loaded, H.sources

-- Memory --------------------------------------------------------------------------------------
-- Running out of memory ends a message, whatever scripts do about it. No script can imitate it: the
-- core then calls no message handler. An error of a script with the same text passes `noted`, which
-- gives it another shape on its way to whoever catches it.

local OUT_OF_MEMORY = "not enough memory"
local RAN_OUT, FORGED = {}, {}
H.memory_error = RAN_OUT

local function run_out()
  H.out_of_memory = true
  error(RAN_OUT, 0)
end

-- The string library allocates by itself, and raises the error for that by itself, too.
local function is_buffer_error(err)
  return type(err) == "string" and find(err, OUT_OF_MEMORY .. " for buffer allocation", 1, true)
end

-- Whether a function of the core has raised an error of its own, not one that a script gave it.
local function is_core(raiser)
  return raiser.what == "C" and raiser.func ~= raw.error and raiser.func ~= raw.assert
end

-- The message handler of every protected call.
local function noted(err)
  if is_buffer_error(err) and is_core(getinfo(2, "Sf")) then
    H.out_of_memory = true
    return RAN_OUT
  end
  err = told(err, nil, 2)
  if err == OUT_OF_MEMORY then return FORGED end
  return err
end
hidden[noted] = true

-- What a protected call returns when it has failed.
local function failed(err)
  if err == RAN_OUT or err == OUT_OF_MEMORY then run_out() end
  if err == FORGED then err = OUT_OF_MEMORY end
  return false, err
end

local PROTECTED = [[
local xpcall, handler, failed = ...
return function(f, ...)
  local ok, err = xpcall(f, handler, ...)
  if ok then return ok, err end
  return failed(err)
end
]]
local pcall = passing(PROTECTED)(raw.xpcall, noted, failed)
_G.pcall = pcall

local function handler_of(handler)
  if type(handler) ~= "function" then
    error("bad argument #2 to 'xpcall' (function expected, got " .. type(handler) .. ")", 0)
  end
  local function guarded(err)
    if is_buffer_error(err) and is_core(getinfo(2, "Sf")) then
      H.out_of_memory = true
      return RAN_OUT
    end
    if err == RAN_OUT then return err end
    err = handler(told(err, nil, 2))
    if err == OUT_OF_MEMORY then return FORGED end
    return err
  end
  hidden[guarded] = true
  return guarded
end

local HANDLED = [[
local xpcall, handler_of, failed = ...
return function(f, handler, ...)
  local ok, err = xpcall(f, handler_of(handler), ...)
  if ok then return ok, err end
  return failed(err)
end
]]
_G.xpcall = passing(HANDLED)(raw.xpcall, handler_of, failed)

-- Coroutines ----------------------------------------------------------------------------------
-- A coroutine that died keeps its stack, which shows where it raised. A checkpoint does not keep it,
-- so it is shown only until the message ends.

local died = setmetatable({}, { __mode = "k" })
function H.forget_stacks()
  if next(died) ~= nil then died = setmetatable({}, { __mode = "k" }) end
end

-- `error` and `assert` raise what a script gave them. The core may run out of memory while it puts
-- the place in front of a text; then no second copy of the text lies on its stack.
local function is_given(co, raiser)
  if raiser.func ~= raw.error and raiser.func ~= raw.assert then return raiser.source == "=host" end
  local _, given = getlocal(co, 0, 1)
  local _, copy = getlocal(co, 0, 2)
  return given == OUT_OF_MEMORY and (copy == nil or copy == OUT_OF_MEMORY)
end

local GONE = { ["cannot resume dead coroutine"] = true, ["cannot resume non-suspended coroutine"] = true }

local function stopped(err, co)
  if err == RAN_OUT then run_out() end
  if GONE[err] or status(co) ~= "dead" then return false, err end
  died[co] = true
  local raiser = getinfo(co, 0, "Sf")
  if raiser and (is_buffer_error(err) and is_core(raiser) or err == OUT_OF_MEMORY and not is_given(co, raiser)) then
    run_out()
  end
  return false, told(err, co, 0)
end

local RESUMED = [[
local resume, stopped = ...
return function(co, ...)
  local ok, err = resume(co, ...)
  if ok then return ok, err end
  return stopped(err, co)
end
]]
coroutine.resume = passing(RESUMED)(resume, stopped)

local function raised(err, co)
  local _
  _, err = stopped(err, co)
  error(err, 0)
end
H.relay = raised

local wrapped = passing([[
local resume, raised, co = ...
return function(...)
  local ok, err = resume(co, ...)
  if ok then return err end
  return raised(err, co)
end
]])
function coroutine.wrap(f)
  return wrapped(resume, raised, create(f))
end

-- Chunks --------------------------------------------------------------------------------------

-- What a reader function returns, or nil and the error that it raised.
local function drained(reader)
  local parts = {}
  while true do
    local ok, part = pcall(reader)
    if not ok then return nil, part end
    if part == nil or part == "" then return concat(parts) end
    if type(part) ~= "string" and type(part) ~= "number" then
      return nil, "reader function must return a string"
    end
    parts[#parts + 1] = part
  end
end

local function compiled(text, name, ...)
  local f, err = load(text, name, "t", ...)
  if not f then
    if err == OUT_OF_MEMORY then run_out() end  -- no script can raise in a parser
    return nil, err
  end
  return calling(f, text, ...)
end

-- Text only: bytecode can reach any address.
function _G.load(chunk, name, mode, ...)
  if mode ~= nil and type(mode) ~= "string" and type(mode) ~= "number" then
    error("bad argument #3 to 'load' (string expected, got " .. type(mode) .. ")", 0)
  end
  if mode ~= nil and not find(mode, "t", 1, true) and type(chunk) == "string" then
    return nil, "attempt to load a text chunk (mode is '" .. mode .. "')"
  end
  if type(chunk) == "function" then
    local text, err = drained(chunk)
    if not text then return nil, err end
    chunk, name = text, name == nil and "=(load)" or name
  elseif type(chunk) == "number" then
    chunk = tostring(chunk)
  end
  local f, err = compiled(chunk, name, ...)  -- no tail call: the frame says who was called
  return f, err
end

local ordered_pairs, ordered_next = _G.pairs, _G.next
local getmetatable = raw.debug.getmetatable
function _G.pairs(...)
  local t = ...
  if type(t) == "table" then return ordered_pairs(t) end
  local meta = getmetatable(t)
  if meta and rawget(meta, "__pairs") then return ordered_pairs(t) end
  if select("#", ...) == 0 then error("bad argument #1 to 'pairs' (value expected)", 0) end
  return ordered_next, t, nil
end

-- Libraries -----------------------------------------------------------------------------------

local stack_text, math_type = H.stack_text, raw.math.type
local function tointeger(value)
  return raw.math.tointeger(raw.tonumber(value))
end

function debug.traceback(...)
  local co, message, level = ...
  if type(co) ~= "thread" then co, message, level = nil, ... end
  if message ~= nil and type(message) ~= "string" and type(message) ~= "number" then return message end
  local own = co == nil or co == running()
  if level ~= nil and math_type(tointeger(level)) ~= "integer" then
    local what = type(level) == "number" and "number has no integer representation"
      or "number expected, got " .. type(level)
    error("bad argument #" .. (co and 3 or 2) .. " to 'traceback' (" .. what .. ")", 0)
  end
  local text
  if own then
    text = stack_text(nil, 2, level == nil and 0 or level > 0 and level - 1 or 0)
  elseif status(co) == "dead" and not died[co] then
    text = "stack traceback:"
  else
    text = stack_text(co, 0, level or 0)
  end
  return message == nil and text or message .. "\n" .. text
end

-- Where a script's function was written; nothing for functions of ours.
local plain_getinfo = debug.getinfo
function debug.getinfo(f)
  if type(f) == "function" then
    local info = getinfo(f, "S")
    if info.what ~= "C" and not is_ours(info.source) then
      return {
        what = info.what, source = info.source, short_src = info.short_src,
        linedefined = info.linedefined, lastlinedefined = info.lastlinedefined,
      }
    end
  end
  return plain_getinfo(f)
end

-- The core looks the names of its functions up in a table of loaded libraries, in hash order: each
-- has one name there, and scripts cannot reach it.
local named = raw.debug.getregistry()._LOADED
for _, name in raw.ipairs { "coroutine", "debug", "math", "os", "string", "table", "utf8" } do
  named[name] = raw[name]
end
named._G = {}
for _, name in raw.ipairs { "assert", "error", "getmetatable", "ipairs", "rawequal", "rawget", "rawlen",
    "rawset", "select", "tonumber", "type" } do
  named._G[name] = raw[name]
end

-- Modules -------------------------------------------------------------------------------------

local preload = {}
local library = _G.package
library.preload = preload
library.config = "/\n;\n?\n!\n-\n"
-- There are no files to search; scripts of aos add to the texts.
if H.version > 3 then library.path, library.cpath = "", "" end
library.searchers = {
  function(name)
    local loader = preload[name]
    if loader == nil then return "\n\tno field package.preload['" .. name .. "']" end
    return loader
  end,
  function(name)
    local source = sources[name]
    if source then return raw.assert(load(source, "@" .. name, "t")) end
  end,
}
loaded.package = library
H.pinned = { library, preload }

local function found(name)
  local searchers, texts = rawget(library, "searchers"), {}
  if type(searchers) ~= "table" then error("'package.searchers' must be a table", 0) end
  for i = 1, raw.rawlen(searchers) do
    local loader, extra = searchers[i](name)
    if type(loader) == "function" then return loader, extra end
    if type(loader) == "string" then texts[#texts + 1] = loader end
  end
  error("module '" .. name .. "' not found:" .. concat(texts), 0)
end

-- The first argument of a function as a text.
local function text_argument(of, ...)
  local text = ...
  if type(text) == "string" then return text end
  if type(text) == "number" then return tostring(text) end
  local kind = select("#", ...) == 0 and "no value" or type(text)
  error("bad argument #1 to '" .. of .. "' (string expected, got " .. kind .. ")", 0)
end

-- No variable of an environment is set.
function os.getenv(...)
  text_argument("getenv", ...)
  return nil
end

function _G.require(...)
  local name = text_argument("require", ...)
  if loaded[name] then return loaded[name] end
  local loader, extra = found(name)
  local value = loader(name, extra)
  if value ~= nil then loaded[name] = value end
  if loaded[name] == nil then loaded[name] = true end
  return loaded[name]
end
