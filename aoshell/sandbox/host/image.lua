-- The state of a runtime as a string, and back. It saves time only: the log is the truth.
--
-- What a fresh runtime holds (the environment's tables, functions and upvalue cells, the host's
-- functions) is numbered by the same walk in each. Functions are only referred to; tables are made
-- anew like any other, save the few that the host itself holds. Each gets its exact sizes back,
-- since `#` of a table with holes depends on them. A suspended coroutine cannot be saved: image()
-- says so.
--
-- An image is: counts; strings; an entry of each object, enough to make it; what the tables hold;
-- the env; what the cells hold. Functions of `string` are never called as methods: scripts may put
-- their own in their place.
local H = ...
local raw = H.raw
local rawnext, rawget, rawset, rawlen, type = raw.next, raw.rawget, raw.rawset, raw.rawlen, raw.type
local getmetatable, setmetatable = raw.debug.getmetatable, raw.debug.setmetatable
local getinfo, getupvalue, setupvalue = raw.debug.getinfo, raw.debug.getupvalue, raw.debug.setupvalue
local upvalueid, upvaluejoin = raw.debug.upvalueid, raw.debug.upvaluejoin
local pack, unpack_from, dump = raw.string.pack, raw.string.unpack, raw.string.dump
local byte, find, sub = raw.string.byte, raw.string.find, raw.string.sub
local concat, move, sort, unpack = raw.table.concat, raw.table.move, raw.table.sort, raw.table.unpack
local load, error, tostring, math_type = raw.load, raw.error, raw.tostring, raw.math.type
local status, create, resume = raw.coroutine.status, raw.coroutine.create, raw.coroutine.resume
local collectgarbage = raw.collectgarbage
local serials = H.serials

-- Fresh objects, numbered -----------------------------------------------------------------------
-- fresh[n] is an object; cells[n] an upvalue, named by a function that has it: {f, index}.

local fresh, number_of, cells, cell_of = {}, {}, {}, {}
local pinned = {}  -- tables that the host or the core refers to

local function is_foreign(f)
  local info = getinfo(f, "S")
  return info.source == "=host" or info.what == "C"
end

