-- A room: its members get what any of them says.
--
--   Register     Nickname     answered with Registered
--   Unregister                answered with Unregistered
--   Members                   their nicknames by address, as JSON
--   Broadcast    Data         each member gets Broadcasted, with Broadcaster and Nickname
--
-- Answers to questions have no Action. What cannot be done is answered with ACTION-Error. Loading
-- this again keeps the members.
local json = require("json")

Members = Members or {}  -- address → nickname
MaxMembers = MaxMembers or 500

local LONGEST = 64  -- bytes of a nickname

local function refuse(msg, reason)
  msg.reply({ Action = msg.Action .. "-Error", Error = reason })
end

local function count()
  local members = 0
  for _ in pairs(Members) do members = members + 1 end
  return members
end

Handlers.add("Register", "Register", function(msg)
  if not Members[msg.From] and count() >= MaxMembers then return refuse(msg, "The room is full") end
  local nickname = msg.Tags.Nickname or msg.From:sub(1, 8)
  if nickname == "" or #nickname > LONGEST then
    return refuse(msg, "Nickname must have 1 to " .. LONGEST .. " bytes")
  end
  Members[msg.From] = nickname
  msg.reply({ Action = "Registered", Nickname = nickname })
end)

Handlers.add("Unregister", "Unregister", function(msg)
  if not Members[msg.From] then return refuse(msg, "Not a member") end
  Members[msg.From] = nil
  msg.reply({ Action = "Unregistered" })
end)

Handlers.add("Members", "Members", function(msg)
  -- An empty table would be a list.
  msg.reply({ Data = next(Members) and json.encode(Members) or "{}" })
end)

Handlers.add("Broadcast", "Broadcast", function(msg)
  local nickname = Members[msg.From]
  if not nickname then return refuse(msg, "Register first") end
  for address in pairs(Members) do
    Send({
      Target = address, Action = "Broadcasted", Broadcaster = msg.From, Nickname = nickname,
      Data = msg.Data,
    })
  end
end)
