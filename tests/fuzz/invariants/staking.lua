local bint = require(".bint")(256)

state("balances", function() return Balances end)
state("stakers", function() return Stakers end)
state("unstaking", function() return Unstaking end)
state("supply", function() return TotalSupply end)

local function total(held)
  local sum = bint(0)
  for _, balance in pairs(held.balances) do sum = sum + bint(balance) end
  for _, stake in pairs(held.stakers) do sum = sum + bint(stake) end
  for _, list in pairs(held.unstaking) do
    for _, one in ipairs(list) do sum = sum + bint(one.quantity) end
  end
  return tostring(sum)
end

invariant("nothing is lost or made", function(_, after)
  return total(after) == after.supply, total(after) .. " of " .. after.supply
end)

invariant("nobody else changes a stake", function(before, after, msg)
  for address, stake in pairs(before.stakers) do
    if address ~= msg.From and after.stakers[address] ~= stake then return false, "of " .. address end
  end
end)
