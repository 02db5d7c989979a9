-- A search. The fault: it does not end where the step is 0.
Handlers.add("Find", "Find", function(msg)
  local at, step = 0, math.tointeger(tonumber(msg.Step or "1")) or 1
  while at < 1000 do
    at = at + math.abs(step)
  end
  msg.reply({ Found = tostring(at) })
end)
