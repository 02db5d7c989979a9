-- A small token. The process that loads it owns the supply, and anyone may transfer what they have.
-- Amounts are whole numbers, written as text as AO's tokens do.
--
-- Run it:
--   scripts/aoshell bank --load examples/token.lua --run 'Account = spawn("aos")' --run 'Send({ Target = ao.id, Action = "Transfer", Recipient = Account, Quantity = "250" })' --run 'Send({ Target = ao.id, Action = "Balance", Recipient = Account }).receive().Balance'
-- Ends with:
--   250
Balances = Balances or { [ao.id] = 1000 }

local function amount(text)
  local value = math.tointeger(tonumber(text))
  return value and value > 0 and value or nil
end

Handlers.add("Info", "Info", function(msg)
  msg.reply({ Name = "Example Coin", Ticker = "EXA", Denomination = "0" })
end)

Handlers.add("Balance", "Balance", function(msg)
  local account = msg.Recipient or msg.From
  local balance = tostring(Balances[account] or 0)
  msg.reply({ Balance = balance, Account = account, Ticker = "EXA", Data = balance })
end)

Handlers.add("Transfer", "Transfer", function(msg)
  local quantity, to, from = amount(msg.Quantity), msg.Recipient, msg.From
  assert(to, "Transfer needs a Recipient")
  assert(quantity, "Transfer needs a Quantity, a whole number above 0")
  if (Balances[from] or 0) < quantity then
    msg.reply({ Action = "Transfer-Error", Error = "Insufficient Balance!" })
    return
  end
  Balances[from] = Balances[from] - quantity
  Balances[to] = (Balances[to] or 0) + quantity
  local text = tostring(quantity)
  msg.reply({ Action = "Debit-Notice", Recipient = to, Quantity = text })
  Send({ Target = to, Action = "Credit-Notice", Sender = from, Quantity = text })
end)
