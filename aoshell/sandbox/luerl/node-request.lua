-- Reads what `pack` of aoshell.sandbox.luerl wrote.
local error, find, sub, tonumber = error, string.find, string.sub, tonumber

local read

local function counted(text, at, mark)
  local _, stop, count = find(text, "^(%d+)" .. mark, at)
  if not stop then error("a request is damaged", 0) end
  return tonumber(count), stop + 1
end

local READERS = {
  t = function(_, at) return true, at end,
  f = function(_, at) return false, at end,
  i = function(text, at)
    local _, stop, number = find(text, "^(-?%d+);", at)
    return tonumber(number), stop + 1
  end,
  d = function(text, at)
    local _, stop, number = find(text, "^([^;]+);", at)
    return tonumber(number), stop + 1
  end,
  s = function(text, at)
    local length
    length, at = counted(text, at, ":")
    return sub(text, at, at + length - 1), at + length
  end,
  m = function(text, at)
    local result, count, key = {}, nil, nil
    count, at = counted(text, at, ":")
    for _ = 1, count do
      key, at = read(text, at)
      result[key], at = read(text, at)
    end
    return result, at
  end,
}

function read(text, at)
  return READERS[sub(text, at, at)](text, at + 1)
end

return function(text) return (read(text, 1)) end
