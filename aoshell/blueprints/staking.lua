-- Stakes of a token in this process; load the blueprint `token` first.
--
--   Stake      Quantity   from the sender's balance; answered with Staked
--   Unstake    Quantity   the stake ends; it is paid back from UnstakeDelay later on: Unstaking
--   Withdraw              what is due, back to the sender's balance; answered with Withdrawn
--   Stakes                of all, as JSON
--
-- UnstakeDelay is in milliseconds of the messages' Timestamp. Answers to questions have no Action.
-- What cannot be done is answered with ACTION-Error, and changes nothing. Loading this again keeps
-- what it holds.
local bint = require(".bint")(256)
local json = require("json")

assert(type(Balances) == "table", "there are no Balances: load the blueprint token first")

Stakers = Stakers or {}      -- address → quantity
Unstaking = Unstaking or {}  -- address → list of {quantity=, due=}
UnstakeDelay = UnstakeDelay or 24 * 60 * 60 * 1000

local DIGITS = 60

local function refuse(msg, reason)
  msg.reply({ Action = msg.Action .. "-Error", ["Message-Id"] = msg.Id, Error = reason })
end

-- The quantity of a message, where it is above 0 and an account has that much; else nil and why not.
local function quantity_of(msg, accounts, lacking)
  local text = msg.Tags.Quantity
  if type(text) ~= "string" or not text:match("^%d+$") then return nil, "Quantity must be digits" end
  if #text > DIGITS then return nil, "Quantity is too large" end
  local quantity = bint(text)
  if quantity == bint(0) then return nil, "Quantity must be above 0" end
  if bint(accounts[msg.From] or "0") < quantity then return nil, lacking end
  return quantity
end

local function add(accounts, address, quantity)
  local sum = bint(accounts[address] or "0") + quantity
  accounts[address] = sum ~= bint(0) and tostring(sum) or nil
end

Handlers.add("Stake", "Stake", function(msg)
  local quantity, problem = quantity_of(msg, Balances, "Insufficient Balance!")
  if not quantity then return refuse(msg, problem) end
  add(Balances, msg.From, -quantity)
  add(Stakers, msg.From, quantity)
  msg.reply({ Action = "Staked", Quantity = tostring(quantity), Stake = Stakers[msg.From] })
end)

Handlers.add("Unstake", "Unstake", function(msg)
  local quantity, problem = quantity_of(msg, Stakers, "Insufficient stake")
  if not quantity then return refuse(msg, problem) end
  add(Stakers, msg.From, -quantity)
  local due = msg.Timestamp + UnstakeDelay
  local list = Unstaking[msg.From] or {}
  Unstaking[msg.From] = list
  list[#list + 1] = { quantity = tostring(quantity), due = due }
  msg.reply({ Action = "Unstaking", Quantity = tostring(quantity), Due = tostring(due) })
end)

Handlers.add("Withdraw", "Withdraw", function(msg)
  local left, total = {}, bint(0)
  for _, one in ipairs(Unstaking[msg.From] or {}) do
    if one.due <= msg.Timestamp then total = total + bint(one.quantity)
    else left[#left + 1] = one end
  end
  if total == bint(0) then return refuse(msg, "Nothing is due yet") end
  Unstaking[msg.From] = #left > 0 and left or nil
  add(Balances, msg.From, total)
  msg.reply({ Action = "Withdrawn", Quantity = tostring(total) })
end)

Handlers.add("Stakes", "Stakes", function(msg)
  -- An empty table would be a list.
  msg.reply({ Data = next(Stakers) and json.encode(Stakers) or "{}" })
end)
