-- The state of a runtime as a string, and back. It saves time only: the log is the truth.
--
-- What a fresh runtime holds (the environment's tables, functions and upvalue cells, the host's
-- functions) is numbered by the same walk in each, and only referred to. Tables get their exact
-- sizes back, since `#` of a table with holes depends on them; the sizes come from outside
-- (H.sizes, aoshell.sandbox.layout). A suspended coroutine cannot be saved: image() says so.
local H = ...
local raw = H.raw
local rawnext, rawget, rawset, rawlen, type = raw.next, raw.rawget, raw.rawset, raw.rawlen, raw.type
local getmetatable, setmetatable = raw.debug.getmetatable, raw.debug.setmetatable
local getinfo, getupvalue, setupvalue = raw.debug.getinfo, raw.debug.getupvalue, raw.debug.setupvalue
local upvalueid, upvaluejoin = raw.debug.upvalueid, raw.debug.upvaluejoin
local pack, unpack_from, dump = raw.string.pack, raw.string.unpack, raw.string.dump
local concat, unpack, sort = raw.table.concat, raw.table.unpack, raw.table.sort
local load, error, tostring, math_type = raw.load, raw.error, raw.tostring, raw.math.type
local status, create, resume = raw.coroutine.status, raw.coroutine.create, raw.coroutine.resume
local serials = H.serials

local HOST = "=host"

local function is_host(f)
  return getinfo(f, "S").source == HOST
end

local function is_c(f)
  return getinfo(f, "S").what == "C"
end

-- Fresh objects, numbered -----------------------------------------------------------------------
-- fresh[n] is an object or a cell {f, index} (an upvalue, named by a function that has it).

local fresh, number_of, cells, cell_of

local function string_keys(t)
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

