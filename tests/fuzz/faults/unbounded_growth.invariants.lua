state("entries", function() return #Entries end)
invariant("the book has an end", function(_, after) return after.entries <= 100 end)
