-- Two changes to compiled code that cannot be written in Lua (Lua 5.3 lundump.c, lopcodes.h).
--
-- Calls in place of tail calls. A function that stands here for one of the core's is Lua, and a tail
-- call of it would replace the caller's frame: an error in `return string.format("%d", x)` would
-- have no place. A main chunk runs once, so none of its calls needs to be a tail call. Elsewhere only
-- calls that name such a function are changed, so that endless tail recursion still works.
--
-- Results passed on without a copy. `return check(pcall(f))` copies what f returns, and values that
-- fill the stack once do not fit onto it twice.
local H = ...
local raw = H.raw
local byte, char, sub, find = raw.string.byte, raw.string.char, raw.string.sub, raw.string.find
local pack, unpack_from, dump = raw.string.pack, raw.string.unpack, raw.string.dump
local concat, load, ipairs = raw.table.concat, raw.load, raw.ipairs
local gmatch = raw.string.gmatch

local HEADER = 4 + 1 + 1 + 6 + 5 + 8 + 8  -- signature … a float; one byte of upvalue count follows
local MOVE, GETTABUP, GETTABLE, SELF, CALL, TAILCALL, RETURN = 0, 6, 7, 12, 36, 37, 38
-- Dumps are read with fixed sizes: 4 bytes for an int or instruction, 8 for others, little-endian.
local FORMAT = "\27Lua\x53\0\x19\x93\r\n\x1a\n" .. char(4, 8, 4, 8, 8) .. pack("<i8d", 0x5678, 370.5)
if sub(dump(load("")), 1, HEADER) ~= FORMAT then
  raw.error("this build of Lua writes compiled code in another form than aoshell reads", 0)
end
local SHORT, LONG, BOOLEAN, FLOAT, INTEGER = 4, 20, 1, 3, 19  -- kinds of constants

-- A string, nil if it was stripped, and where the next item begins.
local function read_string(code, at)
  local size = byte(code, at)
  at = at + 1
  if size == 0xFF then size, at = unpack_from("<I8", code, at) end
  if size == 0 then return nil, at end
  return sub(code, at, at + size - 2), at + size - 1
end

local function read_constants(code, at)
  local count, constants = nil, {}
  count, at = unpack_from("<I4", code, at)
  for i = 0, count - 1 do
    local kind = byte(code, at)
    at = at + 1
    if kind == SHORT or kind == LONG then constants[i], at = read_string(code, at)
    elseif kind == BOOLEAN then at = at + 1
    elseif kind == FLOAT or kind == INTEGER then at = at + 8 end
  end
  return constants, at
end

local function skip_debug(code, at)
  local count
  count, at = unpack_from("<I4", code, at)
  count, at = unpack_from("<I4", code, at + 4 * count)
  for _ = 1, count do
    _, at = read_string(code, at)
    at = at + 8
  end
  count, at = unpack_from("<I4", code, at)
  for _ = 1, count do _, at = read_string(code, at) end
  return at
end

-- Call visit(code, start, count, constants, depth) for each function in a dump, the outer ones first.
local function each_function(code, at, depth, visit)
  local _, count
  _, at = read_string(code, at)
  at = at + 4 + 4 + 3
  count, at = unpack_from("<I4", code, at)
  local start, constants = at, nil
  constants, at = read_constants(code, at + 4 * count)
  visit(code, start, count, constants, depth)
  count, at = unpack_from("<I4", code, at)
  count, at = unpack_from("<I4", code, at + 2 * count)
  for _ = 1, count do at = each_function(code, at, depth + 1, visit) end
  return skip_debug(code, at)
end

local function instruction(code, start, index)
  local word = unpack_from("<I4", code, start + 4 * index)
  return word & 63, word >> 6 & 255, word >> 23, word >> 14 & 511  -- opcode, A, B, C
end

-- The name by which a call found its function: a global's, a field's or a method's.
local function called_name(code, start, index, register, constants)
  for i = index - 1, 0, -1 do
    local op, a, _, c = instruction(code, start, i)
    if a == register and (op == GETTABUP or op == GETTABLE or op == SELF) then
      return c >= 256 and constants[c - 256] or nil
    end
    if a == register and op <= 5 then return nil end  -- a local or an upvalue
  end
end

-- Functions that stand for the core's, and those of the environment that report a script's mistakes.
local NAMED = {}
H.stands_for_core = NAMED
for name in gmatch([[date format getenv getinfo load next pairs pcall require resume setmetatable
    sort tostring traceback wrap xpcall Assign Receive Send Spawn assign forward receive reply send spawn]], "%a+") do
  NAMED[name] = true
end

-- The function of a text, as it was compiled or with calls in place of tail calls.
-- env: what `load` takes as its fourth argument, or nothing.
function H.calling(f, text, ...)
  if not find(text, "return", 1, true) then return f end
  local code, places = dump(f), {}
  each_function(code, HEADER + 2, 0, function(_, start, count, constants, depth)
    for i = 0, count - 1 do
      if byte(code, start + 4 * i) & 63 == TAILCALL then
        local _, a = instruction(code, start, i)
        if depth == 0 or NAMED[called_name(code, start, i, a, constants)] then
          places[#places + 1] = start + 4 * i
        end
      end
    end
  end)
  if not places[1] then return f end
  local parts, from = {}, 1
  for _, at in ipairs(places) do
    parts[#parts + 1] = sub(code, from, at - 1)
    parts[#parts + 1] = char(byte(code, at) - TAILCALL + CALL)
    from = at + 1
  end
  parts[#parts + 1] = sub(code, from)
  return load(concat(parts), "=code", "b", ...)
end

-- Compiles a text that makes a function of its arguments. The function holds one
--   local ok, value = call(...)
--   if ok then return ok, value end   -- or: return value
-- with all results of the call in place of `value`.
function H.passing(text)
  local code = dump(load(text, "=host", "t"))
  local changed = {}
  each_function(code, HEADER + 2, 0, function(_, start, count, _, depth)
    if depth ~= 1 then return end
    for i = 0, count - 1 do
      local op, a, b, c = instruction(code, start, i)
      if op == CALL and c == 3 then
        changed[start + 4 * i] = CALL | a << 6 | b << 23
        local first = instruction(code, start, i + 3)  -- behind TEST and JMP
        changed[start + 4 * (i + 3)] = RETURN | (first == MOVE and a or a + 1) << 6
      end
    end
  end)
  for at, word in raw.next, changed do code = sub(code, 1, at - 1) .. pack("<I4", word) .. sub(code, at + 4) end
  return load(code, "=host", "b")
end
