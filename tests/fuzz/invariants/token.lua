local bint = require(".bint")(256)

state("balances", function() return Balances end)
state("supply", function() return TotalSupply end)

invariant("the balances are the supply", function(_, after)
  local sum = bint(0)
  for _, balance in pairs(after.balances) do sum = sum + bint(balance) end
  return tostring(sum) == after.supply, tostring(sum) .. " is held of " .. after.supply
end)

invariant("a balance is a number above 0", function(_, after)
  for address, balance in pairs(after.balances) do
    if type(balance) ~= "string" or not balance:match("^[1-9]%d*$") then
      return false, address .. " has " .. tostring(balance)
    end
  end
end)

invariant("only the owner makes more", function(before, after, msg)
  return before.supply == after.supply or msg.From == Owner, tostring(msg.Action) .. " by " .. msg.From
end)

invariant("only its holder spends", function(before, after, msg)
  for address, balance in pairs(before.balances) do
    local left = bint(after.balances[address] or "0")
    if address ~= msg.From and left < bint(balance) then return false, "of " .. address end
  end
end)
