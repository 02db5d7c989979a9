-- For tests only: counts the instructions of a message, and notes which lines of which files ran.
-- Runs before all other chunks, so that no coroutine and no protected call escapes it. What it puts
-- in the place of the core's functions belongs to the host; scripts can neither see nor remove a hook.
--
-- Instructions: each coroutine has the interpreter's own counter, set so high that its hook
-- never comes in practice; what is left of it is read behind the message (aoshell.sandbox.watch).
--
-- Lines: calls, returns and lines reach a hook. It runs in a coroutine of its own, so that none of
-- its instructions counts as the guest's. An error leaves functions without a return: the handler of
-- each protected call says so, and the hook then looks how deep the stack still is.
local H = ...
local sethook, getinfo, getupvalue = debug.sethook, debug.getinfo, debug.getupvalue
local resume, wrap, yield, running =
  coroutine.resume, coroutine.wrap, coroutine.yield, coroutine.running
local load, pcall, xpcall, next, type, select, tostring =
  load, pcall, xpcall, next, type, select, tostring
local rawget, rawlen, setmetatable = rawget, rawlen, setmetatable
local byte, find, sub, pack, unpack, concat = string.byte, string.find, string.sub, string.pack, string.unpack, table.concat

local MOST = 0x7FFFFFFF  -- what a counter begins with
local BATCH = 1000  -- coroutines whose counters are kept before they are read
local CODES, TEXTS, NAME = 20000, 5000, 500  -- functions and chunks that are told apart; bytes of a name
local HANDLERS = 2000  -- of a process that are looked at
local TOLD = 8 << 20  -- bytes of what is told of one message

local weak = { __mode = "k" }
local watching, lines = false, false
local left_out = 0  -- 1 where a bound was reached

-- What is done aside runs in a coroutine of its own: for who calls, it is a function of the core.
-- It fails where no memory is left, and then the message does.
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
-- A function tells the name of its chunk only, which any text may be given. The main function of a
-- text is known by itself. Those inside it are of the one text with this name that has functions.

local mains = setmetatable({}, weak)  -- main function → digest of its text
local texts, count_texts = {}, 0  -- name → digest of the text that has functions; "" where several have
local given  -- digest of the text that was compiled last: the host may change the code and load that

local note_text = aside(function(text, name, f)
  if not lines or type(text) ~= "string" then return end
  if byte(text) == 27 then  -- compiled code
    mains[f], given = given, nil
    return
  end
  given = nil
  if type(name) ~= "string" or sub(name, 1, 1) ~= "@" or #name > NAME then return end
  if H.sources and H.sources[sub(name, 2)] then return end
  local digest = H.text_digest(text)
  mains[f], given = digest, digest
  if not find(text, "function", 1, true) then return end
  local known = texts[name]
  if known == nil then
    if count_texts == TEXTS then
      left_out = 1
      return
    end
    count_texts = count_texts + 1
  end
  texts[name] = (known == nil or known == digest) and digest or ""
end)

local function noted(text, name, f, ...)
  if f and watching then note_text(text, name, f) end
  return f, ...
end

function _G.load(text, name, ...)
  return noted(text, name, load(text, name, ...))
end

local code_of = setmetatable({}, weak)  -- function → its code, false where it is of no file
local codes, count_codes = {}, 0  -- the same by place

local function find_code(f)
  local info = getinfo(f, "S")
  local source = info.source
  if sub(source, 1, 1) ~= "@" or #source > NAME or H.sources[sub(source, 2)] then return false end
  local digest = mains[f]
  if not digest then digest = info.what ~= "main" and texts[source] or "" end
  local key = source .. "\0" .. digest .. "\0" .. info.linedefined .. ":" .. info.lastlinedefined
  local code = codes[key]
  if not code then
    if count_codes == CODES then
      left_out = 1
      return false
    end
    count_codes = count_codes + 1
    code = {
      place = pack("<s4s4I4I4", source, digest, info.linedefined, info.lastlinedefined),
      jumps = {},  -- line it came from, 0 for none << 32 | line → how often
    }
    codes[key] = code
  end
  return code
end

local function code_for(f)
  local code = code_of[f]
  if code == nil then
    code = find_code(f)
    code_of[f] = code
  end
  return code
end

-- The hook --------------------------------------------------------------------------------------
-- What it does by way of `aside` runs in a coroutine of its own, so each way through it takes the
-- same number of instructions each time. They are taken off those of the message; a test compares
-- the counts with and without lines.

local CALLED, RETURNED, REPLACED, FOREIGN, NEW, SEEN, FIRST, WHOLE, CUT = 23, 20, 15, 13, 21, 22, 8, 11, 20
local UNKNOWN = {}  -- in place of the counts of a function that has not begun a line
local lost = false  -- an error was raised: functions may have ended without a return
local own = 0  -- instructions of hooks in this message

-- The counts of the function that a hook was called for; level 0 of the stack is `identify` itself,
-- level 1 the hook.
local identify = aside(function(co)
  local code = code_for(getinfo(co, 2, "f").func)
  return code and code.jumps
end)

