-- A clock. The fault: an older handler takes what another one answers.
Handlers.add("Log", function(msg) return msg.Action == "Time" and msg.Format == "short" end, function(msg)
  Last = msg.From
end)
Handlers.add("Time", "Time", function(msg)
  local format = msg.Format or "long"
  msg.reply({ Time = format .. tostring(msg.Timestamp) })
end)
