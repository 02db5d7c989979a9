-- The node wakes this process each second while a shell is open, and it prints how often.
--
-- Run it (for six seconds; then the input ends, and the shell closes):
--   sleep 6 | scripts/aoshell clock --cron 1-second --load examples/cron.lua
-- Says on its way:
--   tick 2
Ticks = Ticks or 0

-- A cron message has no id and no data. It has its time, and the tags that the process asked for.
Handlers.add("Tick", function(msg) return msg.Cron == true end, function(msg)
  Ticks = Ticks + 1
  print("tick " .. Ticks)
end)
