-- A token: balances, and the messages that read, move and make them.
--
--   Info                                  what the token is
--   Balance    Recipient (or the sender)  of one address
--   Balances                              of all, as JSON
--   Total-Supply
--   Transfer   Recipient, Quantity        Debit-Notice to the sender, Credit-Notice to the receiver;
--                                         with Cast neither; tags X-… go along
--   Mint       Quantity, Recipient        the process's owner makes more
--
-- Answers to questions have no Action, so that a token that asks itself or another one is not asked
-- in turn. Quantities are texts of decimal digits in the smallest unit. What cannot be done is
-- answered with ACTION-Error, and changes nothing. Loading this again keeps what it holds.
--
-- InitialSupply, a text of digits that is set before this is loaded first, is what the process's owner
-- has then: 10,000 whole tokens where nobody says. With "0" there is what is minted.
local bint = require(".bint")(256)
local json = require("json")

local DIGITS = 60  -- of a quantity and of the supply: far below what 256 bits hold

Ticker = Ticker or "TOKEN"
Denomination = Denomination or 12
Logo = Logo or ""
if not Balances then
  InitialSupply = InitialSupply or "10000" .. ("0"):rep(Denomination)
  assert(type(InitialSupply) == "string" and InitialSupply:match("^%d+$") and #InitialSupply <= DIGITS,
    "InitialSupply must be a text of up to " .. DIGITS .. " digits")
  local has = InitialSupply:match("[1-9]%d*$")  -- nothing is kept of those who have nothing
  Balances, TotalSupply = { [Owner] = has }, has or "0"
end
TotalSupply = TotalSupply or "0"

-- A quantity above 0, or nil and what is wrong with it.
local function quantity_of(text)
  if type(text) ~= "string" or not text:match("^%d+$") then return nil, "Quantity must be digits" end
  if #text > DIGITS then return nil, "Quantity is too large" end
  local quantity = bint(text)
  if quantity == bint(0) then return nil, "Quantity must be above 0" end
  return quantity
end

local function balance_of(address)
  return bint(Balances[address] or "0")
end

-- Nothing is kept of those who have nothing.
local function put(address, balance)
  Balances[address] = balance ~= bint(0) and tostring(balance) or nil
end

local function refuse(msg, reason)
  msg.reply({ Action = msg.Action .. "-Error", ["Message-Id"] = msg.Id, Error = reason })
end

Handlers.add("Info", "Info", function(msg)
  msg.reply({ Name = Name, Ticker = Ticker, Logo = Logo, Denomination = tostring(Denomination) })
end)

Handlers.add("Balance", "Balance", function(msg)
  local account = msg.Tags.Recipient or msg.From
  local balance = Balances[account] or "0"
  msg.reply({ Account = account, Balance = balance, Ticker = Ticker, Data = balance })
end)

Handlers.add("Balances", "Balances", function(msg)
  -- An empty table would be a list.
  msg.reply({ Ticker = Ticker, Data = next(Balances) and json.encode(Balances) or "{}" })
end)

Handlers.add("Total-Supply", "Total-Supply", function(msg)
  msg.reply({ Ticker = Ticker, Data = TotalSupply })
end)

-- The two notices of a transfer.
local function notify(msg, recipient, quantity)
  local debit = { Action = "Debit-Notice", Recipient = recipient, Quantity = tostring(quantity) }
  local credit = {
    Target = recipient, Action = "Credit-Notice", Sender = msg.From, Quantity = tostring(quantity),
  }
  for name, value in pairs(msg.Tags) do
    if name:match("^X%-") and name ~= "X-Reference" and name ~= "X-Origin" then
      debit[name], credit[name] = value, value
    end
  end
  msg.reply(debit)
  Send(credit)
end

Handlers.add("Transfer", "Transfer", function(msg)
  local recipient = msg.Tags.Recipient
  if not recipient or recipient == "" then return refuse(msg, "Recipient is missing") end
  local quantity, problem = quantity_of(msg.Tags.Quantity)
  if not quantity then return refuse(msg, problem) end
  if balance_of(msg.From) < quantity then return refuse(msg, "Insufficient Balance!") end
  put(msg.From, balance_of(msg.From) - quantity)
  put(recipient, balance_of(recipient) + quantity)
  if not msg.Tags.Cast then notify(msg, recipient, quantity) end
end)

Handlers.add("Mint", "Mint", function(msg)
  if msg.From ~= Owner and msg.From ~= ao.id then return refuse(msg, "Only the owner may mint") end
  local recipient = msg.Tags.Recipient or msg.From
  if recipient == "" then return refuse(msg, "Recipient is missing") end
  local quantity, problem = quantity_of(msg.Tags.Quantity)
  if not quantity then return refuse(msg, problem) end
  local supply = tostring(bint(TotalSupply) + quantity)
  if #supply > DIGITS then return refuse(msg, "Quantity is too large") end
  TotalSupply = supply
  put(recipient, balance_of(recipient) + quantity)
  msg.reply({ Action = "Mint-Notice", Recipient = recipient, Quantity = tostring(quantity) })
end)
