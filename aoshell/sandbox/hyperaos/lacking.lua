-- What the device's Lua (luerl) lacks of Lua 5.3, in Lua: the environment and scripts need it.
local error, pcall, select, type = error, pcall, select, type
local find, sub, unpack = string.find, string.sub, table.unpack

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
