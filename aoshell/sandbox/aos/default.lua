-- What becomes of a message that no handler stopped: it is put into the Inbox and announced.
local sub, tostring, type = string.sub, tostring, type
local encode = require(".json").encode
local output = require(".output")
local color = output.color

local function announced(msg)
  if msg.Action then return "Action = ", msg.Action end
  local data = msg.Data
  if type(data) == "table" then data = encode(data) end
  return "Data = ", data == nil and "" or tostring(data)
end

return function(insert_inbox)
  return function(msg)
    insert_inbox(msg)
    local gray = color("gray")
    local from = msg.From and sub(msg.From, 1, 3) .. "..." .. sub(msg.From, -3) or "unknown"
    local label, text = announced(msg)
    output.print(gray .. "New Message From " .. color("green") .. from .. gray .. ": " .. gray .. label
      .. color("blue") .. sub(text, 1, 20) .. color("reset"))
  end
end