local function enumerate(roots)
  fresh, number_of, cells, cell_of = {}, {}, {}, {}
  local function see(object)
    local kind = type(object)
    if kind ~= "table" and kind ~= "function" and kind ~= "userdata" then return end
    if number_of[object] then return end
    fresh[#fresh + 1] = object
    number_of[object] = #fresh
  end
  for i = 1, #roots do see(roots[i]) end
  local i = 0
  while i < #fresh do
    i = i + 1
    local object = fresh[i]
    if type(object) == "table" then
      see(getmetatable(object))
      local keys = string_keys(object)
      for k = 1, #keys do see(rawget(object, keys[k])) end
    elseif type(object) == "function" and not is_host(object) and not is_c(object) then
      for u = 1, 255 do
        local name, value = getupvalue(object, u)
        if not name then break end
        local id = upvalueid(object, u)
        if not cell_of[id] then
          cells[#cells + 1] = { object, u }
          cell_of[id] = #cells
        end
        see(value)
      end
    end
  end
end

local function roots()
  return { _G, package.loaded, H.process }
end

-- Called once, before the first message.
function H.mark_fresh()
  enumerate(roots())
  H.fresh_count = #fresh
end

-- Writing -----------------------------------------------------------------------------------------
-- A value: one byte of kind, then its content. References count fresh objects first, then the
-- image's own in the order in which they are defined.

local function writer()
  local w = { parts = {}, ids = {}, queue = {}, strings = {}, string_count = 0 }

  function w.put(s) w.parts[#w.parts + 1] = s end

  local function refer(object)
    local known = number_of[object]
    if known then return known end
    local id = w.ids[object]
    if not id then
      w.queue[#w.queue + 1] = object
      id = #fresh + #w.queue
      w.ids[object] = id
    end
    return id
  end
  w.refer = refer

  function w.shared(s)
    local id = w.strings[s]
    if id then return pack("<BI4", 83, id) end
    w.string_count = w.string_count + 1
    w.strings[s] = w.string_count
    return pack("<Bs4", 115, s)
  end

  function w.value(v)
    local kind = type(v)
    if v == nil then return "n"
    elseif v == true then return "t"
    elseif v == false then return "f"
    elseif kind == "string" then
      if #v > 40 then return pack("<Bs4", 108, v) end
      return w.shared(v)
    elseif kind == "number" then
      if math_type(v) == "integer" then return pack("<Bi8", 105, v) end
      return pack("<Bd", 100, v)
    end
    return pack("<BI4", 114, refer(v))
  end
  return w
end

local function table_body(w, t, size)
  local array, node = unpack_from("<I4I1", size)
  local meta = getmetatable(t)
  w.put(pack("<BI4BI4I4", 84, array, node, rawlen(t), serials[t] or 0))
  w.put(w.value(meta))
  for i = 1, array do w.put(w.value(rawget(t, i))) end
  for key, value in rawnext, t do
    if not (math_type(key) == "integer" and key >= 1 and key <= array) then
      w.put(w.value(key))
      w.put(w.value(value))
    end
  end
  w.put("n")
end

local function cell_number(w, f, index)
  local id = upvalueid(f, index)
  local known = cell_of[id] or w.ids[id]
  if known then return known end
  w.new_cells[#w.new_cells + 1] = { f, index }
  known = #cells + #w.new_cells
  w.ids[id] = known
  return known
end

local function function_body(w, f)
  if is_c(f) or is_host(f) then
    error("a function of the host is part of the state", 0)
  end
  w.put(pack("<BI4", 70, serials[f] or 0))
  w.put(w.shared(dump(f)))
  local count = getinfo(f, "u").nups
  w.put(pack("<B", count))
  for u = 1, count do w.put(pack("<I4", cell_number(w, f, u))) end
end

local function body(w, object, size)
  local kind = type(object)
  if kind == "table" then return table_body(w, object, size) end
  if kind == "function" then return function_body(w, object) end
  if kind == "thread" then
    if status(object) ~= "dead" then error("a handling waits for a message", 0) end
    return w.put(pack("<BI4", 67, serials[object] or 0))
  end
  error("a " .. kind .. " is part of the state", 0)
end

local function sizes_of(tables)
  local addresses = {}
  for i = 1, #tables do
    -- A metatable may name or print the table otherwise: off while its address is read.
    local meta = getmetatable(tables[i])
    if meta then setmetatable(tables[i], nil) end
    addresses[i] = tostring(tables[i])
    if meta then setmetatable(tables[i], meta) end
  end
  return H.sizes(concat(addresses, "\n"))
end

local SIZE = 5  -- bytes per table in what H.sizes answers: array size, log2 of the node count

-- Tables of fresh objects, then everything reachable from them that is not fresh. Runs in a fork
-- that ends with it, so it may use memory and leave the collector off.
function H.image()
  local w = writer()
  w.new_cells = {}
  w.put(pack("<I4I4I8", #fresh, #cells, H.last_serial))
  local tables = {}
  for i = 1, #fresh do
    if type(fresh[i]) == "table" then tables[#tables + 1] = fresh[i] end
  end
  local sizes = sizes_of(tables)
  for i = 1, #tables do table_body(w, tables[i], sizes:sub(SIZE * i - SIZE + 1, SIZE * i)) end
  for i = 1, #fresh do w.put(pack("<I4", serials[fresh[i]] or 0)) end
  w.put(w.value(H.env))
  for i = 1, #cells do
    local _, value = getupvalue(cells[i][1], cells[i][2])
    w.put(w.value(value))
  end
  local done_objects, done_cells = 0, 0
  while done_objects < #w.queue or done_cells < #w.new_cells do
    local last, batch, at = #w.queue, {}, 0
    for i = done_objects + 1, last do
      if type(w.queue[i]) == "table" then batch[#batch + 1] = w.queue[i] end
    end
    sizes = batch[1] and sizes_of(batch) or ""
    for i = done_objects + 1, last do
      local object, size = w.queue[i], nil
      if type(object) == "table" then
        size = sizes:sub(SIZE * at + 1, SIZE * at + SIZE)
        at = at + 1
      end
      body(w, object, size)
    end
    done_objects = last
    while done_cells < #w.new_cells do
      done_cells = done_cells + 1
      local _, value = getupvalue(w.new_cells[done_cells][1], w.new_cells[done_cells][2])
      w.put("U" .. w.value(value))
    end
  end
  w.put("E")
  return concat(w.parts)
end

-- Reading -----------------------------------------------------------------------------------------
-- References run ahead of definitions, so records are read first and objects are filled last.

-- builders[k] makes a table of its arguments with 2^(k-1) nodes (none for 0): the constructor
-- `{...}`, its instruction NEWTABLE patched to ask for that many.
local NEWTABLE = pack("<I4", 11)
local template = dump(load("return {...}"))
local builders = {}
for k = 0, 28 do
  local nodes = k == 0 and 0 or k <= 3 and 1 << (k - 1) or (k - 3) << 3
  local patched = template:gsub(NEWTABLE, function() return pack("<I4", 11 | nodes << 14) end, 1)
  builders[k] = load(patched, "builder", "b")
end

local ON_STACK = 200000  -- values that fit on the stack at once

-- A table with exactly that array part, filled, and room for its other keys: what the size of the
-- parts decides (`#`, when they grow) then goes on as before.
local function sized(array, node, values)
  if array <= ON_STACK then return builders[node](unpack(values, 1, array)) end
  -- Parts this large have grown by doubling, and do so again.
  local t = {}
  for i = 1, array do t[i] = values[i] == nil and false or values[i] end
  for i = 1, array do t[i] = values[i] end
  return t
end

function H.restore(image)
  local at, strings = 1, {}
  local function byte()
    local b = image:byte(at)
    at = at + 1
    return b
  end
  -- A reference is read as a marker and resolved when all objects exist.
  local objects, pending = {}, {}
  local REF = {}
  local function value()
    local kind = byte()
    if kind == 110 then return nil
    elseif kind == 116 then return true
    elseif kind == 102 then return false
    elseif kind == 83 then
      local id
      id, at = unpack_from("<I4", image, at)
      return strings[id]
    elseif kind == 115 then
      local s
      s, at = unpack_from("<s4", image, at)
      strings[#strings + 1] = s
      return s
    elseif kind == 108 then
      local s
      s, at = unpack_from("<s4", image, at)
      return s
    elseif kind == 105 then
      local i
      i, at = unpack_from("<i8", image, at)
      return i
    elseif kind == 100 then
      local d
      d, at = unpack_from("<d", image, at)
      return d
    elseif kind == 114 then
      local id
      id, at = unpack_from("<I4", image, at)
      return REF, id
    end
    error("damaged image", 0)
  end

  local function read_table()
    if byte() ~= 84 then error("damaged image", 0) end
    local record = {}
    local array, node, length, number
    array, node, length, number, at = unpack_from("<I4BI4I4", image, at)
    record.array, record.node, record.length, record.serial = array, node, length, number
    local meta, meta_ref = value()
    record.meta = meta == REF and meta_ref or nil
    local list, refs = {}, nil
    for i = 1, array do
      local v, ref = value()
      if v == REF then
        refs = refs or {}
        refs[i] = ref
        v = false
      end
      list[i] = v
    end
    record.list, record.refs = list, refs
    local pairs_ = {}
    local n = 0
    while true do
      local key, key_ref = value()
      if key == nil then break end
      local v, ref = value()
      pairs_[n + 1], pairs_[n + 2] = key == REF and REF or key, key_ref or false
      pairs_[n + 3], pairs_[n + 4] = v == REF and REF or v, ref or false
      n = n + 4
    end
    record.pairs = pairs_
    record.n = n
    return record
  end

  local count, cell_count, last_serial
  count, cell_count, last_serial, at = unpack_from("<I4I4I8", image, at)
  if count ~= #fresh or cell_count ~= #cells then error("image of another environment", 0) end
  local fresh_tables = {}
  for i = 1, #fresh do
    if type(fresh[i]) == "table" then fresh_tables[#fresh_tables + 1] = { fresh[i], read_table() } end
    objects[i] = fresh[i]
  end
  for i = 1, #fresh do
    local number
    number, at = unpack_from("<I4", image, at)
    if number > 0 then serials[fresh[i]] = number end
  end
  local env, env_ref = value()
  local cell_values = {}
  local function read_cell(i)
    local v, ref = value()
    cell_values[i] = { v, ref }
  end
  for i = 1, cell_count do read_cell(i) end

  local functions, total_cells = {}, cell_count
  local total = #fresh
  while true do
    local kind = image:byte(at)
    if kind == 69 then break end
    if kind == 84 then
      total = total + 1
      pending[total] = read_table()
    elseif kind == 70 then
      at = at + 1
      total = total + 1
      local number
      number, at = unpack_from("<I4", image, at)
      local code = value()
      local f = load(code, "image", "b")
      local ups = byte()
      local list = {}
      for u = 1, ups do list[u], at = unpack_from("<I4", image, at) end
      objects[total] = f
      functions[#functions + 1] = { f, list }
      if number > 0 then serials[f] = number end
    elseif kind == 67 then
      at = at + 1
      total = total + 1
      local number
      number, at = unpack_from("<I4", image, at)
      local co = create(function() end)
      resume(co)
      objects[total] = co
      if number > 0 then serials[co] = number end
    elseif kind == 85 then
      at = at + 1
      total_cells = total_cells + 1
      read_cell(total_cells)
    else
      error("damaged image", 0)
    end
  end

  for id = #fresh + 1, total do
    local record = pending[id]
    if record then
      local t = sized(record.array, record.node, record.list)
      objects[id] = t
      if record.serial > 0 then serials[t] = record.serial end
    end
  end

  local function fill(t, record)
    if record.refs then
      for i, ref in rawnext, record.refs do rawset(t, i, objects[ref]) end
    end
    local list = record.pairs
    for i = 1, record.n, 4 do
      local key, v = list[i], list[i + 2]
      if key == REF then key = objects[list[i + 1]] end
      if v == REF then v = objects[list[i + 3]] end
      rawset(t, key, v)
    end
    if record.meta then setmetatable(t, objects[record.meta]) end
    if rawlen(t) ~= record.length then error("a table's length cannot be kept", 0) end
  end
  for i = 1, #fresh_tables do
    local t, record = fresh_tables[i][1], fresh_tables[i][2]
    setmetatable(t, nil)
    for key in rawnext, t do rawset(t, key, nil) end
    for k = 1, record.array do
      if record.list[k] ~= nil then rawset(t, k, record.list[k]) end
    end
    fill(t, record)
  end
  for id = #fresh + 1, total do
    if pending[id] then fill(objects[id], pending[id]) end
  end

  -- Cells: the first function that names a new one owns it, the others join it.
  local owner = {}
  for i = 1, cell_count do owner[i] = cells[i] end
  for i = 1, #functions do
    local f, list = functions[i][1], functions[i][2]
    for u = 1, #list do
      local own = owner[list[u]]
      if own then upvaluejoin(f, u, own[1], own[2])
      else owner[list[u]] = { f, u } end
    end
  end
  for i = 1, total_cells do
    local own = owner[i]
    local v, ref = cell_values[i][1], cell_values[i][2]
    if v == REF then v = objects[ref] end
    if own then setupvalue(own[1], own[2], v) end
  end
  H.last_serial = last_serial
  if env == REF then H.set_env(objects[env_ref]) end
  raw.collectgarbage()
end
