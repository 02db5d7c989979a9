-- What the device's Lua (luerl) lacks of Lua 5.3, in Lua: the environment and scripts need it.
local type = type

-- pcall gives a text for whatever was raised, and assert one with a `!` at its end: here the value
-- that was raised comes back, as in Lua.
if type(select(2, pcall(error, {}))) ~= "table" then
  local RAISED = "a value that is no text was raised"
  local raise, guarded, check, select = error, pcall, assert, select
  local raised

  function error(value, level)
    raised = nil
    if type(value) == "string" then return raise(value, level) end
    raised = { value = value }
    raise(RAISED, 0)
  end

  local function caught(ok, ...)
    local kept = raised
    raised = nil
    if ok or not kept or (...) ~= RAISED then return ok, ... end
    return false, kept.value
  end

  function pcall(...) return caught(guarded(...)) end

  function assert(...)
    if select("#", ...) == 0 then return check() end
    local value, reason = ...
    if value then return ... end
    error(select("#", ...) == 1 and "assertion failed!" or reason, 0)
  end
end

local pcall = pcall
local sub, unpack = string.sub, table.unpack
local byte, find, gsub = string.byte, string.find, string.gsub

if not pcall(function() return string.gmatch("a", "a")() end) then
  function string.gmatch(text, pattern)
    local at = 1
    return function()
      if at > #text + 1 then return nil end
      local found = { find(text, pattern, at) }
      local first, last = found[1], found[2]
      if not first then
        at = #text + 2
        return nil
      end
      at = last < first and first + 1 or last + 1
      if #found == 2 then return sub(text, first, last) end
      return unpack(found, 3)
    end
  end
end

