-- For tests only: counts the instructions of a message, and notes which lines of which files ran.
-- Runs before all other chunks, so that no coroutine and no text escapes it. What it puts in the
-- place of the core's functions belongs to the host; scripts can neither see nor remove a hook.
--
-- Instructions: each coroutine has the interpreter's own counter, set so high that its hook
-- never comes in practice; what is left of it is read behind the message (aoshell.sandbox.watch).
--
-- Lines: a text that has the name of a file is loaded as code that counts them by itself
-- (aoshell.sandbox.counting). What the counting took is taken off the instructions.
local H = ...
local sethook, getinfo = debug.sethook, debug.getinfo
local getupvalue, setupvalue = debug.getupvalue, debug.setupvalue
local resume, wrap, yield, running =
  coroutine.resume, coroutine.wrap, coroutine.yield, coroutine.running
local load, pcall, next, type, tostring = load, pcall, next, type, tostring
local rawget, rawlen, setmetatable = rawget, rawlen, setmetatable
local byte, sub, pack, unpack, dump = string.byte, string.sub, string.pack, string.unpack, string.dump
local concat = table.concat

local MOST = 0x7FFFFFFF  -- what a counter of instructions begins with
local BATCH = 1000  -- coroutines whose counters are kept before they are read
local TEXTS, NAME = 5000, 500  -- texts that are told apart; bytes of a name
local HANDLERS = 2000  -- of a process that are looked at
local NAMELESS = "(*no name)"  -- what Lua calls an upvalue that the compiler has not made

local weak = { __mode = "k" }
local watching, lines = false, false
local left_out = false  -- whether a bound was reached

-- What is done aside runs in a coroutine of its own: none of its instructions counts as the guest's,
-- and for who calls, it is a function of the core. It fails where no memory is left, and then the
-- message does.
local function aside(f)
  return wrap(function(...)
    local one, other, more = ...
    while true do
      local ok, first, second = pcall(f, one, other, more)
      if not ok then H.out_of_memory, first, second = true, false, false end
      one, other, more = yield(first, second)
    end
  end)
end

-- Files -----------------------------------------------------------------------------------------

local counters_of, count_files = {}, 0  -- name, digest → counters
local is_counters = {}  -- table of counters → true
-- The text that was compiled last: its code, the function that counts, its counters. The
-- host may change that code and load it.
local given_code, given, given_counters
local restored  -- functions of an image that is being read, nil where none is

-- A table of counters: a number for each, and what an image needs to know of the file.
local function count_file(counters, key, name, digest, kinds, count)
  -- The numbers come first, so that all of them lie in the array part.
  for i = 1, count do counters[i] = 0 end
  counters.name, counters.digest, counters.kinds, counters.count = name, digest, kinds, count
  counters_of[key], is_counters[counters] = counters, true
  H.count_file(tostring(counters), name, digest, kinds)
end

-- How many counters there are: what is told of each has 12 bytes, behind as many of each function.
local function counters_in(kinds)
  return #kinds // 12 - unpack("<I4", kinds)
end

-- The function of some code that counts, with its counters.
local function counting(counters, code, env)
  local f = load(code, "=code", "b")
  setupvalue(f, 1, env)
  setupvalue(f, getinfo(f, "u").nups, counters)
  return f
end

