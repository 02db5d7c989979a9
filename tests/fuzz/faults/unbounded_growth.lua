-- A guest book that keeps the last hundred entries. The fault: those that are short are not counted.
Entries, Counted = Entries or {}, Counted or 0
Handlers.add("Sign", "Sign", function(msg)
  local text = msg.Data or ""
  Entries[#Entries + 1] = text
  if #text > 20 then Counted = Counted + 1 end
  if Counted > 100 then
    table.remove(Entries, 1)
    Counted = Counted - 1
  end
  msg.reply({ Action = "Signed" })
end)