-- There format loses backslashes of its text, encodes bytes beyond ASCII of it once more, and breaks
-- at a value with bytes that are no UTF-8. So it is left the numbers.
if string.format("\\d") ~= "\\d" then
  local format, char, rep = string.format, string.char, string.rep
  local number, text_of = tonumber, tostring

  local function padded(text, flags, width)
    local missing = (number(width) or 0) - #text
    if missing <= 0 then return text end
    local blank = rep(" ", missing)
    return find(flags, "-", 1, true) and text .. blank or blank .. text
  end

  local function control(one, digit)
    if one == "\n" then return one .. digit end
    local code = text_of(byte(one))
    return "\\" .. (digit == "" and code or sub("00" .. code, -3)) .. digit
  end

  local function quoted(value)
    if type(value) ~= "string" then return text_of(value) end
    local text = gsub(value, '["\\\n]', function(one) return "\\" .. one end)
    return '"' .. gsub(text, "(%c)(%d?)", control) .. '"'
  end

  local function shown(value)
    local text = text_of(value)
    if type(text) ~= "string" then error("'__tostring' must return a string", 0) end
    return text
  end

  function string.format(...)
    local text = ...
    if type(text) ~= "string" then return format(...) end
    local parts, at, count = {}, 1, 1
    while true do
      local first = find(text, "%", at, true)
      parts[#parts + 1] = sub(text, at, (first or #text + 1) - 1)
      if not first then return table.concat(parts) end
      local _, last, flags, width, dot, digits, kind =
        find(text, "^([-+ #0]*)(%d*)(%.?)(%d*)(.?)", first + 1)
      at = last + 1
      if kind == "%" then
        parts[#parts + 1] = "%"
      else
        count = count + 1
        if count > select("#", ...) then
          error("bad argument #" .. text_of(count) .. " to 'format' (no value)", 0)
        end
        local value = select(count, ...)
        if kind == "s" then
          local whole = shown(value)
          value = padded(dot == "" and whole or sub(whole, 1, number(digits) or 0), flags, width)
        elseif kind == "c" then
          value = padded(char(value), flags, width)
        elseif kind == "q" then
          value = quoted(value)
        else
          value = format(sub(text, first, last), value)
        end
        parts[#parts + 1] = value
      end
    end
  end
end

-- There each number that is read from a text is a float, so that amounts would be sent as "5.0".
if math.type(tonumber("4")) ~= "integer" then
  local read, to_integer, most = tonumber, math.tointeger, math.maxinteger

  -- As Lua 5.3 has it: beyond 64 bits it is a float.
  local function decimal(sign, digits)
    local value = 0
    for at = 1, #digits do value = value * 10 + (byte(digits, at) - 48) end
    if value > most then return nil end
    return sign == "-" and -value or value
  end

  function tonumber(value, ...)
    local found = read(value, ...)
    if not found or type(value) ~= "string" then return found end
    if select("#", ...) > 0 then return to_integer(found) or found end
    local _, _, sign, digits = find(value, "^%s*([-+]?)(%d+)%s*$")
    if digits then return #digits < 20 and decimal(sign, digits) or found end
    return find(value, "^%s*[-+]?0[xX]%x+%s*$") and to_integer(found) or found
  end
end

if not table.move then
  function table.move(from, first, last, at, to)
    to = to or from
    if at > first and to == from then
      for i = last - first, 0, -1 do to[at + i] = from[first + i] end
    else
      for i = 0, last - first do to[at + i] = from[first + i] end
    end
    return to
  end
end

if not xpcall then
  function xpcall(f, handler, ...)
    local results = { pcall(f, ...) }
    if results[1] then return unpack(results) end
    return false, handler(results[2])
  end
end

debug = debug or {}
debug.traceback = debug.traceback or function(text) return tostring(text or "") end

-- The device reads code as Latin-1 and makes two bytes of each one beyond ASCII. Written as escapes
-- they stay what they are; long strings, which know no escapes, become quoted ones.
local BEYOND = "[\128-\255]"

local function escaped(char) return "\\" .. sub("00" .. byte(char), -3) end

-- The end of the quoted string, comment or long string that begins at a place of the text.
local function end_of(text, first)
  local quote = sub(text, first, first)
  if quote ~= "-" and quote ~= "[" then
    local at = first + 1
    while true do
      local last = find(text, "[\\\n" .. quote .. "]", at)
      if not last then return #text end
      if sub(text, last, last) ~= "\\" then return last end
      at = last + 2
    end
  end
  local _, from, level = find(text, quote == "-" and "^%-%-%[(=*)%[" or "^%[(=*)%[", first)
  if from then
    local _, last = find(text, "]" .. level .. "]", from + 1, true)
    return last or #text, from, level
  end
  if quote == "-" and sub(text, first + 1, first + 1) == "-" then
    return find(text, "\n", first, true) or #text
  end
  return first
end

local function quoted(text, first, last, level)
  local inside = sub(text, first + 1, last - #level - 2)
  inside = gsub(inside, "^\n", "")
  return '"' .. gsub(inside, '[%c"\\\128-\255]', escaped) .. '"'
end

local function in_ascii(text)
  if type(text) ~= "string" or not find(text, BEYOND) then return text end
  local parts, at = {}, 1
  while true do
    local first = find(text, "[\"'%[%-]", at)
    if not first then break end
    local last, from, level = end_of(text, first)
    local part = sub(text, first, last)
    if find(part, BEYOND) then
      if sub(part, 1, 1) == "-" then
        part = gsub(part, BEYOND, "?")
      else
        part = from and quoted(text, from, last, level) or gsub(part, BEYOND, escaped)
      end
    end
    parts[#parts + 1] = sub(text, at, first - 1)
    parts[#parts + 1] = part
    at = last + 1
  end
  parts[#parts + 1] = sub(text, at)
  return table.concat(parts)
end

-- The compiler of luerl breaks at these, where nothing can catch it: the message that brings such
-- code would stop the process for good.
local NO_JUMPS = "lua@5.3a cannot compile goto and labels: use if, or a function with return"

local function jumps(code)
  return find(code, "::", 1, true) or find(" " .. code .. " ", "[^%w_]goto[^%w_]")
end

local function has_jumps(text)
  if type(text) ~= "string" or not jumps(text) then return false end
  local at = 1
  while true do
    local first = find(text, "[\"'%[%-]", at)
    if jumps(sub(text, at, (first or #text + 1) - 1)) then return true end
    if not first then return false end
    at = end_of(text, first) + 1
  end
end

local load_code = load
function load(chunk, ...)
  if has_jumps(chunk) then return nil, NO_JUMPS end
  return load_code(in_ascii(chunk), ...)
end
