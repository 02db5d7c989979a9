-- One value as a line of JSON, read raw. A node is [kind, text, size, entries, metatable]; see
-- trees.py. In our environment and in aos alike, so only what both have is used.
local function walk(depth, width, most, expression)
  local next, type, rawget, rawlen, tostring = next, type, rawget, rawlen, tostring
  local byte, format, gsub, sub = string.byte, string.format, string.gsub, string.sub
  local match, concat, sort = string.match, table.concat, table.sort
  local getinfo = type(debug) == "table" and debug.getinfo
  local met, parts = {}, {}

  local function put(piece) parts[#parts + 1] = piece end

  local function text(value)
    put('"')
    put((gsub(value, '[%c"\\\127]', function(c) return format("\\u%04x", byte(c)) end)))
    put('"')
  end

  -- Cut where a character ends.
  local function cut(value)
    if width == 0 or #value <= width then return value, 0 end
    return (gsub(sub(value, 1, width), "[\192-\255][\128-\191]*$", "")), #value
  end

  local function number(value)
    return math.type(value) == "integer" and format("%d", value) or format("%.17g", value)
  end

  local function place(f)
    local about = getinfo and getinfo(f, "S")
    if not about or about.what == "C" then return "" end
    return about.short_src .. ":" .. format("%d", about.linedefined)
  end

  local rank = { number = 1, string = 2, boolean = 3 }
  local function before(a, b)
    local one, two = rank[type(a)] or 4, rank[type(b)] or 4
    if one ~= two then return one < two end
    if one <= 2 then return a < b end
    return one == 3 and b and not a
  end

  local function step(key)
    if type(key) == "string" and match(key, "^[%a_][%w_]*$") then return "." .. key end
    if type(key) == "string" then return format("[%q]", (cut(key))) end
    return "[" .. (type(key) == "number" and number(key) or type(key)) .. "]"
  end

  local node

  local function node_of_table(value, at, name)
    if met[value] then
      put('["seen",')
      text(met[value])
      return put("]")
    end
    met[value] = name
    local keys = {}
    for key in next, value do keys[#keys + 1] = key end
    local count = #keys
    put(count > 0 and count == rawlen(value) and '["list","",' or '["table","",')
    put(format("%d", count))
    if at >= depth or count == 0 and width == 0 then
      if width == 0 then met[value] = nil end
      return put("]")
    end
    sort(keys, before)
    put(",[")
    for i = 1, count < most and count or most do
      local key = keys[i]
      put(i > 1 and ",[" or "[")
      node(key, depth, name)
      put(",")
      node(rawget(value, key), at + 1, name .. step(key))
      put("]")
    end
    put("]")
    local meta = getmetatable(value)
    if width > 0 and type(meta) == "table" then
      put(",")
      node(meta, at + 1, "the metatable of " .. name)
    end
    if width == 0 then met[value] = nil end  -- what stands twice is no circle
    put("]")
  end

  function node(value, at, name)
    local kind = type(value)
    if kind == "table" then return node_of_table(value, at, name) end
    put('["')
    put(kind)
    put('",')
    local size = 0
    if kind == "string" then value, size = cut(value) end
    text(kind == "string" and value or kind == "number" and number(value)
      or kind == "boolean" and tostring(value) or kind == "function" and place(value) or "")
    put(format(",%d]", size))
  end

  local f, problem = load("return " .. expression, "=expression", "t", _G)
  if not f then error(problem, 0) end
  node((f()), 0, expression)
  return concat(parts)
end
