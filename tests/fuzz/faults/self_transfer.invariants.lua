state("balances", function() return Balances end)
invariant("there are fifty", function(_, after)
  local sum = 0
  for _, balance in pairs(after.balances) do sum = sum + balance end
  return sum == 50, "there are " .. sum
end)
