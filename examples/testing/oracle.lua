-- Takes the oracle's place in the tests of coin.lua.
Handlers.add("Price", "Price", function(msg) msg.reply({ Price = "7" }) end)
