-- Stands in for the oracle in tests of coin.lua.
Handlers.add("Price", "Price", function(msg) msg.reply({ Price = "7" }) end)
