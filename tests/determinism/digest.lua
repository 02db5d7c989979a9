-- All that can be told of a state, as text: what the environment and the host can reach, walked
-- raw and in an order that does not depend on addresses. Objects are numbered as the walk meets
-- them, so that sharing shows; but closures of the same code and the same variables count as one,
-- since the core leaves it to chance whether they are.
local H = ...
local raw = H.raw
local rawnext, rawget, rawlen, type = raw.next, raw.rawget, raw.rawlen, raw.type
local getmetatable, getupvalue, upvalueid = raw.debug.getmetatable, raw.debug.getupvalue, raw.debug.upvalueid
local getinfo, status, rawtostring = raw.debug.getinfo, raw.coroutine.status, raw.tostring
local format, concat, sort, math_type = raw.string.format, raw.table.concat, raw.table.sort, raw.math.type
local dump, serials = raw.string.dump, H.serials

local lines, queue, numbers, cells = {}, {}, {}, {}
local cell_count = 0

local function is_foreign(f)
  local info = getinfo(f, "S")
  return info.source == "=host" or info.what == "C"
end

local function cell_of(f, index)
  local id = upvalueid(f, index)
  if not cells[id] then
    cell_count = cell_count + 1
    cells[id] = cell_count
  end
  return cells[id]
end

local function identity_of(f)
  if is_foreign(f) then return f end
  local parts = { dump(f), serials[f] or 0 }
  for index = 1, getinfo(f, "u").nups do parts[index + 2] = cell_of(f, index) end
  return concat(parts, " ")
end

local function show(value)
  local kind = type(value)
  if kind == "string" then return format("%q", value) end
  if kind == "number" then return math_type(value) .. " " .. format("%.17g", value) end
  if kind == "nil" or kind == "boolean" then return rawtostring(value) end
  local identity = kind == "function" and identity_of(value) or value
  if not numbers[identity] then
    queue[#queue + 1] = value
    numbers[identity] = #queue
  end
  return kind .. " " .. numbers[identity]
end

local rank = { number = 1, string = 2, boolean = 3 }

local function keys_in_order(t)
  local plain, objects = {}, {}
  for key in rawnext, t do
    local list = rank[type(key)] and plain or objects
    list[#list + 1] = key
  end
  sort(plain, function(a, b)
    local x, y = rank[type(a)], rank[type(b)]
    if x ~= y then return x < y end
    if x == 3 then return not a and b end
    return a < b
  end)
  -- Keys without a serial have never been seen: what they are and hold must do.
  local names = {}
  for _, key in raw.ipairs(objects) do
    local value = rawget(t, key)
    names[key] = format("%012d %s %s", serials[key] or 0, type(key),
      rank[type(value)] and rawtostring(value) or type(value))
  end
  sort(objects, function(a, b) return names[a] < names[b] end)
  for _, key in raw.ipairs(objects) do plain[#plain + 1] = key end
  return plain
end

local function put(...) lines[#lines + 1] = concat({ ... }, " ") end

local function walk_table(t)
  put("length", rawlen(t), "meta", show(getmetatable(t)))
  for _, key in raw.ipairs(keys_in_order(t)) do put(" ", show(key), "=", show(rawget(t, key))) end
end

local function walk_function(f)
  local info = getinfo(f, "S")
  put(info.source, info.linedefined)
  if is_foreign(f) then return end
  for index = 1, 255 do
    local name, value = getupvalue(f, index)
    if not name then break end
    put(" ", name, "cell", cell_of(f, index), show(value))
  end
end

local library = rawget(_G, "package")
put(show(_G), show(type(library) == "table" and rawget(library, "loaded")), show(H.process), show(H.env), H.last_serial)
local done = 0
while done < #queue do
  done = done + 1
  local object = queue[done]
  local kind = type(object)
  put("#" .. done, kind, "serial", serials[object] or 0)
  if kind == "table" then walk_table(object)
  elseif kind == "function" then walk_function(object)
  elseif kind == "thread" then put(status(object)) end
end
return concat(lines, "\n")
