-- A coin. Its owner mints it, another process knows its price, and it pays interest each hour.
-- It is tested by coin_test.lua (in Lua) and by test_coin.py (in Python).
--
-- Run them:
--   scripts/aoshell test examples/testing
Balances = Balances or {}
Oracle = Oracle or "oracle-of-prices-43-characters-long-xxxxxxx"

local MOST = 1000000000000  -- of one message: far below where integers wrap around

local function amount(text)
  local value = math.tointeger(tonumber(text))
  assert(value and value > 0 and value <= MOST, "Quantity is a whole number above 0")
  return value
end

Handlers.add("Mint", "Mint", function(msg)
  assert(msg.From == Owner, "only the owner mints")
  local to = msg.Recipient or msg.From
  Balances[to] = (Balances[to] or 0) + amount(msg.Quantity)
  print("minted " .. msg.Quantity)
end)

Handlers.add("Balance", "Balance", function(msg)
  local account = msg.Recipient or msg.From
  msg.reply({ Account = account, Balance = tostring(Balances[account] or 0) })
end)

Handlers.add("Transfer", "Transfer", function(msg)
  local quantity, from, to = amount(msg.Quantity), msg.From, msg.Recipient
  if (Balances[from] or 0) < quantity then
    msg.reply({ Action = "Transfer-Error", Error = "Insufficient Balance" })
    return
  end
  Balances[from] = Balances[from] - quantity
  Balances[to] = (Balances[to] or 0) + quantity
  msg.reply({ Action = "Debit-Notice", Recipient = to, Quantity = msg.Quantity })
  Send({ Target = to, Action = "Credit-Notice", Sender = from, Quantity = msg.Quantity })
end)

-- The price comes from another process. This handler waits for the answer.
Handlers.add("Worth", "Worth", function(msg)
  local price = Send({ Target = Oracle, Action = "Price" }).receive().Price
  msg.reply({ Worth = tostring(tonumber(price) * (Balances[msg.From] or 0)) })
end)

-- Called by cron: one percent an hour, rounded down.
Handlers.add("Interest", "Interest", function(msg)
  assert(msg.Cron, "time alone pays interest")
  for account, balance in pairs(Balances) do Balances[account] = balance + balance // 100 end
end)