local function plain_keys(t)
  local keys = {}
  for key in rawnext, t do
    if type(key) == "string" or type(key) == "number" then keys[#keys + 1] = key end
  end
  sort(keys, function(a, b)
    if type(a) ~= type(b) then return type(a) == "number" end
    return a < b
  end)
  return keys
end

local function see(object)
  local kind = type(object)
  if (kind == "table" or kind == "function") and not number_of[object] then
    fresh[#fresh + 1] = object
    number_of[object] = #fresh
  end
end

local function see_upvalues(f)
  for u = 1, 255 do
    local name, value = getupvalue(f, u)
    if not name then break end
    local id = upvalueid(f, u)
    if not cell_of[id] then
      cells[#cells + 1] = { f, u }
      cell_of[id] = #cells
    end
    see(value)
  end
end

-- Called once, before the first message.
function H.mark_fresh()
  for _, root in raw.ipairs { _G, package.loaded, H.process, _G.string } do
    pinned[root] = true
    see(root)
  end
  for _, root in raw.ipairs(H.pinned or {}) do pinned[root] = true end
  local i = 0
  while i < #fresh do
    i = i + 1
    local object = fresh[i]
    if type(object) == "table" then
      see(getmetatable(object))
      local keys = plain_keys(object)
      for k = 1, #keys do see(rawget(object, keys[k])) end
    elseif not is_foreign(object) then
      see_upvalues(object)
    end
  end
end

function H.fresh_function(value)
  return type(value) == "function" and number_of[value] ~= nil
end

-- Sizes of tables ---------------------------------------------------------------------------------
-- A table's array part has a number of slots and its hash part 2^(k-1) nodes, none for k = 0.

local SIZE = 5  -- bytes per table in what H.sizes answers: <I4 slots, B k

local function sizes_of(tables)
  local addresses = {}
  for i = 1, #tables do
    -- A metatable may name or print the table otherwise: off while its address is read.
    local meta = getmetatable(tables[i])
    if meta then setmetatable(tables[i], nil) end
    addresses[i] = tostring(tables[i])
    if meta then setmetatable(tables[i], meta) end
  end
  return tables[1] and H.sizes(concat(addresses, "\n")) or ""
end

-- The "floating point byte" in which NEWTABLE gives sizes (Lua 5.3 lobject.c), nil where a size
-- has none.
local function size_byte(size)
  local exponent = 0
  while size >= 16 do
    if size & 1 == 1 then return nil end
    size, exponent = size >> 1, exponent + 1
  end
  return size < 8 and size or exponent + 1 << 3 | size - 8
end

-- The code of a constructor with other sizes in its first instruction, NEWTABLE 0 0 0.
local function constructor(text, slots, nodes)
  local code = dump(load(text), true)
  local at = find(code, pack("<I4", 11), 1, true)
  local instruction = 11 | nodes << 14 | slots << 23
  return load(sub(code, 1, at - 1) .. pack("<I4", instruction) .. sub(code, at + 4), "=sized", "b")
end

local ON_STACK = 200000  -- values that a call can surely take
local sized_by_call, sized_by_values, filler = {}, {}, {}

-- A table with exactly these sizes: its array part is all nil, or all false.
local function sized(slots, k)
  local nodes, exact = size_byte(k == 0 and 0 or 1 << k - 1), size_byte(slots)
  if exact then
    local id = exact << 8 | nodes
    sized_by_call[id] = sized_by_call[id] or constructor("return {}", exact, nodes)
    return sized_by_call[id]()
  end
  sized_by_values[nodes] = sized_by_values[nodes] or constructor("return {...}", 0, nodes)
  for i = #filler + 1, slots do filler[i] = false end
  return sized_by_values[nodes](unpack(filler, 1, slots))
end

-- Writing -----------------------------------------------------------------------------------------
-- A value: one byte of kind, then its content. References count the fresh objects first, then the
-- image's own in the order in which they are met.

local strings, string_ids, ids, queue, new_cells  -- of the image being written
local entries, contents

local function string_id(s)
  local id = string_ids[s]
  if not id then
    id = #strings + 1
    strings[id] = pack("<s4", s)
    string_ids[s] = id
  end
  return id
end

local function refer(object)
  local id = number_of[object] or ids[object]
  if not id then
    queue[#queue + 1] = object
    id = #fresh + #queue
    ids[object] = id
  end
  return id
end

local LONG = 40  -- strings up to here are unique in Lua, and likely to come again

local function value(v)
  local kind = type(v)
  if v == nil then return "n"
  elseif v == true then return "t"
  elseif v == false then return "f"
  elseif kind == "string" then
    if #v > LONG then return pack("<c1s4", "l", v) end
    return pack("<c1I4", "s", string_id(v))
  elseif math_type(v) == "integer" then return pack("<c1i8", "i", v)
  elseif kind == "number" then return pack("<c1d", "d", v) end
  return pack("<c1I4", "r", refer(v))
end

local function put_table(t, size)
  local slots, k = unpack_from("<I4B", size)
  if slots > ON_STACK and not size_byte(slots) then error("a table's size cannot be kept", 0) end
  local meta = getmetatable(t)
  entries[#entries + 1] = pack("<c1I4I4BI4", "T", serials[t] or 0, slots, k, meta and refer(meta) or 0)
  local put, n = contents, #contents
  for i = 1, slots do put[n + i] = value(rawget(t, i)) end
  n = n + slots
  for key, v in rawnext, t do
    if not (math_type(key) == "integer" and key >= 1 and key <= slots) then
      put[n + 1], put[n + 2] = value(key), value(v)
      n = n + 2
    end
  end
  put[n + 1] = pack("<c1i8", "n", rawlen(t))
end

local function cell_number(f, index)
  local id = upvalueid(f, index)
  local known = cell_of[id] or ids[id]
  if not known then
    new_cells[#new_cells + 1] = { f, index }
    known = #cells + #new_cells
    ids[id] = known
  end
  return known
end

local function put_function(f)
  if is_foreign(f) then error("a function of the host is part of the state", 0) end
  local count = getinfo(f, "u").nups
  local parts = { pack("<c1I4I4B", "F", serials[f] or 0, string_id(dump(f)), count) }
  for u = 1, count do parts[u + 1] = pack("<I4", cell_number(f, u)) end
  entries[#entries + 1] = concat(parts)
end

local function put_objects(objects)
  local tables = {}
  for i = 1, #objects do
    if type(objects[i]) == "table" then tables[#tables + 1] = objects[i] end
  end
  local sizes, at = sizes_of(tables), 1
  for i = 1, #objects do
    local object = objects[i]
    local kind = type(object)
    if kind == "table" then
      put_table(object, sub(sizes, at, at + SIZE - 1))
      at = at + SIZE
    elseif number_of[object] then
      entries[#entries + 1] = pack("<c1I4", "K", serials[object] or 0)
    elseif kind == "function" then
      put_function(object)
    elseif kind == "thread" then
      if status(object) ~= "dead" then error("a coroutine is suspended", 0) end
      entries[#entries + 1] = pack("<c1I4", "C", serials[object] or 0)
    else
      error("a " .. kind .. " is part of the state", 0)
    end
  end
end

local function cell_values(list, from)
  local parts = {}
  for i = from, #list do
    local _, v = getupvalue(list[i][1], list[i][2])
    parts[#parts + 1] = value(v)
  end
  return concat(parts)
end

-- Runs in a fork that ends with it: it may use memory and leave the collector off.
function H.image()
  collectgarbage("stop")
  strings, string_ids, ids, queue, new_cells, entries, contents = {}, {}, {}, {}, {}, {}, {}
  local env = value(H.env)
  local values = { cell_values(cells, 1) }
  put_objects(fresh)
  local objects_done, cells_done = 0, 0
  while objects_done < #queue or cells_done < #new_cells do
    local batch = move(queue, objects_done + 1, #queue, 1, {})
    objects_done = #queue
    put_objects(batch)
    values[#values + 1] = cell_values(new_cells, cells_done + 1)
    cells_done = #new_cells
  end
  return concat {
    pack("<I4I4I4I4I4I8", #fresh, #cells, #strings, #queue, #new_cells, H.last_serial),
    concat(strings), concat(entries), concat(contents), env, concat(values),
  }
end

-- Reading -----------------------------------------------------------------------------------------

local image, at, texts, objects  -- the image being read, and where
local tables  -- {table, slots, id of its metatable or 0} in the order of their contents
local owners  -- a cell's number → a function that has it, and its index there

local function read_value()
  local kind = byte(image, at)
  at = at + 1
  local v
  if kind == 110 then return nil  -- n
  elseif kind == 116 then return true  -- t
  elseif kind == 102 then return false  -- f
  elseif kind == 115 then v, at = unpack_from("<I4", image, at) return texts[v]  -- s
  elseif kind == 114 then v, at = unpack_from("<I4", image, at) return objects[v]  -- r
  elseif kind == 105 then v, at = unpack_from("<i8", image, at) return v  -- i
  elseif kind == 108 then v, at = unpack_from("<s4", image, at) return v  -- l
  elseif kind == 100 then v, at = unpack_from("<d", image, at) return v  -- d
  end
  error("damaged image", 0)
end

local function read_table(id)
  local serial, slots, k, meta
  serial, slots, k, meta, at = unpack_from("<I4I4BI4", image, at)
  local t = fresh[id]
  if pinned[t] then
    for key in rawnext, t do rawset(t, key, nil) end
  else
    t = sized(slots, k)
    if id <= #fresh then
      number_of[fresh[id]] = nil
      fresh[id], number_of[t] = t, id
    end
  end
  tables[#tables + 1] = { t, slots, meta }
  return t, serial
end

-- The first function that names a new cell owns it, the others join it.
local function read_function()
  local serial, code, count
  serial, code, count, at = unpack_from("<I4I4B", image, at)
  local f = load(texts[code], "=image", "b")
  for u = 1, count do
    local cell
    cell, at = unpack_from("<I4", image, at)
    local owner = owners[cell]
    if owner then upvaluejoin(f, u, owner[1], owner[2])
    else owners[cell] = { f, u } end
  end
  return f, serial
end

local function read_entry(id)
  local kind, object, serial = sub(image, at, at), nil, nil
  at = at + 1
  if kind == "T" then object, serial = read_table(id)
  elseif kind == "F" then object, serial = read_function()
  else
    serial, at = unpack_from("<I4", image, at)
    object = fresh[id]
    if kind == "C" then
      object = create(function() end)
      resume(object)
    end
  end
  if serial > 0 then serials[object] = serial end
  objects[id] = object
end

local function fill(t, slots)
  for i = 1, slots do rawset(t, i, read_value()) end
  while true do
    local key = read_value()
    if key == nil then break end
    rawset(t, key, read_value())
  end
  local length
  length, at = unpack_from("<i8", image, at)
  if rawlen(t) ~= length then error("a table's length cannot be kept", 0) end
end

function H.restore(text)
  collectgarbage("stop")  -- all but the image itself stays
  image, texts, objects, tables, owners = text, {}, {}, {}, move(cells, 1, #cells, 1, {})
  local fresh_count, cell_count, text_count, object_count, new_cell_count
  fresh_count, cell_count, text_count, object_count, new_cell_count, H.last_serial, at =
    unpack_from("<I4I4I4I4I4I8", image)
  if fresh_count ~= #fresh or cell_count ~= #cells then error("an image of another environment", 0) end
  for i = 1, text_count do texts[i], at = unpack_from("<s4", image, at) end
  for id = 1, fresh_count + object_count do read_entry(id) end
  -- While metatables are empty: one that has got __gc since must not make a finalizer now.
  for i = 1, #tables do
    local meta = tables[i][3]
    if meta > 0 then setmetatable(tables[i][1], objects[meta]) end
  end
  for i = 1, #tables do fill(tables[i][1], tables[i][2]) end
  H.set_env(read_value())
  for i = 1, cell_count + new_cell_count do setupvalue(owners[i][1], owners[i][2], read_value()) end
  image, texts, objects, tables, owners = nil, nil, nil, nil, nil
  collectgarbage("restart")
  collectgarbage()
end
