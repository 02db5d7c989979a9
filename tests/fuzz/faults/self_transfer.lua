-- A purse. The fault: both balances are read before one is written.
Balances = Balances or { [Owner] = 50 }
Handlers.add("Pay", "Pay", function(msg)
  local quantity, to = math.tointeger(tonumber(msg.Quantity)), msg.Recipient
  local mine, theirs = Balances[msg.From] or 0, Balances[to or ""] or 0
  if not to or not quantity or quantity < 1 or mine < quantity then
    return msg.reply({ Action = "Pay-Error" })
  end
  Balances[msg.From] = mine - quantity
  Balances[to] = theirs + quantity
  msg.reply({ Action = "Paid" })
end)
