state("orders", function() return Orders end)
state("total", function() return Total end)

invariant("the total is that of all orders", function(_, after)
  local sum = 0
  for _, quantity in pairs(after.orders) do sum = sum + quantity end
  return sum == after.total
end)
