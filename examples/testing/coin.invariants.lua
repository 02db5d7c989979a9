-- What always holds in coin.lua: aoshell fuzz examples/testing/coin.lua
state("balances", function() return Balances end)

local function total(balances)
  local sum = 0
  for _, balance in pairs(balances) do sum = sum + balance end
  return sum
end

invariant("only a mint makes coins", function(before, after, msg)
  local made = total(after.balances) - total(before.balances)
  return made == 0 or msg.Action == "Mint", made .. " were made"
end)

invariant("nobody owes", function(_, after)
  for address, balance in pairs(after.balances) do
    if balance < 0 then return false, address .. " has " .. balance end
  end
end)