-- The function to use in place of one that compiled code came to.
local function note_code(code, name, f)
  if given and name == "=code" then
    local _, env = getupvalue(f, 1)
    f = counting(given_counters, H.make_counting(given_code, code), env)
  end
  if restored and name == "=image" then restored[#restored + 1] = f end
  given = nil
  return f
end

-- The same of a text.
local note_text = aside(function(text, name, f)
  if not lines or type(text) ~= "string" then return f end
  if byte(text) == 27 then return note_code(text, name, f) end
  given = nil
  if type(name) ~= "string" or sub(name, 1, 1) ~= "@" or #name > NAME then return f end
  if H.sources and H.sources[sub(name, 2)] then return f end
  local original, digest = dump(f), H.text_digest(text)
  local key = name .. "\0" .. digest
  local code, kinds
  if counters_of[key] or count_files < TEXTS then
    code, kinds = H.make_counting(original)
  else
    left_out = true
  end
  if not code then return f end  -- who loaded the file knows that, too
  if not counters_of[key] then
    count_files = count_files + 1
    count_file({}, key, name, digest, kinds, counters_in(kinds))
  end
  local _, env = getupvalue(f, 1)
  given_code, given_counters = original, counters_of[key]
  given = counting(given_counters, code, env)
  return given
end)

local function noted(text, name, f, ...)
  if f and watching then f = note_text(text, name, f) end
  return f, ...
end

function _G.load(text, name, ...)
  return noted(text, name, load(text, name, ...))
end

-- The host changes the code that the compiler wrote.
string.dump = aside(function(f, strip)
  if f == given then return given_code end
  return dump(f, strip)
end)

-- The functions of an image have the counters that they had; they begin anew.
local function take_over()
  for i = 1, #restored do
    local f = restored[i]
    local name, counters = getupvalue(f, getinfo(f, "u").nups)
    if name == NAMELESS and not is_counters[counters] then
      local key = counters.name .. "\0" .. counters.digest
      count_file(counters, key, counters.name, counters.digest, counters.kinds, counters.count)
    end
  end
  restored = nil
end

-- Coroutines ------------------------------------------------------------------------------------

local left = setmetatable({}, weak)  -- thread → its counter when it was last read
local touched, count_touched = {}, 0  -- those that ran since
local steps = 0

local read_counters = aside(function()
  local names, threads = {}, {}
  for co in next, touched do
    threads[#threads + 1] = co
    names[#names + 1] = tostring(co)
  end
  touched, count_touched = {}, 0
  local counters = H.counters(concat(names, "\n"))
  for i = 1, #threads do
    local now = unpack("<i4", counters, 4 * i - 3)
    local used = (left[threads[i]] or MOST) - now
    steps = steps + (used < 0 and used + MOST or used)
    left[threads[i]] = now
  end
  return steps
end)

local function touch(co)
  if touched[co] then return end
  if count_touched == BATCH then read_counters() end
  touched[co] = true
  count_touched = count_touched + 1
end

local function nothing() end

local attach = aside(function(co)
  left[co] = MOST
  sethook(co, nothing, "", MOST)
end)

-- A coroutine begins with its first `resume`, so `create` need not be replaced.
function coroutine.resume(co, ...)
  if watching and type(co) == "thread" then
    if not left[co] then attach(co) end
    touch(co)
  end
  return resume(co, ...)
end

-- Messages --------------------------------------------------------------------------------------

-- Watch from now on. with_lines: note lines too.
function H.watch(with_lines)
  watching, lines = true, with_lines
  local restore = H.restore
  function H.restore(image)
    restored = {}
    restore(image)
    take_over()
  end
end

local begin = aside(function()
  for _, counters in next, counters_of do
    for i = 1, counters.count do
      if counters[i] ~= 0 then counters[i] = 0 end
    end
  end
end)

-- Before a message.
function H.watch_message()
  steps, left_out = 0, false
  begin()
  local co = running()
  touched, count_touched = { [co] = true }, 1
  attach(co)
end

-- Behind it: how many instructions it took, those included that counting lines took.
function H.watched_steps()
  local taken = read_counters()
  sethook((running()))
  return taken
end

local shown = setmetatable({}, weak)  -- record of a handler → the function that was told of

local function put_handler(out, name, f)
  local info = getinfo(f, "Su")
  local _, counters = getupvalue(f, info.nups)
  if not is_counters[counters] then return end
  local first, last = info.linedefined, info.lastlinedefined
  local place = pack("<s4s4I4I4", counters.name, counters.digest, first, last)
  out[#out + 1] = pack("<s4", sub(name, 1, NAME)) .. place
end

-- A handler made of a table of functions: the environment's own function holds it.
local function put_resolver(out, name, f)
  for i = 1, 8 do
    local upvalue, value = getupvalue(f, i)
    if not upvalue then return end
    if type(value) == "table" and upvalue == "spec" then
      for _, item in next, value do
        if type(item) == "function" then put_handler(out, name, item) end
      end
    end
  end
end

local function put_handlers(out)
  local handlers = rawget(_G, "Handlers")
  local list = type(handlers) == "table" and rawget(handlers, "list")
  if type(list) ~= "table" then return end
  for i = 1, rawlen(list) < HANDLERS and rawlen(list) or HANDLERS do
    local record = rawget(list, i)
    local name = type(record) == "table" and rawget(record, "name")
    local f = type(name) == "string" and rawget(record, "handle")
    if type(f) == "function" and shown[record] ~= f then
      shown[record] = f
      put_handler(out, name, f)
      if H.sources[sub(getinfo(f, "S").source, 2)] then put_resolver(out, name, f) end
    end
  end
end

-- A count and that many handlers; whether something was left out.
function H.watched_handlers()
  local handlers = {}
  put_handlers(handlers)
  return pack("<I4", #handlers) .. concat(handlers), left_out
end
