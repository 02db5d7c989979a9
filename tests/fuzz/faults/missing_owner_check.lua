-- A shop. The fault: anybody sets the price.
Price = Price or "10"
Handlers.add("Price", "Price", function(msg) msg.reply({ Price = Price }) end)
Handlers.add("Set-Price", "Set-Price", function(msg)
  assert(type(msg.Price) == "string" and msg.Price:match("^%d+$"), "Price must be digits")
  Price = msg.Price
  msg.reply({ Action = "Price-Set" })
end)
