-- Serial numbers in the place of addresses. An object is numbered when its address would first be
-- seen: by tostring, or as a key in a traversal.
--
-- Lua does not tell which of several keys came first. Unnumbered ones of one table are told apart
-- by what they and their values look like; twins that look the same, by the way on which the
-- running code can get at them. What is left then is known to that table alone.
local H = ...
local raw = H.raw
local rawnext, rawget, type, ipairs = raw.next, raw.rawget, raw.type, raw.ipairs
local getmetatable, setmetatable = raw.debug.getmetatable, raw.setmetatable
local rawsort, concat = raw.table.sort, raw.table.concat
local format, rawtostring, huge = raw.string.format, raw.tostring, raw.math.huge
local getinfo, getupvalue, getlocal = raw.debug.getinfo, raw.debug.getupvalue, raw.debug.getlocal
local status, running = raw.coroutine.status, raw.coroutine.running

local serials = setmetatable({}, { __mode = "k" })
H.serials = serials
H.last_serial = 0

local function serial(object)
  local number = serials[object]
  if not number then
    number = H.last_serial + 1
    H.last_serial = number
    serials[object] = number
  end
  return number
end
H.serial = serial

local globals = _G
local scalar = { ["nil"] = true, boolean = true, number = true, string = true }

local function is_host(f)
  return getinfo(f, "S").source == "=host"
end

-- Looks ----------------------------------------------------------------------------------------

local DEPTH, WIDTH = 3, 100

local describe
local function describe_table(t, depth)
  local parts = {}
  for key, value in rawnext, t do
    if #parts == WIDTH then return "{…}" end
    parts[#parts + 1] = describe(key, depth - 1) .. "=" .. describe(value, depth - 1)
  end
  rawsort(parts)
  return "{" .. concat(parts, ",") .. "}"
end

local function describe_function(f, depth)
  local info = getinfo(f, "S")
  local parts = { "function " .. info.source .. ":" .. info.linedefined }
  for index = 1, 255 do
    local name, upvalue = getupvalue(f, index)
    if not name then break end
    parts[#parts + 1] = name == "_ENV" and name or describe(upvalue, depth - 1)
  end
  return concat(parts, " ")
end

-- What can be said of a value without an address, to some depth.
function describe(value, depth)
  local kind = type(value)
  if kind == "string" then return format("%q", value) end
  if scalar[kind] then return rawtostring(value) end
  if serials[value] then return "#" .. serials[value] end
  if depth == 0 then return kind end
  if kind == "table" then return describe_table(value, depth) end
  if kind == "function" then return describe_function(value, depth) end
  return "thread " .. status(value)
end

-- Ways -----------------------------------------------------------------------------------------

-- Objects that a search may pass, and calls of a stack: going on would cost more than it is worth.
local FAR, DEEP = 20000, 100

local function before(a, b)
  if type(a) ~= type(b) then return type(a) < type(b) end
  if type(a) == "boolean" then return not a and b end
  return a < b
end

-- Values of plain keys in key order, then numbered keys and their values. What stands under an
-- unnumbered key has no place.
local function visit_table(t, see)
  local plain, numbered = {}, {}
  for key in rawnext, t do
    if scalar[type(key)] then plain[#plain + 1] = key
    elseif serials[key] then numbered[#numbered + 1] = key end
  end
  rawsort(plain, before)
  rawsort(numbered, function(a, b) return serials[a] < serials[b] end)
  see(getmetatable(t))
  for _, key in ipairs(plain) do see(rawget(t, key)) end
  for _, key in ipairs(numbered) do
    see(key)
    see(rawget(t, key))
  end
end

-- The host's closures that user code holds keep one thing of the user's: a wrapped coroutine.
local function visit_function(f, see)
  local of_host = is_host(f)
  for index = 1, 255 do
    local name, value = getupvalue(f, index)
    if not name then break end
    if not of_host or type(value) == "thread" then see(value) end
  end
end

-- A dead coroutine keeps the stack that it died on; a checkpoint does not.
local function visit_stack(co, see)
  if status(co) == "dead" then return end
  for level = 0, DEEP do
    local info = getinfo(co, level, "Sf")
    if not info then break end
    if info.source ~= "=host" then
      see(info.func)
      for _, step in ipairs { 1, -1 } do
        local index = step
        while true do
          local name, value = getlocal(co, level, index)
          if not name then break end
          see(value)
          index = index + step
        end
      end
    end
  end
end

-- Which place each of `wanted` (object → true, `missing` of them) has in a walk, breadth first,
-- from the running code and the globals. Environment functions are passed by: what they hold
-- of the user's, the environment's tables hold too.
local function places(wanted, missing)
  local queue, place = {}, {}
  local function see(value)
    if scalar[type(value)] or place[value] or H.fresh_function(value) then return end
    queue[#queue + 1] = value
    place[value] = #queue
    if wanted[value] then missing = missing - 1 end
  end
  see((running()))
  see(globals)
  see(H.process)
  local i = 0
  while missing > 0 and i < #queue and i < FAR do
    i = i + 1
    local object = queue[i]
    local kind = type(object)
    if kind == "table" then visit_table(object, see)
    elseif kind == "function" then visit_function(object, see)
    elseif kind == "thread" then visit_stack(object, see) end
  end
  return place
end

-- Numbers ----------------------------------------------------------------------------------------

-- Sort entries {object, looks}; false if some of them look the same.
local function sort_by_looks(entries)
  rawsort(entries, function(a, b) return a[2] < b[2] end)
  for i = 2, #entries do
    if entries[i][2] == entries[i - 1][2] then return false end
  end
  return true
end

local function sort_twins(entries)
  local wanted = {}
  for _, entry in ipairs(entries) do wanted[entry[1]] = true end
  local place = places(wanted, #entries)
  rawsort(entries, function(a, b)
    if a[2] ~= b[2] then return a[2] < b[2] end
    return (place[a[1]] or huge) < (place[b[1]] or huge)
  end)
end

-- Number those keys of t that have no number yet.
function H.number_keys(t, keys)
  local unseen = {}
  for _, key in ipairs(keys) do
    if not serials[key] then unseen[#unseen + 1] = { key } end
  end
  if #unseen > 1 then
    for _, entry in ipairs(unseen) do
      entry[2] = describe(entry[1], DEPTH) .. "\0" .. describe(rawget(t, entry[1]), DEPTH)
    end
    if not sort_by_looks(unseen) then sort_twins(unseen) end
  end
  for _, entry in ipairs(unseen) do serial(entry[1]) end
end
