-- A market in one process. The fault: an offer reserves nothing, and a sale looks at no balance.
Balances = Balances or { [Owner] = 100 }
Offers = Offers or {}

local function whole(text)
  local number = math.tointeger(tonumber(text or ""))
  return number and number > 0 and number < 2 ^ 53 and number or nil
end

local function refuse(msg, why) msg.reply({ Action = msg.Action .. "-Error", Error = why }) end

local function move(from, to, quantity)
  Balances[from] = Balances[from] - quantity
  Balances[to] = (Balances[to] or 0) + quantity
end

Handlers.add("Transfer", "Transfer", function(msg)
  local quantity = whole(msg.Quantity)
  if not quantity or not msg.Recipient then return refuse(msg, "what, and to whom?") end
  if (Balances[msg.From] or 0) < quantity then return refuse(msg, "not that much") end
  move(msg.From, msg.Recipient, quantity)
  msg.reply({ Action = "Transferred" })
end)

Handlers.add("Offer", "Offer", function(msg)
  local quantity = whole(msg.Quantity)
  if not quantity or (Balances[msg.From] or 0) < quantity then return refuse(msg, "not that much") end
  Offers[#Offers + 1] = { seller = msg.From, quantity = quantity }
  msg.reply({ Action = "Offered", Offer = tostring(#Offers) })
end)

Handlers.add("Buy", "Buy", function(msg)
  local offer = Offers[whole(msg.Offer) or 0]
  if not offer or offer.sold then return refuse(msg, "no such offer") end
  offer.sold = true
  move(offer.seller, msg.From, offer.quantity)
  msg.reply({ Action = "Bought" })
end)
