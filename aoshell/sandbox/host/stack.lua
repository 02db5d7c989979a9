-- The stack as a script may see it: its own frames, and the core's functions where plain Lua has
-- them. A function of the host appears as the core's that it stands for; those of the environment do
-- not appear. Errors that name a place of ours get the script's place instead.
local H = ...
local raw = H.raw
local type, rawnext, tointeger = raw.type, raw.next, raw.math.tointeger
local getinfo, concat = raw.debug.getinfo, raw.table.concat
local find, gsub, match, sub = raw.string.find, raw.string.gsub, raw.string.match, raw.string.sub
local sources, loaded = H.sources, package.loaded

-- Frames that are looked at from either end of a stack, which may hold 200,000. The nearest ones
-- are enough for most errors.
local EDGE, NEAREST = 100, 8

local hidden = raw.setmetatable({}, { __mode = "k" })  -- host functions that stand for nothing
H.hidden = hidden

local function is_environment(source)
  return sub(source, 1, 2) == "@." and sources[sub(source, 2)] ~= nil
end

-- Whether a function is the host's or the environment's, judged by its source in getinfo.
function H.is_ours(source)
  return source == "=host" or is_environment(source)
end

local function owner(info)
  if info.what == "C" then return "C" end
  if info.source == "=host" then return "host" end
  return is_environment(info.source) and "environment" or "script"
end

-- Frames --------------------------------------------------------------------------------------
-- co: a coroutine that does not run; nil for the running one, where level 1 is the caller.

local function collect(co, level, count)
  local list = {}
  for i = 1, count do
    local info
    if co then info = getinfo(co, level + i - 1, "Slntf") else info = getinfo(level + i, "Slntf") end
    if not info then break end
    info.owner = owner(info)
    list[i] = info
  end
  return list
end

-- How many frames there are from `level` on.
local function depth(co, level)
  local low, high = level, level
  local function is(at)
    if co then return getinfo(co, at, "l") ~= nil end
    return getinfo(at + 2, "l") ~= nil
  end
  while is(high) do low, high = high, 2 * high + 1 end
  while low + 1 < high do
    local middle = (low + high) // 2
    if is(middle) then low = middle else high = middle end
  end
  return low - level + 1
end