-- How many frames a stack has, `most` at the most, from level `from` on.
local function depth(co, from, most)
  local low, high = from - 1, from + most
  while low + 1 < high do
    local middle = (low + high) // 2
    if getinfo(co, middle, "l") then low = middle else high = middle end
  end
  return low - from + 1
end

-- How many of `deep` frames above `below` others are left; the second result: whether it is all.
local recover = aside(function(co, below, deep)
  if getinfo(co, below + deep + 1, "l") then return deep, true end
  return depth(co, 2, below + deep) - below, false
end)

-- Follow one coroutine. `below`: its frames when that begins; `deep`: those that came since.
-- For each frame: the counts of its code (false: of no file), and its last line.
local function follow(co, below, deep)
  local jumps, last, all, lasts = false, 0, {}, {}
  return function(event, line)
    if lost then
      local left, whole = recover(co, below, deep)
      if whole then
        own = own + WHOLE
      else
        jumps, last, deep, lost = all[left + 1], lasts[left + 1], left, false
        own = own + CUT
      end
    end
    if event == "line" then
      if jumps == UNKNOWN then
        jumps = identify(co)
        own = own + FIRST
      end
      if not jumps then
        own = own + FOREIGN
        return
      end
      local jump = last << 32 | line
      local times = jumps[jump]
      last = line
      if times then
        jumps[jump] = times + 1
        own = own + SEEN
      else
        jumps[jump] = 1
        own = own + NEW
      end
    elseif event == "call" then
      deep = deep + 1
      all[deep], lasts[deep] = jumps, last
      jumps, last = UNKNOWN, 0
      own = own + CALLED
    elseif event == "return" then
      jumps, last = all[deep], lasts[deep]
      deep = deep - 1
      own = own + RETURNED
    elseif event == "tail call" then
      jumps, last = UNKNOWN, 0
      own = own + REPLACED
    end
  end
end

local function nothing() end

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
  return steps - own
end)

local function touch(co)
  if touched[co] then return end
  if count_touched == BATCH then read_counters() end
  touched[co] = true
  count_touched = count_touched + 1
end

local attach = aside(function(co, below, deep)
  left[co] = MOST
  if lines then
    sethook(co, follow(co, below, deep), "crl", MOST)
  else
    sethook(co, nothing, "", MOST)
  end
end)

-- A coroutine begins with its first `resume`, so `create` need not be replaced.
function coroutine.resume(co, ...)
  if watching and type(co) == "thread" then
    if not left[co] then attach(co, 0, 0) end
    touch(co)
  end
  return resume(co, ...)
end

-- Protected calls -------------------------------------------------------------------------------

local function raised(err)
  lost = lines
  return err
end

function _G.pcall(f, ...)
  return xpcall(f, raised, ...)
end

function _G.xpcall(f, handler, ...)
  if type(handler) ~= "function" then return xpcall(f, handler, ...) end
  return xpcall(f, function(err)
    lost = lines
    return handler(err)
  end, ...)
end

-- Messages --------------------------------------------------------------------------------------

-- Watch from now on. with_lines: note lines too.
function H.watch(with_lines)
  watching, lines = true, with_lines
end

local function forget()
  for _, code in next, codes do
    local jumps = code.jumps
    for jump in next, jumps do jumps[jump] = nil end
  end
end

-- How many frames the coroutine has that asks; level 0 of its stack is `frames` itself.
local frames = aside(function(co) return depth(co, 1, 100) end)

-- Before a message.
function H.watch_message()
  steps, lost, own, left_out = 0, false, 0, 0
  forget()
  local co = running()
  touched, count_touched = { [co] = true }, 1
  attach(co, frames(co), 1)  -- on top of them is `attach` itself
end

-- Behind it: how many instructions it took.
function H.watched_steps()
  local taken = read_counters()
  sethook((running()))
  return taken
end

local shown = setmetatable({}, weak)  -- record of a handler → the function that was told of

local function put_handler(out, name, f)
  local code = code_for(f)
  if code then out[#out + 1] = pack("<s4", sub(name, 1, NAME)) .. code.place end
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

-- What ran in a function, "" for nothing.
local function put_code(code)
  local parts = {}
  for jump, times in next, code.jumps do
    parts[#parts + 1] = pack("<I4I4I8", jump >> 32, jump & 0xFFFFFFFF, times)
  end
  return parts[1] and code.place .. pack("<I4", #parts) .. concat(parts) or ""
end

-- The lines of the message: a count and that many codes, each with a count and that many jumps; a
-- count and that many handlers; whether something was left out. "" where there is nothing.
function H.watched_lines()
  local out, handlers, size = {}, {}, 0
  for _, code in next, codes do
    local text = size < TOLD and put_code(code) or ""
    size = size + #text
    if size >= TOLD then left_out = 1 end
    if text ~= "" then out[#out + 1] = text end
  end
  put_handlers(handlers)
  if not out[1] and not handlers[1] and left_out == 0 then return "" end
  return concat { pack("<I4", #out), concat(out), pack("<I4", #handlers), concat(handlers), pack("<I4", left_out) }
end
