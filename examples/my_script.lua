-- A process that squares numbers. The code is the example of AO's documentation, unchanged.
--
-- Run it:
--   scripts/aoshell --load examples/my_script.lua --run 'MyLuaProcess = spawn(MyModule)' --run 'Send({ Target = MyLuaProcess, Action = "Calculate", Value = "7" })' --run 'Inbox[#Inbox].Data'
-- Ends with:
--   Result: 49
Handlers.add(
  "Calculate",
  Handlers.utils.hasMatchingTag("Action", "Calculate"),
  function (msg)
    local input = tonumber(msg.Tags.Value) or 0
    local result = input * input
    -- Update state or send messages back
    ao.send({ Target = msg.From, Data = "Result: " .. result })
    print("Calculated square of " .. input .. ": " .. result)
  end
)