-- The frames of a list that a script may see. `at`: a frame's place in the list, from 0 on;
-- `caller`: whose the frame below is.
local function seen(list)
  local found = {}
  for i = 1, #list do
    local info, below = list[i], list[i + 1]
    local caller = below and below.owner
    local is = info.owner
    if is ~= "script" then
      is = is ~= "environment" and caller ~= "host" and caller ~= "environment" and not hidden[info.func]
    end
    if is then
      info.at, info.caller = i - 1, caller
      found[#found + 1] = info
    end
  end
  return found
end

local function place_of(info)
  return info.currentline > 0 and info.short_src .. ":" .. info.currentline .. ": " or ""
end

-- Names ---------------------------------------------------------------------------------------

-- A function's name in the loaded libraries, the first in sorted order: plain Lua takes any.
local function library_name(f)
  local found
  for module, library in rawnext, loaded do
    if type(module) == "string" and type(library) == "table" then
      for key, value in rawnext, library do
        if value == f and type(key) == "string" then
          local name = module == "_G" and key or module .. "." .. key
          if not found or name < found then found = name end
        end
      end
    end
  end
  return found
end

local function call_name(info)
  -- Within the core's functions and ours, a call has no name.
  if info.caller ~= "script" or info.istailcall then return nil end
  return info.name
end

local function described(info)
  local library, name = library_name(info.func), call_name(info)
  if library then return "function '" .. library .. "'" end
  if name then return info.namewhat .. " '" .. name .. "'" end
  if info.owner ~= "script" then return "?" end
  if info.what == "main" then return "main chunk" end
  return "function <" .. info.short_src .. ":" .. info.linedefined .. ">"
end

-- Tracebacks ----------------------------------------------------------------------------------

local FIRST, LAST = 10, 11  -- frames shown of a stack that has more (Lua 5.3 lauxlib.c)

-- The stack from `level` on in the format of Lua, without the innermost `skip` frames that a script
-- may see.
function H.stack_text(co, level, skip)
  if not co then level = level + 1 end
  local top = collect(co, level, 2 * EDGE)
  local list = seen(top)
  if #top == 2 * EDGE then
    local bottom = depth(co, level) - EDGE
    local rest = bottom > 2 * EDGE and seen(collect(co, level + bottom, EDGE)) or {}
    for i = 1, #rest do list[#list + 1] = rest[i] end
  end
  local lines, shown = { "stack traceback:" }, #list - skip
  for i = 1, shown do
    if shown > FIRST + LAST and i == FIRST + 1 then lines[#lines + 1] = "..." end
    if shown <= FIRST + LAST or i <= FIRST or i > shown - LAST then
      local info = list[skip + i]
      local is_script = info.owner == "script"
      local line = is_script and info.currentline > 0 and info.currentline .. ":" or ""
      lines[#lines + 1] = (is_script and info.short_src or "[C]") .. ":" .. line .. " in " .. described(info)
      if is_script and info.istailcall then lines[#lines + 1] = "(...tail calls...)" end
    end
  end
  return concat(lines, "\n\t")
end

-- Errors --------------------------------------------------------------------------------------

-- The place of the innermost frame of a script, from the list's `from`-th on.
local function script_place(list, from)
  for i = from, #list do
    if list[i].owner == "script" then return place_of(list[i]) end
  end
  return ""
end

-- The place of the caller of frame `i` of all, as luaL_where(1) has it.
local function caller_place(all, i)
  local below = all[i + 1]
  if not below then return "" end
  if below.owner == "environment" then return script_place(all, i + 1) end
  return below.owner == "script" and place_of(below) or ""
end

-- An argument's number and the function's name, as luaL_argerror has them for frame `info`.
local function argument_error(info, number, what)
  local name = call_name(info) or library_name(info.func) or "?"
  if info.namewhat == "method" and call_name(info) then
    number = number - 1
    if number == 0 then return "calling '" .. name .. "' on bad self (" .. what .. ")" end
  end
  return "bad argument #" .. number .. " to '" .. name .. "' (" .. what .. ")"
end

-- The error of a function that stands for one of the core's; frame `i` of all is its own.
local function of_core(err, all, i)
  local place = caller_place(all, i)
  if all[i].func == H.relay then return place .. err end  -- somebody else's error
  local text = match(err, "^host:%d+: (.*)$")
  if not text then
    -- Errors that the host raises at a level have the caller's place already.
    local told = all[i + 1] and place_of(all[i + 1]) or ""
    text = sub(err, 1, #told) == told and sub(err, #told + 1) or err
  end
  -- The core adds no place within its own functions, and no names of variables.
  if find(text, "^attempt to ") then return (gsub(text, " %(%l+ '[^']*'%)$", "")) end
  local number, what = match(text, "^bad argument #(%d+) to '[^']*' %((.*)%)$")
  if number then
    all[i].caller = all[i + 1] and all[i + 1].owner
    text = argument_error(all[i], tointeger(number), what)
  end
  return place .. text
end

-- An error that begins with a place of ours: `error` has counted its level over hidden frames.
local function elsewhere(err, all, own)
  for i = 1, #all do
    if all[i].owner ~= "script" and place_of(all[i]) == own then
      local list, text = seen(all), sub(err, #own + 1)
      if all[i].owner == "environment" then return script_place(list, 1) .. text end
      local at = list[i]
      return (at and at.owner == "script" and place_of(at) or "") .. text
    end
  end
  return err
end

-- The frames that tell of an error, from `level` on. Below the environment's stands who called it.
local function told_by(co, level)
  if not co then level = level + 1 end
  local all = collect(co, level, NEAREST)
  for i = 1, #all do
    local is_deep = all[i].owner == "environment" or all[i].owner == "host" and i == NEAREST
    if is_deep then
      all = collect(co, level, EDGE)  -- no tail call: it would be a level less
      break
    end
  end
  return all
end

-- The error that was raised, with the script's place instead of one of ours.
-- co: the coroutine that died of it, or nil; level: of the function that raised it.
function H.told(err, co, level)
  if type(err) ~= "string" then return err end
  local own = match(err, "^host:%d+: ") or match(err, "^%.[%w._-]+:%d+: ")
  if not own then
    -- Most errors are a script's own: `error` or the core raised them, with no function of ours near.
    local raiser, below
    if co then raiser = getinfo(co, level, "l") else raiser = getinfo(level + 1, "l") end
    if not raiser or raiser.currentline >= 0 then return err end
    if co then below = getinfo(co, level + 1, "S") else below = getinfo(level + 2, "S") end
    if not below or below.source ~= "=host" then return err end
  end
  local all = told_by(co, co and level or level + 1)
  local i = all[1].owner == "C" and 2 or 1
  if all[i] and all[i].owner == "host" then
    while all[i + 1] and all[i + 1].owner == "host" do i = i + 1 end
    return of_core(err, all, i)
  end
  return own and elsewhere(err, all, own) or err
end
