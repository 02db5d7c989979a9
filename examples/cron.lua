-- A process that the node wakes by itself: it says so each second, while a shell is open.
--
-- Run it (six seconds, then the end of the input closes the shell):
--   sleep 6 | scripts/aoshell clock --cron 1-second --load examples/cron.lua
-- Says on its way:
--   tick 2
Ticks = Ticks or 0

-- A cron message has no id and no data: only the tags that its process asked for, and its time.
Handlers.add("Tick", function(msg) return msg.Cron == true end, function(msg)
  Ticks = Ticks + 1
  print("tick " .. Ticks)
end)
