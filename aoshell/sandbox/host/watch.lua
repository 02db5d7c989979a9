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
local TOLD = 8 << 20  -- bytes of what is told of one message

local weak = { __mode = "k" }
local watching, lines = false, false
local left_out = 0  -- 1 where a bound was reached

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

local files, count_files = {}, 0  -- name, digest → a file
local file_of = {}  -- table of counters → its file
-- The text that was compiled last: its code without counters, the function that counts, its file. The
-- host may change that code and load it.
local given_code, given, given_file
local restored  -- functions of an image that is being read, nil where none is

-- A file: what its counters count, as `counting.make_counting` has it.
--   counters: a number for each; `kinds`: the table of that, so that an image has it, too
--   places[i]: pack of name, digest and lines of a function; its counters are `firsts[i]` and on
--   ways: of each counter, pack of where it comes from and goes to; costs: instructions of a count
local function read_file(counters, name, digest, kinds)
  local file = { counters = counters, source = name, digest = digest, places = {}, firsts = {}, ways = {}, costs = {} }
  local functions, at = unpack("<I4", kinds)
  local count = 0
  for i = 1, functions do
    local first, last, own
    first, last, own, at = unpack("<I4I4I4", kinds, at)
    file.places[i] = pack("<s4s4I4I4", name, digest, first, last)
    file.firsts[i] = count + 1
    count = count + own
  end
  file.firsts[functions + 1] = count + 1
  for i = 1, count do
    local way = sub(kinds, at, at + 7)
    file.ways[i] = unpack("<I4", way, 5) > 0 and way or false
    file.costs[i], at = unpack("<I4", kinds, at + 8)
    counters[i] = 0
  end
  file_of[counters] = file
  return file
end

-- The function of some code that counts, with its counters.
local function counting(file, code, env)
  local f = load(code, "=code", "b")
  setupvalue(f, 1, env)
  setupvalue(f, getinfo(f, "u").nups, file.counters)
  return f
end

-- The function to use in place of one that compiled code came to.
local function note_code(code, name, f)
  if given and name == "=code" then
    local _, env = getupvalue(f, 1)
    f = counting(given_file, H.make_counting(given_code, code), env)
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
  if files[key] or count_files < TEXTS then code, kinds = H.make_counting(original) end
  if not code then
    left_out = 1
    return f
  end
  if not files[key] then
    count_files = count_files + 1
    files[key] = read_file({ name = name, digest = digest, kinds = kinds }, name, digest, kinds)
  end
  local _, env = getupvalue(f, 1)
  given_code, given_file = original, files[key]
  given = counting(given_file, code, env)
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
    if name == NAMELESS and not file_of[counters] then
      local file = read_file(counters, counters.name, counters.digest, counters.kinds)
      files[file.source .. "\0" .. file.digest] = file
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
  for _, file in next, files do
    local counters = file.counters
    for i = 1, #file.costs do
      if counters[i] ~= 0 then counters[i] = 0 end
    end
  end
end)

-- Instructions that counting took.
local counted = aside(function()
  local own = 0
  for _, file in next, files do
    local counters, costs = file.counters, file.costs
    for i = 1, #costs do own = own + counters[i] * costs[i] end
  end
  return own
end)

-- Before a message.
function H.watch_message()
  steps, left_out = 0, 0
  begin()
  local co = running()
  touched, count_touched = { [co] = true }, 1
  attach(co)
end

-- Behind it: how many instructions it took.
function H.watched_steps()
  local taken = read_counters()
  sethook((running()))
  return taken - counted()
end

local shown = setmetatable({}, weak)  -- record of a handler → the function that was told of

local function put_handler(out, name, f)
  local info = getinfo(f, "Su")
  local _, counters = getupvalue(f, info.nups)
  local file = file_of[counters]
  if not file then return end
  local place = pack("<s4s4I4I4", file.source, file.digest, info.linedefined, info.lastlinedefined)
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

-- What ran in a function of a file, "" for nothing.
local function put_function(file, i)
  local parts, counters, ways = {}, file.counters, file.ways
  for at = file.firsts[i], file.firsts[i + 1] - 1 do
    local times = ways[at] and counters[at] or 0
    if times > 0 then parts[#parts + 1] = ways[at] .. pack("<I8", times) end
  end
  return parts[1] and file.places[i] .. pack("<I4", #parts) .. concat(parts) or ""
end

-- The lines of the message: a count and that many codes, each with a count and that many jumps; a
-- count and that many handlers; whether something was left out. "" where there is nothing.
function H.watched_lines()
  local out, handlers, size = {}, {}, 0
  for _, file in next, files do
    for i = 1, #file.places do
      local text = size < TOLD and put_function(file, i) or ""
      size = size + #text
      if size >= TOLD then left_out = 1 end
      if text ~= "" then out[#out + 1] = text end
    end
  end
  put_handlers(handlers)
  if not out[1] and not handlers[1] and left_out == 0 then return "" end
  return concat { pack("<I4", #out), concat(out), pack("<I4", #handlers), concat(handlers), pack("<I4", left_out) }
end
