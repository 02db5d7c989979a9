state("balances", function() return Balances end)
invariant("nobody owes", function(_, after)
  for address, balance in pairs(after.balances) do
    if balance < 0 then return false, address .. " has " .. balance end
  end
end)
