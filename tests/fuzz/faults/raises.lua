-- A list of tasks. The fault: a task that is not there.
Tasks = Tasks or {}
Handlers.add("Add", "Add", function(msg)
  Tasks[#Tasks + 1] = { title = msg.Title or "", open = true }
  msg.reply({ Task = tostring(#Tasks) })
end)
Handlers.add("Close", { Action = "Close", Task = "_" }, function(msg)
  local task = Tasks[tonumber(msg.Task)]
  task.open = false
  msg.reply({ Action = "Closed" })
end)
