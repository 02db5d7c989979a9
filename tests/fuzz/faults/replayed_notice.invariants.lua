state("orders", function() return Orders end)
invariant("an order is credited once", function(_, after)
  for order, times in pairs(after.orders) do
    if times > 1 then return false, order .. " came " .. times .. " times" end
  end
end)
