state("pool", function() return Pool end)

invariant("the pool owes nothing", function(_, after) return after.pool >= 0 end)
