state("balances", function() return Balances end)
invariant("nobody owes", function(_, after)
  for _, balance in pairs(after.balances) do
    if tonumber(balance) < 0 then return false, balance end
  end
end)
