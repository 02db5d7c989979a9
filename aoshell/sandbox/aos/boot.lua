-- The process's first message, its own definition: it opens the Inbox, then what the process is
-- made of runs.
local error = error
local make_eval = require(".eval")
local run_module = require(".module")

-- Tag On-Boot: "Data" evaluates the definition's Data, anything else is the id of a transaction
-- that the host may have at hand in env.Boot.
local function on_boot(ao, eval, msg)
  local source = msg.Tags["On-Boot"]
  if source == nil then return end
  if source == "Data" then return eval(msg) end
  local loaded = ao.env.Boot
  if not loaded or loaded.Id ~= source or not loaded.Data then error("File not found!", 0) end
  eval({ Data = loaded.Data })
end

return function(ao)
  local eval = make_eval(ao)
  return function(msg)
    if #Inbox == 0 then Inbox[1] = msg end
    run_module(ao.env)
    on_boot(ao, eval, msg)
  end
end
