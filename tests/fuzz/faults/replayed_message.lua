-- Each order is worth its quantity.
Orders = Orders or {}
Total = Total or 0

Handlers.add("Order", "Order", function(msg)
  local quantity = math.tointeger(tonumber(msg.Quantity))
  assert(quantity and quantity > 0, "Quantity: a whole number")
  Orders[msg.Id] = quantity
  Total = Total + quantity -- once more where the same message comes once more
  msg.reply({ Total = tostring(Total) })
end)
