-- A purse. The fault: quantities are texts, and texts are compared as texts.
Balances = Balances or { [Owner] = "50" }
Handlers.add("Pay", "Pay", function(msg)
  local has = Balances[msg.From] or "0"
  if not msg.Recipient or not (msg.Quantity or ""):match("^[1-9]%d?%d?$") then
    return msg.reply({ Action = "Pay-Error", Error = "Recipient and Quantity" })
  end
  if has < msg.Quantity then return msg.reply({ Action = "Pay-Error", Error = "not that much" }) end
  Balances[msg.From] = tostring(tonumber(has) - tonumber(msg.Quantity))
  Balances[msg.Recipient] = tostring(tonumber(Balances[msg.Recipient] or "0") + tonumber(msg.Quantity))
  msg.reply({ Action = "Paid" })
end)
