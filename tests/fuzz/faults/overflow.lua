-- A faucet. The fault: integers of 64 bits wrap around.
Given = Given or 0
Handlers.add("Give", "Give", function(msg)
  local quantity = math.tointeger(tonumber(msg.Quantity))
  if msg.From ~= Owner or not quantity or quantity < 0 then
    return msg.reply({ Action = "Give-Error" })
  end
  Given = Given + quantity
  msg.reply({ Action = "Given", Total = tostring(Given) })
end)
