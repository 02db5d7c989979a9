-- Tables as plain indented lines.
local concat, rep, pairs, tostring, type = table.concat, string.rep, pairs, tostring, type

local pretty = { _version = "0.0.1" }

function pretty.tprint(list, indent)
  indent = indent or 0
  local parts = {}
  for key, value in pairs(list) do
    local head = rep(" ", indent) .. tostring(key) .. ": "
    if type(value) == "table" then
      parts[#parts + 1] = head .. "\n" .. pretty.tprint(value, indent + 1)
    else
      parts[#parts + 1] = head .. tostring(value) .. "\n"
    end
  end
  return concat(parts)
end

return pretty
