state("price", function() return Price end)
invariant("only the owner sets the price", function(before, after, msg)
  return before.price == after.price or msg.From == Owner
end)
