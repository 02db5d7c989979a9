-- Deposits of a token that another process keeps. The fault: an order is credited once more when
-- its notice comes once more.
Token = Token or "TOKENtokenTOKENtokenTOKENtokenTOKENtoken-00"
Deposits, Orders = Deposits or {}, Orders or {}
Handlers.add("Credit-Notice", "Credit-Notice", function(msg)
  if msg.From ~= Token then return end
  local quantity, order = math.tointeger(tonumber(msg.Quantity)), msg["X-Order"]
  if not quantity or not msg.Sender or not order then return end
  Deposits[msg.Sender] = (Deposits[msg.Sender] or 0) + quantity
  Orders[order] = (Orders[order] or 0) + 1
  Send({ Target = msg.Sender, Action = "Deposited" })
end)
