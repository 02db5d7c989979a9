-- Pays a share of what is in the pool with each cron message.
Pool = Pool or 0
Paid = Paid or 0

Handlers.add("Fill", "Fill", function(msg)
  local quantity = math.tointeger(tonumber(msg.Quantity))
  assert(quantity and quantity > 0 and quantity < 1000, "Quantity: a whole number")
  Pool = Pool + quantity
  msg.reply({ Pool = tostring(Pool) })
end)

Handlers.add("Cron", "Cron", function(msg)
  if not msg.Cron then return end -- else anybody could take a share
  Paid = Paid + 10
  Pool = Pool - 10 -- also where less is there
end)
